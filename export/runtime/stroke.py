"""Larger and finer strokes: the network works on the photo at another scale; NumPy and Pillow only.

Twice as large strokes come from the photo at half scale. The painting is then scaled up, which leaves it soft, and what
the smaller photo had lost comes back from the photo's own edges: ``enlarge`` says how. Finer strokes come from the
photo scaled up, and the painting is scaled down. Pictures are scaled block by block, so that no whole picture is
in memory as float32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL.Image import Resampling

from data.images import Picture, from_planes, to_planes
from export.runtime.color import luma

LEAST, MOST = 0.25, 8.0
"""Smallest and largest stroke: multiples of what the style was trained with."""

RADIUS = 2
"""Of the windows in which the painting is fitted to the photo, in pixels of the smaller pictures."""

STEADINESS = 25.0
"""Added to the photo's variance in a window (the guided filter's epsilon), in squared levels of 255: a window that is
much flatter takes nothing from the photo."""

DETAIL = 100.0
"""Variance lost by scaling down, in squared levels of 255, at which strokes recede half of the way."""

LEAST_SHARE = 1 / 3
"""Share of the strokes that is left where the photo has nothing but detail."""

SHARPNESS = 2.5
"""By how much a stroke's difference from its surroundings is raised before it is scaled up."""

BLOCK = 512
"""Side of the squares, in pixels of the larger picture, that are computed one at a time."""

# How far the maps reach, in pixels of the smaller picture: two windows, and a pixel for scaling up.
_HALO = 2 * RADIUS + 1
# The same for Lanczos, the widest of the filters.
_SUPPORT = 3
# Planes of float32 that are alive while a block is computed.
_PLANES = 60

Values = npt.NDArray[np.floating[Any]]
Block = tuple[slice, slice]


def check_stroke(stroke: float) -> None:
    """Raise ValueError if a stroke is not a number from 0.25 to 8."""
    if not LEAST <= stroke <= MOST:
        raise ValueError(f"stroke is {stroke}; it must be from {LEAST:g} to {MOST:g}, and 1 is the style as trained")


def scale_size(height: int, width: int, stroke: float) -> tuple[int, int]:
    """Return height and width of the picture that the network works on: each divided by the stroke, at least 1."""
    return max(1, int(height / stroke + 0.5)), max(1, int(width / stroke + 0.5))


def memory_around(height: int, width: int, stroke: float) -> int:
    """Bound the bytes that a stroke takes beside what the network does for the picture of ``scale_size``.

    Those are the result, as bytes and as Pillow's picture, the scaled photo, what it has lost, and one block; nothing
    for a stroke of 1, which scales nothing.
    """
    if stroke == 1:
        return 0
    pixels, scaled = height * width, math.prod(scale_size(height, width, stroke))
    return 8 * pixels + (7 if stroke > 1 else 3) * scaled + 4 * _PLANES * min(max(pixels, scaled), BLOCK**2)


def scale_photo(photo: Picture, stroke: float) -> Picture:
    """Scale a photo to what the network works on: Lanczos (three lobes) down, bicubic (a = -0.5) up.

    Computed in float32, with pixel centers at half steps, filters as wide as the pixels of the smaller picture and
    weights that sum to 1 at the borders, too, as Pillow has them; rounded to the nearest and clamped once.

    Args:
        photo: RGB, uint8, shape (H, W, 3).
        stroke: From 0.25 to 8.

    Returns:
        RGB, uint8, of the height and width that ``scale_size`` gives.
    """
    height, width = photo.shape[:2]
    kind = Resampling.LANCZOS if stroke > 1 else Resampling.BICUBIC
    return _scale_picture(photo, *scale_size(height, width, stroke), kind)


def shrink(painted: Picture, height: int, width: int) -> Picture:
    """Scale a painting of finer strokes down to the photo's size, as ``scale_photo`` does: uint8, (H, W, 3)."""
    return _scale_picture(painted, height, width, Resampling.LANCZOS)


def enlarge(painted: Picture, scaled: Picture, photo: Picture) -> Picture:
    """Scale a painting of larger strokes up to the photo's size, with the edges of the photo.

    Three pictures were compared by eye, on a portrait and a skyline in two styles: the painting scaled up plainly is
    soft and has lost eyes and windows; a guided filter (He, Sun and Tang 2013; He and Sun 2015 for its fast form) draws
    the photo's edges but wipes out the strokes; the sum below keeps both, strokes with firm borders where the photo is
    flat, and the photo's drawing where it has detail.

    With p the painting, s the scaled photo's luma and P the photo's luma, values of 0 to 255, means and variances over
    windows of 5 x 5 pixels of the smaller pictures, borders repeated, and everything per color channel of p:

    - a = (mean(s p) - mean(s) mean(p)) / (variance(s) + 25), b = mean(p) - a mean(s), both then averaged over 5 x 5:
      the painting as a function of the photo.
    - v = T(P P) - T(P) T(P) with T scaling down to the smaller size by a triangle filter: what scaling lost, averaged
      twice over 3 x 3; m = 1/3 + 2/3 * 100 / (100 + v).
    - q = p + 2.5 (p - mean of p over 3 x 3), and the least and the largest of p in 3 x 3: firm strokes and the range
      that they are clamped to.

    With U scaling up bilinearly (pixel centers at half steps, borders repeated), the result is

    ``U(a) P + U(b) + U(m) (clamp(U(q), U(least), U(largest)) - U(a s + b))``,

    rounded to the nearest and clamped.

    Args:
        painted: RGB, uint8, shape (h, w, 3).
        scaled: What was painted: the photo as ``scale_photo`` returns it, same shape.
        photo: RGB, uint8, shape (H, W, 3).

    Returns:
        RGB, uint8, shape (H, W, 3).
    """
    height, width = photo.shape[:2]
    lost = _measure_lost(photo, *scaled.shape[:2])
    enlarged = np.empty(photo.shape, np.uint8)
    for block in _blocks(height, width, BLOCK):
        around, box = _source(block, (height, width), lost.shape, _HALO)
        maps = _maps(to_planes(painted[around], white=255), luma(scaled[around]), lost[around])
        maps = [_resample(plane, box, enlarged[block].shape[:2]) for plane in maps]
        gain, offset, firm, least, largest, fitted = (np.stack(maps[first : first + 3]) for first in range(0, 18, 3))
        strokes = maps[18] * (np.clip(firm, least, largest) - fitted)
        enlarged[block] = from_planes(gain * luma(photo[block]) + offset + strokes)
    return enlarged


