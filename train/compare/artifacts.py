"""Defects of stylized pictures as numbers: blotches, checkerboards, bad borders, saturation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

FLAT = 8
"""Standard deviation, in levels of 255, below which a neighborhood of 41 x 41 pixels of a photo counts as flat."""

BLOTCH = 40
"""Levels by which a spot must differ from its surroundings to be one."""

STRIDES = (2, 4)
"""Strides at which networks of this family sample: their checkerboards repeat every 2 or 4 pixels."""


class Artifacts(NamedTuple):
    """Defects of one picture, each 0 or near it for a clean one.

    Args:
        blotches: Share of the photo's flat area that spots cover, 0 to 1.
        checkerboard: Power at the strides' frequencies over that of their surroundings; noise has 1 to 4.
        border: How much more the outermost pixels differ from those further in than those do among themselves, 0 to 1.
        saturation: Share of pixels with a channel at either end of its range, 0 to 1.
    """

    blotches: float
    checkerboard: float
    border: float
    saturation: float


THRESHOLDS = Artifacts(blotches=0.05, checkerboard=10.0, border=0.08, saturation=0.25)
"""Above these a user would see it; set between clean pictures and such with a planted defect (test_artifacts)."""


def measure_artifacts(photo: Pixels, picture: Pixels) -> Artifacts:
    """Measure a stylized picture against its photo, both RGB, uint8, of one shape (H, W, 3), sides from 64 up."""
    return Artifacts(
        blotches=measure_blotches(photo, picture),
        checkerboard=measure_checkerboard(picture),
        border=max(0.0, measure_border(picture) - max(0.0, measure_border(photo))),
        saturation=measure_saturation(picture),
    )


def measure_blotches(photo: Pixels, picture: Pixels) -> float:
    """Return the share of the photo's flat area where the picture has spots larger than its strokes."""
    light = photo.astype(np.float64).mean(2)
    mean, square = _blur(light, 20), _blur(light**2, 20)
    flat = np.sqrt(np.maximum(square - mean**2, 0)) < FLAT
    if flat.mean() < 0.01:
        return 0.0
    spots = np.zeros(flat.shape)
    for channel in range(3):
        values = picture[..., channel].astype(np.float64)
        spots = np.maximum(spots, np.abs(_blur(values, 3) - _blur(values, 16)))
    return float((spots[flat] > BLOTCH).mean())


def measure_checkerboard(picture: Pixels) -> float:
    """Return how far the power at the strides' frequencies stands out from its surroundings, at most."""
    light = picture.astype(np.float64).mean(2)
    height, width = (side - side % 8 for side in light.shape)
    light = light[:height, :width] - light.mean()
    window = np.hanning(height)[:, None] * np.hanning(width)[None]
    power = np.abs(np.fft.fft2(light * window)) ** 2
    largest = 0.0
    for stride in STRIDES:
        for down in range(stride):
            for across in range(stride):
                if (down, across) == (0, 0):
                    continue
                row, column = down * height // stride, across * width // stride
                around = _wrap(power, row, column, 7)
                # The window spreads a point of the spectrum over its neighbors; a straight edge in the picture gives a
                # whole line, against which a point on it is measured.
                peak = around[6:9, 6:9].mean()
                usual = max(np.median(part) for part in (around, around[6:9], around[:, 6:9]))
                largest = max(largest, float(peak / max(usual, 1e-9)))
    return largest


def measure_border(picture: Pixels, band: int = 4) -> float:
    """Return how much the outermost band differs from the next but one, beyond what that does from the following."""
    values = picture.astype(np.float64) / 255
    worst = -1.0
    for turned in (values, values[::-1], values.transpose(1, 0, 2), values.transpose(1, 0, 2)[::-1]):
        outer, middle, inner = (turned[start : start + band].mean(0) for start in (0, 2 * band, 4 * band))
        worst = max(worst, float(np.abs(outer - middle).mean() - np.abs(middle - inner).mean()))
    return worst


def measure_saturation(picture: Pixels) -> float:
    """Return the share of pixels with a channel at 0 or 255."""
    return float(((picture == 0) | (picture == 255)).any(2).mean())


def _blur(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    # A box mean by sums over rows and columns: Pillow blurs no floating-point pictures.
    padded = np.pad(values, radius, mode="edge")
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    size = 2 * radius + 1
    total = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return np.asarray(total / size**2)


def _wrap(power: NDArray[np.float64], row: int, column: int, reach: int) -> NDArray[np.float64]:
    rows = np.arange(row - reach, row + reach + 1)
    columns = np.arange(column - reach, column + reach + 1)
    return power.take(rows, 0, mode="wrap").take(columns, 1, mode="wrap")
