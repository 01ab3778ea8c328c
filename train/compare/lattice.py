"""Lattices of any period from 3 to 32 pixels in the flat regions of a photo: dots, hatching or weaves that repeat.

On a constant input a convolutional network can only repeat itself, so that a flat sky shows a lattice where a painter
would put strokes. The strokes of a painting resemble their neighbors, too, but none lies where a lattice would put the
next but one.

The measure is the autocorrelation of the picture's fine structure over all flat regions at once. Strokes give one
peak around 0 that falls off, and ridges along their direction. A lattice gives peaks at two steps and at their sum; for
two different steps this shows a repetition in two directions, for the same step twice one strict period.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.compare.flat import box_mean, find_flat

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

PERIODS = (3, 32)
"""Shortest and longest step in pixels that is looked for."""

REACH = 2 * PERIODS[1]
"""Largest lag in pixels of the autocorrelation: the longest step twice."""

LEAST_FLAT = 64 * 64
"""Flat pixels below which nothing is measured: strokes are too few to tell chance from repetition."""

REPETITIONS = 4
"""Steps along a side of the square that must overlap for a step to be found twice: steps of 8 pixels need 64 x 64 flat
pixels, steps of 16 some 96 x 96, of 32 some 176 x 176."""

DETAIL = 24
"""Radius in pixels of the neighborhood whose mean is removed and whose contrast is equalized; above half of the longest
step, so that this step remains."""

CONTRAST = 1.5
"""Contrast in levels of 255 that is added to the picture's own: what is fainter cannot be seen, such as the bands of an
8-bit gradient or JPEG's blocks."""


@dataclass(frozen=True)
class Lattice:
    """The strongest lattice of a picture.

    Args:
        strength: Share of the fine structure in flat regions that repeats, 0 to 1; 0 where nothing repeats.
        steps: The two steps, each in pixels down and across; None where nothing repeats.
    """

    strength: float
    steps: tuple[tuple[int, int], tuple[int, int]] | None = None


def find_lattice(photo: Picture, picture: Picture) -> Lattice:
    """Find the strongest lattice in the flat regions of a photo.

    Args:
        photo: uint8 RGB, shape (H, W, 3).
        picture: The stylized photo, of the same type and shape.
    """
    flat = find_flat(photo)
    if flat.sum() < LEAST_FLAT:
        return Lattice(0.0)
    correlation, overlap = _autocorrelate(_extract_detail(picture), flat)
    lags = np.arange(-REACH, REACH + 1)
    distance = np.hypot(lags[:, None], lags)
    known = (overlap >= flat.sum() / 4) & (overlap >= (REPETITIONS * distance / 2) ** 2)
    height = np.where(known, np.minimum(correlation, correlation - _find_troughs(correlation)), 0)
    shortest, longest = PERIODS[0] - 0.5, PERIODS[1] + 0.5
    peaks = (height > 0) & (correlation >= _largest_around(correlation)) & (distance > shortest) & (distance < longest)
    down, across = (indices - REACH for indices in np.nonzero(peaks))
    if not len(down):
        return Lattice(0.0)
    first = height[peaks]
    total_down, total_across = down[:, None] + down, across[:, None] + across
    within = np.maximum(abs(total_down), abs(total_across)) <= REACH
    within &= np.hypot(total_down, total_across) > shortest
    # A period need not be an integer, so that the sum is looked for within a pixel.
    third = _largest_around(height)[np.where(within, total_down, 0) + REACH, np.where(within, total_across, 0) + REACH]
    # Parallel strokes, too, may lie at nearly the same distance twice. So one step alone must repeat once more, at the
    # rate at which it fell off so far; that a third step would leave the reach is why it is not looked up.
    alone = (down[:, None] * across - across[:, None] * down) == 0
    third = np.where(alone, third * np.minimum(third / first, 1), third)
    strength = np.where(within, np.minimum(np.minimum(first[:, None], first), third), 0)
    one, other = np.unravel_index(strength.argmax(), strength.shape)
    strongest = float(strength[one, other])
    if strongest <= 0:
        return Lattice(0.0)
    return Lattice(strongest, tuple((int(down[index]), int(across[index])) for index in (one, other)))  # type: ignore[arg-type]


def _extract_detail(picture: Picture) -> Floats:
    """Remove what is larger than a period, and give every place the same contrast, so that each has the same say."""
    values = picture.astype(np.float64)
    detail = np.stack([values[..., channel] - box_mean(values[..., channel], DETAIL) for channel in range(3)], -1)
    contrast = box_mean((detail**2).mean(2), DETAIL)
    return np.asarray(detail / np.sqrt(contrast + CONTRAST**2)[..., None])


def _autocorrelate(detail: Floats, mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Correlate the masked pixels with themselves at every lag up to ``REACH``, averaged over channels.

    Returns:
        The correlation, and the number of pairs of pixels, both of shape (2 REACH + 1, 2 REACH + 1) with lag 0 in the
        middle.
    """
    size = [side + REACH + 1 for side in mask.shape]
    lags = np.arange(-REACH, REACH + 1)

    def correlate(values: Floats) -> Floats:
        whole = np.fft.irfft2(np.abs(np.fft.rfft2(values, size)) ** 2, size)
        return np.asarray(whole.take(lags % size[0], 0).take(lags % size[1], 1))

    overlap = correlate(mask.astype(np.float64)).round()
    products = sum(correlate(detail[..., channel] * mask) for channel in range(3)) / 3
    return products / np.maximum(overlap, 1), overlap


def _find_troughs(correlation: Floats) -> Floats:
    """Find for every lag the smallest correlation on the farther half of the straight line from lag 0.

    There lies the trough between two repetitions; strokes leave one in the nearer half only.
    """
    lags = np.arange(-REACH, REACH + 1)
    smallest = np.full_like(correlation, np.inf)
    for share in np.linspace(0.5, 1, REACH // 2 + 1):
        place = lags * share + REACH
        low = np.minimum(place.astype(int), 2 * REACH - 1)
        rest = place - low
        rows = correlation[low] * (1 - rest)[:, None] + correlation[low + 1] * rest[:, None]
        smallest = np.minimum(smallest, rows[:, low] * (1 - rest) + rows[:, low + 1] * rest)
    return smallest


def _largest_around(values: Floats) -> Floats:
    padded = np.pad(values, 1, mode="edge")
    height, width = values.shape
    shifts = [padded[down : down + height, across : across + width] for down in range(3) for across in range(3)]
    return np.asarray(np.max(shifts, axis=0))
