"""Receptive fields: which pixels of the picture one unit of a layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """What a unit sees of the layer before it, along rows or along columns.

    Args:
        size: Neighboring units that it sees.
        stride: Units between the windows of two neighbors.
        padding: Units by which the first window begins before the first unit.
        enlarged: How many times each unit of the layer before is repeated first (nearest-neighbor upsampling).
    """

    size: int
    stride: int = 1
    padding: int = 0
    enlarged: int = 1


def trace_field(windows: Sequence[Window], index: int) -> tuple[int, int]:
    """Follow a unit back to the pixels.

    Args:
        windows: Those of all layers as far as the unit's, from the picture on.
        index: The unit's row, or its column.

    Returns:
        The first and the last row, or column, of the pixels that it sees. Both may lie outside of the picture, where
        the network sees its padding.
    """
    first = last = index
    for window in reversed(windows):
        first = (first * window.stride - window.padding) // window.enlarged
        last = (last * window.stride - window.padding + window.size - 1) // window.enlarged
    return first, last


def field_size(windows: Sequence[Window]) -> int:
    """Return the side, in pixels, of a unit's receptive field; of several sizes the largest."""
    # Behind each enlargement by two, neighbors differ in turn: their sizes repeat after 4 for a style network's two.
    fields = [trace_field(windows, index) for index in range(4)]
    return max(last - first + 1 for first, last in fields)


def unit_spacing(windows: Sequence[Window]) -> float:
    """Return the pixels between the receptive fields of two neighboring units, on average."""
    spacing = 1.0
    for window in windows:
        spacing *= window.stride / window.enlarged
    return spacing


def find_inside(windows: Sequence[Window], units: int, side: int) -> tuple[int, int]:
    """Find the units whose receptive fields lie in the picture.

    Args:
        windows: Those of all layers as far as the units'.
        units: How many there are along a side of the picture.
        side: Pixels of that side.

    Returns:
        The first of them, and the first beyond the last; all units if there are none.
    """
    fields = [trace_field(windows, index) for index in range(units)]
    inside = [index for index, (first, last) in enumerate(fields) if first >= 0 and last < side]
    return (inside[0], inside[-1] + 1) if inside else (0, units)
