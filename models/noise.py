"""Smooth noise that is added to every photo: something to paint with where a photo is flat.

On a constant input a convolutional network can only repeat itself, so that skies stay empty or fill with a lattice of
the network's own stride. The noise is one fixed tile, repeated from the photo's upper left corner, so that the same
photo gives the same picture on every device and frames of a video agree.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

NOISE_SIDE = 256
"""Side of the tile in pixels."""

NOISE_GRAINS = (4, 8, 16)
"""Distances in pixels between the random values that are interpolated, one layer of noise each, of equal strength: from
the network's cell to the width of a stroke."""

NOISE_SCALE = 32
"""Values of the tile's int8 per standard deviation: 32 is one standard deviation, and 127, the largest, is four."""

_SEED = 1831


@functools.cache
def noise_tile(side: int = NOISE_SIDE) -> npt.NDArray[np.int8]:
    """Draw smooth noise that continues at its own other side; the same values for ever.

    Exported networks carry these values, and trained networks have seen no others.

    Args:
        side: In pixels; a multiple of every grain.

    Returns:
        Shape (side, side), read-only, mean 0, in units of 1 / ``NOISE_SCALE`` of its standard deviation.
    """
    # NumPy keeps the stream of RandomState as it is, unlike that of its newer generators.
    random = np.random.RandomState(_SEED)
    layers = [_interpolate(random.standard_normal((side // grain, side // grain)), grain) for grain in NOISE_GRAINS]
    noise = np.sum([layer / layer.std() for layer in layers], 0)
    noise = (noise - noise.mean()) / noise.std()
    tile: npt.NDArray[np.int8] = np.clip(np.rint(NOISE_SCALE * noise), -127, 127).astype(np.int8)
    tile.setflags(write=False)
    return tile


def _interpolate(values: npt.NDArray[np.float64], factor: int) -> npt.NDArray[np.float64]:
    """Enlarge by bilinear interpolation, as if the values repeated without end."""
    for axis in (0, 1):
        position = (np.arange(values.shape[axis] * factor) + 0.5) / factor - 0.5
        before = np.floor(position).astype(int)
        share = np.expand_dims(position - before, 1 - axis)
        one, other = (values.take(index, axis, mode="wrap") for index in (before, before + 1))
        values = (1 - share) * one + share * other
    return values


def draw_offset(seed: int, step: int) -> tuple[int, int]:
    """Draw where in the tile the photos of a training step begin, so that a network learns no place by heart.

    Args:
        seed: Of the training.
        step: Its number; the same seed and step give the same offset, so that a training can be resumed.

    Returns:
        Row and column, each from 0 to ``NOISE_SIDE`` - 1.
    """
    row, column = np.random.default_rng([seed, step]).integers(NOISE_SIDE, size=2)
    return int(row), int(column)


def repeat_tile(tile: Tensor, height: int, width: int, offset: tuple[int, int] = (0, 0)) -> Tensor:
    """Repeat a tile, shape (1, 1, S, S), from a place in it on: shape (1, 1, height, width)."""
    for dim, length, start in ((2, height, offset[0]), (3, width, offset[1])):
        places = torch.arange(start, start + length, device=tile.device) % tile.shape[dim]
        tile = tile.index_select(dim, places)
    return tile
