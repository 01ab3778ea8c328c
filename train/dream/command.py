"""DeepDream: ``python -m train.dream --content photo.jpg --output dream.png``.

Raises the activations of chosen layers by gradient ascent on the pixels, in octaves from coarse to fine (Mordvintsev,
Olah and Tyka 2015): what the layers faintly see in the photo becomes visible.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from data.files import OutputError, make_folder
from data.images import ImageError, decode, encode, fit_within, from_array, to_array
from data.photos import to_tensor, to_uint8
from models.vgg import PerceptualName, PerceptualWeightsError, VGGFeatures
from train.errors import TrainError, require_at_least
from train.parser import ExamplesFormatter, StyleArgumentParser, quiet_libraries, spell_flags
from train.slow.optimizer import resize
from train.slow.outputs import require_output

OCTAVE_GROWTH = 1.4
"""From one octave to the next, as in the authors' notebook."""

LEAST_SIDE = 32
"""Pixels of a picture's shorter side, so that every layer has something to see."""


@dataclass
class DreamConfig:
    """Let a network dream on a photo.

    Args:
        content: Photo to dream on.
        output: Picture to write.
        layers: Layers whose activations are raised, each with its share.
        size: Longer side of the picture in pixels; null keeps the photo's.
        octaves: Sizes that are gone through, each 1.4 times the one before.
        iterations: Steps of gradient ascent in each octave.
        step: Mean change of a value in [0, 1] per step.
        jitter: Pixels by which the picture is moved at random before a step, so that no grid of the network's shows.
        perceptual: The network that dreams, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` or a file in torchvision's layout.
        seed: Fixes the movements.
        overwrite: Replace an earlier picture of the same name; never the photo itself.
    """

    content: str
    output: str
    layers: dict[str, float] = field(default_factory=lambda: {"relu4_4": 1.0, "relu5_1": 0.5})
    size: int | None = 512
    octaves: int = 4
    iterations: int = 15
    step: float = 0.01
    jitter: int = 16
    perceptual: PerceptualName = "vgg19"
    perceptual_weights: str = "default"
    seed: int = 0
    overwrite: bool = False


def dream(photo: Tensor, features: VGGFeatures, config: DreamConfig) -> Iterator[tuple[Tensor, float]]:
    """Raise activations, octave by octave.

    Args:
        photo: RGB in [0, 1], shape (1, 3, H, W).
        features: The network.
        config: Layers, octaves and steps.

    Yields:
        The picture after each step, shape (1, 3, h, w) in [0, 1], and the weighted mean square of the activations
        before it.
    """
    generator = torch.Generator().manual_seed(config.seed)
    height, width = photo.shape[2:]
    detail = torch.zeros_like(photo[:, :, :1, :1])
    for octave in reversed(range(config.octaves)):
        shrink = OCTAVE_GROWTH**-octave
        size = (max(LEAST_SIDE, round(height * shrink)), max(LEAST_SIDE, round(width * shrink)))
        base = resize(photo, size)
        # What was dreamed so far is added to the sharp photo, or the enlarging would blur it octave by octave.
        picture = base + torch.nn.functional.interpolate(detail, size=size, mode="bilinear")
        for _ in range(config.iterations):
            shifts = [int(torch.randint(-config.jitter, config.jitter + 1, (), generator=generator)) for _ in range(2)]
            leaf = picture.roll(shifts, (2, 3)).detach().requires_grad_()
            found = features(leaf, config.layers)
            total = torch.stack([share * found[layer].square().mean() for layer, share in config.layers.items()]).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
            gradient = gradient / gradient.abs().mean().clamp_min(torch.finfo(torch.float32).tiny)
            moved = (leaf.detach() + config.step * gradient).clamp(0, 1)
            picture = moved.roll([-shift for shift in shifts], (2, 3))
            yield picture, float(total.detach())
        detail = picture - base


def run(config: DreamConfig) -> Path:
    """Dream, and write the picture.

    Args:
        config: What is asked for.

    Returns:
        The picture's path.

    Raises:
        TrainError: If what was asked for cannot work.
        ImageError: If a picture cannot be read or written.
    """
    require_at_least(1, octaves=config.octaves, iterations=config.iterations)
    require_at_least(0, jitter=config.jitter)
    if config.size is not None:
        require_at_least(LEAST_SIDE, size=config.size)
    if not 0 < config.step < math.inf:
        raise TrainError(f"--step is {config.step}; it must be above 0, 0.01 say")
    output = Path(config.output)
    require_output(output, [Path(config.content)], config.overwrite)
    make_folder(output.parent)
    try:
        features = VGGFeatures(config.perceptual, config.layers, config.perceptual_weights)
    except PerceptualWeightsError as error:
        raise TrainError(str(error.with_flag("--perceptual_weights"))) from error
    except ValueError as error:
        raise TrainError(str(error)) from error
    image = decode(Path(config.content))
    image = fit_within(image, config.size) if config.size is not None else image
    if min(image.size) < LEAST_SIDE:
        raise TrainError(
            f"the picture would have {image.width} x {image.height} pixels and a dream needs {LEAST_SIDE} on either "
            "side; name a larger photo or set a larger --size"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photo = to_tensor(to_array(image)).to(device)
    picture = photo
    with tqdm(total=config.octaves * config.iterations, desc="dream", unit="it", disable=None) as bar:
        try:
            for picture, activation in dream(photo, features.to(device), config):
                bar.update()
                bar.set_postfix(activation=f"{activation:.3g}", px=f"{picture.shape[3]}x{picture.shape[2]}")
        except KeyboardInterrupt:
            print("\nstopped; the picture so far is kept", file=sys.stderr)
    encode(from_array(to_uint8(picture[0])), output)
    return output


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    quiet_libraries()
    parser = StyleArgumentParser(
        prog="python -m train.dream",
        description="Let a perceptual network dream on a photo.",
        epilog="examples:\n  python -m train.dream --content photo.jpg --output dream.png\n"
        "  python -m train.dream --content photo.jpg --output eyes.png --layers '{relu5_1: 1}' --octaves 6",
        formatter_class=ExamplesFormatter,
    )
    parser.add_argument("--config", action="config", help="YAML file of these flags")
    parser.add_class_arguments(DreamConfig, None)
    parsed = parser.parse_args(spell_flags(sys.argv[1:] if args is None else args))
    values: dict[str, Any] = {name: value for name, value in vars(parsed).items() if name != "config"}
    try:
        print(f"wrote {run(DreamConfig(**values))}")
    except (TrainError, ImageError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
