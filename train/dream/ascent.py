"""Gradient ascent on a photo's pixels, in octaves from coarse to fine (Mordvintsev, Olah and Tyka 2015)."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from data.files import make_folder
from data.images import decode, encode, fit_within, from_array, to_array
from data.photos import to_tensor, to_uint8
from models.vgg import PerceptualWeightsError, VGGFeatures
from train.compute.device import choose_device
from train.dream.config import LEAST_SIDE, DreamConfig
from train.errors import TrainError
from train.slow.optimizer import resize
from train.slow.outputs import require_output

OCTAVE_GROWTH = 1.4
"""Factor from one octave to the next, as in the authors' notebook."""


def dream(photo: Tensor, features: VGGFeatures, config: DreamConfig) -> Iterator[tuple[Tensor, float]]:
    """Raise activations, octave by octave.

    Args:
        photo: RGB in [0, 1], shape (1, 3, H, W).
        features: The network.
        config: Layers, octaves and steps.

    Yields:
        The picture after each step, shape (1, 3, h, w) in [0, 1], and the weighted mean square of the activations
        before it.

    Raises:
        TrainError: If the activations are no longer finite.
    """
    generator = torch.Generator().manual_seed(config.seed)
    height, width = photo.shape[2:]
    detail = torch.zeros_like(photo[:, :, :1, :1])
    for octave in reversed(range(config.octaves)):
        shrink = OCTAVE_GROWTH**-octave
        size = (max(LEAST_SIDE, round(height * shrink)), max(LEAST_SIDE, round(width * shrink)))
        base = resize(photo, size)
        # The changes so far are enlarged, not the picture, which would become blurred from octave to octave.
        picture = base + torch.nn.functional.interpolate(detail, size=size, mode="bilinear")
        for _ in range(config.iterations):
            shifts = [int(torch.randint(-config.jitter, config.jitter + 1, (), generator=generator)) for _ in range(2)]
            leaf = picture.roll(shifts, (2, 3)).detach().requires_grad_()
            found = features(leaf, config.layers)
            total = torch.stack(
                [weight * found[layer].square().mean() for layer, weight in config.layers.items()]
            ).sum()
            activation = float(total.detach())
            if not math.isfinite(activation):
                raise TrainError(f"the activation became {activation}; lower the weights of --layers")
            (gradient,) = torch.autograd.grad(total, leaf)
            gradient = gradient / gradient.abs().mean().clamp_min(torch.finfo(torch.float32).tiny)
            moved = (leaf.detach() + config.step * gradient).clamp(0, 1)
            picture = moved.roll([-shift for shift in shifts], (2, 3))
            yield picture, activation
        detail = picture - base


def run(config: DreamConfig, on_step: Callable[[], object] | None = None) -> Path:
    """Dream, and write the picture.

    Args:
        config: What is asked for.
        on_step: Called after every step.

    Returns:
        The picture's path.

    Raises:
        TrainError: If what was asked for cannot work.
        ImageError: If a picture cannot be read or written.
        KeyboardInterrupt: After Ctrl-C before the ascent begins, or while the picture is written.
    """
    config.check()
    output = Path(config.output)
    require_output(output, [Path(config.content), Path(config.perceptual_weights)], config.overwrite)
    make_folder(output.parent)
    try:
        features = VGGFeatures(config.perceptual, config.layers, config.perceptual_weights)
    except PerceptualWeightsError as error:
        raise TrainError(str(error.with_flag("--perceptual-weights"))) from error
    except ValueError as error:
        raise TrainError(str(error)) from error
    image = decode(Path(config.content))
    image = fit_within(image, config.size) if config.size is not None else image
    if min(image.size) < LEAST_SIDE:
        raise TrainError(
            f"the picture would have {image.width} x {image.height} pixels and a dream needs {LEAST_SIDE} on either "
            "side; name a larger photo or set a larger --size"
        )
    device = choose_device()
    photo = to_tensor(to_array(image)).to(device)
    picture = photo
    with tqdm(total=config.octaves * config.iterations, desc="dream", unit="it", disable=None) as bar:
        try:
            for picture, activation in dream(photo, features.to(device), config):
                if on_step is not None:
                    on_step()
                bar.update()
                bar.set_postfix(activation=f"{activation:.3g}", px=f"{picture.shape[3]}x{picture.shape[2]}")
        except KeyboardInterrupt:
            print("\nstopped; the picture so far is kept", file=sys.stderr)
    encode(from_array(to_uint8(picture[0])), output)
    return output
