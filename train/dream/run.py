"""A dream from its configuration to its files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor
from tqdm import tqdm

from data.files import make_folder, write_whole
from data.images import decode, encode, encode_gif, fit_within, from_array, to_array
from data.photos import to_tensor, to_uint8
from models.vgg import PerceptualWeightsError, VGGFeatures
from train.compute.device import choose_device
from train.dream.ascent import Ascent, dream, zoom_in
from train.dream.config import LEAST_SIDE, NOISE_SIZE, DreamConfig
from train.errors import TrainError
from train.slow.outputs import require_output
from train.slow.record import GIF_SIDE
from train.slow.task import announce_small

FRAME_MS = 60
"""How long a frame of a zoom is shown, in milliseconds."""


def run(config: DreamConfig, on_step: Callable[[], object] | None = None) -> list[Path]:
    """Dream, and write the picture; zoom into it, and write the GIF.

    After Ctrl-C the picture so far is written, and the GIF of the frames so far.

    Args:
        config: What is asked for.
        on_step: Called after every step of the dream.

    Returns:
        The files written, the picture first.

    Raises:
        TrainError: If what was asked for cannot work.
        ImageError: If a picture cannot be read or written.
        OutputError: If the GIF cannot be written.
        KeyboardInterrupt: After Ctrl-C before the ascent begins, or while files are written.
    """
    config.check()
    output = Path(config.output)
    read = [Path(path) for path in (config.content, config.perceptual_weights) if path]
    require_output(output, read, config.overwrite, [config.animation] if config.frames or config.overwrite else [])
    make_folder(output.parent)
    device = choose_device()
    features = _open_features(config).to(device)
    photo = None if config.content is None else _read_photo(config.content, config.size).to(device)
    side = config.size or NOISE_SIZE
    size = (side, side) if photo is None else (photo.shape[2], photo.shape[3])
    if photo is not None:
        announce_small(max(size), config.size)
    ascent = Ascent(features, config)
    picture = torch.empty(0)
    frames: list[Image] = []
    try:
        with tqdm(total=config.octaves * config.iterations, desc="dream", unit="it", disable=None) as bar:
            for picture, activation in dream(photo, size, ascent):
                if on_step is not None:
                    on_step()
                bar.update()
                bar.set_postfix(activation=f"{activation:.3g}", px=f"{picture.shape[3]}x{picture.shape[2]}")
        if config.frames:
            frames.append(_draw_frame(picture))
            with tqdm(total=config.frames, desc="zoom", unit="frame", disable=None) as bar:
                for frame in zoom_in(picture, ascent):
                    frames.append(_draw_frame(frame))
                    bar.update()
    except KeyboardInterrupt:
        if not picture.numel():
            raise
        print("\nstopped; what there is so far is kept", file=sys.stderr)
    encode(from_array(to_uint8(picture[0])), output)
    if len(frames) < 2:
        # An earlier one would be taken for this picture's.
        if config.overwrite and config.animation != output:
            config.animation.unlink(missing_ok=True)
        return [output]
    write_whole(config.animation, encode_gif(frames, [FRAME_MS] * len(frames)))
    return [output, config.animation]


def _open_features(config: DreamConfig) -> VGGFeatures:
    try:
        features = VGGFeatures(config.perceptual, config.layers, config.perceptual_weights)
    except PerceptualWeightsError as error:
        raise TrainError(str(error.with_flag("--perceptual-weights"))) from error
    except ValueError as error:
        raise TrainError(str(error)) from error
    if config.channel is not None:
        (layer,) = config.layers
        with torch.no_grad():
            channels = features(torch.zeros(1, 3, LEAST_SIDE, LEAST_SIDE), [layer])[layer].shape[1]
        if config.channel >= channels:
            raise TrainError(f"--channel is {config.channel}, and {layer} has {channels} channels, 0 to {channels - 1}")
    return features


def _read_photo(path: str, longer_side: int | None) -> Tensor:
    image = decode(Path(path))
    image = fit_within(image, longer_side) if longer_side is not None else image
    if min(image.size) < LEAST_SIDE:
        raise TrainError(
            f"the picture would have {image.width} x {image.height} pixels and a dream needs {LEAST_SIDE} on either "
            "side; name a larger photo or set a larger --size"
        )
    return to_tensor(to_array(image))


def _draw_frame(picture: Tensor) -> Image:
    return fit_within(from_array(to_uint8(picture[0])), GIF_SIDE)