def _maps(painted: Values, scaled: Values, lost: Values) -> list[Values]:
    """Compute what is scaled up from planes of shape (3, h, w), (h, w) and (h, w).

    Returns:
        Planes of shape (h, w): three each for gain, offset, firm strokes, their least and largest values and the fitted
        painting, and one for the share of the strokes.
    """
    mean, guide = _average(painted, RADIUS), _average(scaled, RADIUS)
    covariance = _average(scaled * painted, RADIUS) - guide * mean
    variance = _average(scaled * scaled, RADIUS) - guide * guide
    gain: Values = covariance / (variance + STEADINESS)
    offset = _average(mean - gain * guide, RADIUS)
    gain = _average(gain, RADIUS)
    firm = painted + SHARPNESS * (painted - _average(painted, 1))
    least, largest = (_combine(painted, 1, choose) for choose in (np.minimum, np.maximum))
    share = LEAST_SHARE + (1 - LEAST_SHARE) * DETAIL / (DETAIL + _average(_average(lost, 1), 1))
    return [*gain, *offset, *firm, *least, *largest, *(gain * scaled + offset), share]


def _average(values: Values, radius: int) -> Values:
    """Average over windows of ``2 * radius + 1`` values on each side, borders repeated."""
    return _combine(values, radius, np.add) / np.float32((2 * radius + 1) ** 2)


def _combine(values: Values, radius: int, combine: Callable[[Values, Values], Values]) -> Values:
    """Combine the values of each window of the last two axes, one axis after the other."""
    for _ in range(2):
        length = values.shape[-2]
        padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(radius, radius), (0, 0)], mode="edge")
        rows = (padded[..., start : start + length, :] for start in range(2 * radius + 1))
        values = functools.reduce(combine, rows).swapaxes(-1, -2)
    return values


def _measure_lost(photo: Picture, height: int, width: int) -> Values:
    """Measure the variance that the photo's luma loses when it is scaled down: shape (height, width)."""
    lost = np.empty((height, width), np.float32)
    for block in _blocks(height, width, int(BLOCK * min(height / photo.shape[0], width / photo.shape[1]))):
        around, box = _source(block, (height, width), photo.shape, 1)
        light = luma(photo[around])
        mean, square = (_resample(values, box, lost[block].shape) for values in (light, light * light))
        lost[block] = np.maximum(square - mean * mean, 0)
    return lost


def _scale_picture(picture: Picture, height: int, width: int, kind: Resampling) -> Picture:
    result = np.empty((height, width, 3), np.uint8)
    for block in _blocks(height, width, int(BLOCK * min(height / picture.shape[0], width / picture.shape[1], 1))):
        around, box = _source(block, (height, width), picture.shape, _SUPPORT)
        # Pillow would round between the two directions if these were bytes.
        planes = to_planes(picture[around], white=255)
        result[block] = from_planes(
            np.stack([_resample(plane, box, result[block].shape[:2], kind) for plane in planes])
        )
    return result


def _blocks(height: int, width: int, side: int) -> Iterator[Block]:
    """Cut a picture into squares of a side, smaller at the right and at the bottom."""
    side = max(1, side)
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))


def _source(
    block: Block, size: tuple[int, int], source: Sequence[int], support: int
) -> tuple[Block, tuple[float, float, float, float]]:
    """Find what a block is scaled from.

    Args:
        block: Of the picture that is made.
        size: Height and width of that picture.
        source: Height and width of the picture that it is made from.
        support: How far the filter reaches, in pixels of the smaller of the two pictures.

    Returns:
        The block of the source that the filter reaches, and the part of it that becomes the block, as Pillow has it:
        left, top, right and bottom in pixels.
    """
    found, edges = [], []
    for part, length, available in zip(block, size, source, strict=False):
        step = available / length
        reach = support * max(step, 1) + 1
        start = max(0, int(part.start * step - reach))
        found.append(slice(start, min(available, math.ceil(part.stop * step + reach))))
        edges.append((part.start * step - start, part.stop * step - start))
    (top, bottom), (left, right) = edges
    return (found[0], found[1]), (left, top, right, bottom)


def _resample(
    values: Values,
    box: tuple[float, float, float, float],
    size: Sequence[int],
    kind: Resampling = Resampling.BILINEAR,
) -> Values:
    """Scale a part of a plane to a height and a width; filters are as wide as the pixels of the smaller of the two."""
    height, width = size
    plane = PIL.Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(plane.resize((width, height), kind, box))
