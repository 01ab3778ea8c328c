"""Keep what stands still from flickering: a cheap filter over the painted frames of a clip, in NumPy.

A network repaints every frame anew, and the noise of a sensor, which nobody sees in the clip, makes its strokes come
and go. Where the clip hardly changes, this filter eases the painted picture from the one before to the new one. It
compares with a photo that is eased likewise, so that slow changes add up and are followed, and nothing trails behind
what moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.images import Picture, round_to_bytes

HOLD = 0.85
"""Share of the earlier picture where nothing changes: a new one has taken over by half after four frames."""

BLOCK = 4
"""Side, in pixels, of the squares in which changes are measured."""

STILL, MOVING = 1.5, 3.0
"""Change, as a multiple of the noise, up to which all of ``HOLD`` applies, and from which nothing does."""

LEAST_NOISE, MOST_NOISE = 0.75, 3.0
"""Bounds of the noise, in levels of 255 on the average of a block: below are rounding and compression; above, what a
quarter of the picture has is motion."""

QUIET = 0.25
"""Share of the blocks that is taken to change by nothing but noise, from which the noise is measured."""


class Steady:
    """The filter for the frames of one clip, called in their order."""

    def __init__(self) -> None:
        self._photo: NDArray[np.float32] | None = None
        self._painted: NDArray[np.float32] | None = None

    def __call__(self, photo: Picture, painted: Picture) -> Picture:
        """Ease a painted frame towards the one before.

        Args:
            photo: The clip's frame, RGB, uint8, shape (H, W, 3).
            painted: What the network made of it, likewise.

        Returns:
            The eased frame, likewise; ``painted`` itself for the first frame and for one of another size.
        """
        if self._photo is None or self._painted is None or self._photo.shape != photo.shape:
            self._photo, self._painted = photo.astype(np.float32), painted.astype(np.float32)
            return painted
        difference = photo - self._photo
        change = spread_change(np.abs(difference))
        noise = np.clip(np.quantile(change, QUIET), LEAST_NOISE, MOST_NOISE)
        hold = HOLD * np.clip((MOVING - change / noise) / (MOVING - STILL), 0, 1)
        new = enlarge(1 - hold, *photo.shape[:2])[..., None]
        difference *= new
        self._photo += difference
        self._painted += new * (painted - self._painted)
        return round_to_bytes(self._painted)


def spread_change(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure the change of every block, and give each the largest of its neighbors' and its own.

    Args:
        difference: Absolute differences, shape (H, W, C).

    Returns:
        Averages over blocks, those at the right and lower edge of what is left there, shape (H / 4, W / 4) rounded up.
    """
    height, width, channels = difference.shape
    rows, columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    # Sums over rows first, which lie in memory as they are added.
    sums = np.add.reduceat(difference.reshape(height, -1), rows, axis=0).reshape(len(rows), width, channels)
    sums = np.add.reduceat(sums.sum(2), columns, axis=1)
    counts = np.outer(np.minimum(height - rows, BLOCK), np.minimum(width - columns, BLOCK)) * channels
    padded = np.pad(sums / counts.astype(np.float32), 1, mode="edge")
    across = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    spread: NDArray[np.float32] = np.maximum(np.maximum(across[:-2], across[1:-1]), across[2:])
    return spread


def enlarge(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Interpolate values at the centers of blocks, shape (H / 4, W / 4) rounded up, linearly to shape (H, W)."""
    return _enlarge_rows(_enlarge_rows(values.astype(np.float32), height).T, width).T


def _enlarge_rows(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    places = np.clip((np.arange(length, dtype=np.float32) + 0.5) / BLOCK - 0.5, 0, len(values) - 1)
    before = places.astype(np.intp)
    after = np.minimum(before + 1, len(values) - 1)
    share = (places - before)[:, None].astype(np.float32)
    enlarged: NDArray[np.float32] = values[before] + share * (values[after] - values[before])
    return enlarged
