"""Artifacts of stylized pictures as numbers: blotches, checkerboards, lattices, bad borders, saturated pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.compare.flat import box_mean, find_flat
from train.compare.lattice import find_lattice

Picture = NDArray[np.uint8]

BLOTCH = 40
"""Levels of 255 by which a spot must differ from its surroundings to count."""

STRIDES = (2, 4)
"""Strides in pixels of style networks: their checkerboards repeat every 2 or 4 pixels."""


@dataclass(frozen=True)
class Artifacts:
    """Artifacts of one picture, each near 0 for a clean one except the checkerboard, which is 1 to 4 in noise.

    Args:
        blotches: Share of the photo's flat area that spots cover, 0 to 1.
        checkerboard: Power at the strides' frequencies, divided by that of the frequencies around; 1 to 4 in noise.
        lattice: Share of the fine structure in the photo's flat areas that repeats every 3 to 32 pixels, 0 to 1.
        border: Mean difference of the outermost pixels from those further in, less the difference within the latter and
            less what the photo itself has, 0 to 1.
        saturation: Share of pixels with a channel at either end of its range, 0 to 1.
    """

    blotches: float
    checkerboard: float
    lattice: float
    border: float
    saturation: float


THRESHOLDS = Artifacts(blotches=0.05, checkerboard=10.0, lattice=0.15, border=0.08, saturation=0.25)
"""Values above which an artifact is visible; set between clean pictures and pictures with a planted artifact, see
test_artifacts.py and test_lattice.py.

Lattices: 358 photos and 179 paintings have at most 0.09, drawn brush strokes 0.07. The visible hatching of a style in
flat skies has 0.3, planted lattices of 4 levels of 255 in a sky with a little noise have 0.17 and more.
"""


def measure_artifacts(photo: Picture, picture: Picture) -> Artifacts:
    """Measure a stylized picture against its photo, both uint8 RGB of one shape (H, W, 3), each side at least 64."""
    return Artifacts(
        blotches=measure_blotches(photo, picture),
        checkerboard=measure_checkerboard(picture),
        lattice=find_lattice(photo, picture).strength,
        border=max(0.0, measure_border(picture) - max(0.0, measure_border(photo))),
        saturation=measure_saturation(picture),
    )


def measure_blotches(photo: Picture, picture: Picture) -> float:
    """Return the share of the photo's flat area where the picture has spots larger than its strokes."""
    flat = find_flat(photo)
    if flat.mean() < 0.01:
        return 0.0
    spots = np.zeros(flat.shape)
    for channel in range(3):
        values = picture[..., channel].astype(np.float64)
        spots = np.maximum(spots, np.abs(box_mean(values, 3) - box_mean(values, 16)))
    return float((spots[flat] > BLOTCH).mean())


def measure_checkerboard(picture: Picture) -> float:
    """Return the largest ratio of the power at a stride's frequencies to that of the frequencies around them."""
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
                # The window spreads a point of the spectrum over its neighbors. A straight edge in the picture gives a
                # line in the spectrum, so that the row and the column around the point are taken as surroundings, too.
                peak = around[6:9, 6:9].mean()
                usual = max(np.median(part) for part in (around, around[6:9], around[:, 6:9]))
                largest = max(largest, float(peak / max(usual, 1e-9)))
    return largest


def measure_border(picture: Picture, band: int = 4) -> float:
    """Return the mean difference of the outermost band from a band further in, less that of the latter from the next.

    The largest of the four sides counts. Bands are ``band`` pixels wide and as far apart.
    """
    values = picture.astype(np.float64) / 255
    worst = -1.0
    for turned in (values, values[::-1], values.transpose(1, 0, 2), values.transpose(1, 0, 2)[::-1]):
        outer, middle, inner = (turned[start : start + band].mean(0) for start in (0, 2 * band, 4 * band))
        worst = max(worst, float(np.abs(outer - middle).mean() - np.abs(middle - inner).mean()))
    return worst


def measure_saturation(picture: Picture) -> float:
    """Return the share of pixels with a channel at 0 or 255."""
    return float(((picture == 0) | (picture == 255)).any(2).mean())


def _wrap(power: NDArray[np.float64], row: int, column: int, reach: int) -> NDArray[np.float64]:
    rows = np.arange(row - reach, row + reach + 1)
    columns = np.arange(column - reach, column + reach + 1)
    return power.take(rows, 0, mode="wrap").take(columns, 1, mode="wrap")
