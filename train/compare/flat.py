"""Flat regions of a photo, in which every structure of a stylized picture was put there by the style."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLAT = 8
"""Standard deviation, in levels of 255, below which a neighborhood of 41 x 41 pixels of a photo counts as flat."""


def find_flat(photo: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the flat pixels of a photo, uint8 RGB of shape (H, W, 3); returns shape (H, W)."""
    light = photo.astype(np.float64).mean(2)
    mean, square = box_mean(light, 20), box_mean(light**2, 20)
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)) < FLAT)


def box_mean(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Average over squares of ``2 * radius + 1`` pixels; edges are repeated.

    Args:
        values: Shape (H, W).
        radius: In pixels.

    Returns:
        Shape (H, W).
    """
    # From cumulative sums, because Pillow cannot blur floating-point pictures.
    padded = np.pad(values, radius, mode="edge")
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    size = 2 * radius + 1
    total = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return np.asarray(total / size**2)
