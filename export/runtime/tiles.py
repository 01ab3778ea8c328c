"""Large pictures in little memory: tiles that share the statistics of their norms; needs NumPy and ONNX Runtime only.

Instance norm takes its statistics from the whole picture, so tiles that are stylized one by one do not match. Here mean
and variance are measured once, on windows spread over the picture in full resolution, because a thumbnail lacks its
texture; then every tile is stylized with them. Each tile reaches as far beyond its core as the network sees, so that
there is no seam, and ends where the picture ends, so that the network pads the picture's borders itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.images import Picture, from_planes, to_planes
from export.contract import CELL, INPUT, NOISE, OUTPUT, SMALLEST_SIDE, whole_cells
from export.errors import ModelError
from export.runtime.session import SessionRunner
from export.runtime.tile_graph import TileGraphError, rewrite_for_tiles

TILE_SIDES = (1024, 768, 512, 384, 256, 128)
"""Sides of a tile's core, in pixels, among which is chosen what the memory allows."""

SMALLEST_TILE = 64
"""Smallest side of a tile's core that may be asked for; smaller tiles are mostly halo."""

# Many small windows see more of a picture than few large ones. Against one pass, on six photos side by side with a
# fifth of their pixels measured, for two styles: 30 dB with sides of 128, 22 to 23 with 256, 25 to 28 with a thumbnail.
WINDOW_SIDE = 128
WINDOW_AREAS = tuple(count * WINDOW_SIDE**2 for count in (48, 36, 24, 16))
"""Pixels on which the statistics are measured, as many as the memory allows; a picture of no more is measured whole,
and its tiles then are exact."""

BYTES_AROUND = 8
"""Memory per pixel of the whole picture: the result as an array and, for the file, as Pillow's picture."""

Box = tuple[slice, slice]

Feeds = Mapping[str, npt.NDArray[np.float32]]
"""Inputs of a model by name."""


@dataclass(frozen=True)
class TilePlan:
    """How a picture is cut.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        side: Of a tile's core, in pixels, a multiple of 4.
        halo: Pixels around the core that the tile's own values depend on, a multiple of 4.
        window_area: Pixels on which the statistics are measured.
    """

    height: int
    width: int
    side: int
    halo: int
    window_area: int = WINDOW_AREAS[0]

    @property
    def count(self) -> int:
        """Number of tiles."""
        return -(-self.height // self.side) * -(-self.width // self.side)

    def cores(self) -> Iterator[Box]:
        """Cut the picture into the parts that tiles contribute, row by row."""
        for top in range(0, self.height, self.side):
            for left in range(0, self.width, self.side):
                yield slice(top, min(top + self.side, self.height)), slice(left, min(left + self.side, self.width))

    def surround(self, core: Box) -> Box:
        """Widen a core by the halo, as far as the picture goes."""
        rows, columns = core
        return (
            slice(max(0, rows.start - self.halo), min(self.height, rows.stop + self.halo)),
            slice(max(0, columns.start - self.halo), min(self.width, columns.stop + self.halo)),
        )

    def windows(self) -> list[Box]:
        """Choose the windows whose pixels stand for the picture: a grid of equal squares, or all of a small picture."""
        if self.height * self.width <= self.window_area:
            return [(slice(0, self.height), slice(0, self.width))]
        height, width = min(self.height, WINDOW_SIDE), min(self.width, WINDOW_SIDE)
        count = max(1, self.window_area // (height * width))
        # As many rows as columns, for the picture's proportions.
        rows = min(max(1, round((count * self.height / self.width) ** 0.5)), count)
        tops, lefts = _spread(self.height, height, rows), _spread(self.width, width, max(1, count // rows))
        return [(slice(top, top + height), slice(left, left + width)) for top in tops for left in lefts]

    def memory(self, bytes_per_pixel: int) -> int:
        """Bound the bytes that the picture takes beyond what the process holds, from the bytes per computed pixel."""
        reach = self.side + 2 * self.halo
        tile = min(reach, whole_cells(self.height)) * min(reach, whole_cells(self.width))
        at_work = max(tile, min(self.window_area, whole_cells(self.height) * whole_cells(self.width)))
        return bytes_per_pixel * at_work + BYTES_AROUND * self.height * self.width


Watch = Callable[[TilePlan, int], object]
"""Called with the plan and the number of finished tiles: before the first (0) and after each."""


class TilePainter:
    """Repaint pictures tile by tile.

    Args:
        runner: Opens and runs the rewritten graphs.
        content: The model: an exported file's bytes.
        network: The architecture, from the model's card.

    Raises:
        TileGraphError: If the model's graph cannot be rewritten, or its card does not hold the architecture.
    """

    def __init__(self, runner: SessionRunner, content: bytes, network: Mapping[str, Any]) -> None:
        self._runner = runner
        self._halo = reach(network)
        self._graphs = rewrite_for_tiles(content)

    def plans(self, height: int, width: int, sides: Sequence[int] = TILE_SIDES) -> Iterator[TilePlan]:
        """Offer ways to cut a picture of this size into tiles of these sides, the best first."""
        for window_area in WINDOW_AREAS:
            for side in sides:
                yield TilePlan(max(height, SMALLEST_SIDE), max(width, SMALLEST_SIDE), side, self._halo, window_area)

    def __call__(
        self, picture: Picture, plan: TilePlan, watch: Watch | None = None, chosen: Feeds | None = None
    ) -> Picture:
        """Repaint a picture.

        Args:
            picture: RGB, uint8, shape (H, W, 3), the plan's size.
            plan: How to cut it.
            watch: Called before the first tile and after each.
            chosen: What the model takes besides the picture: its strength.

        Returns:
            The stylized picture, RGB, uint8, shape (H, W, 3).

        Raises:
            ModelError: If ONNX Runtime fails, or returns NaN.
        """
        if watch:
            watch(plan, 0)
        given = {**self.measure(picture, plan, chosen), **(chosen or {})}
        session = self._runner.open(self._graphs.tiles)
        stylized = np.empty_like(picture, order="C")
        for done, core in enumerate(plan.cores(), start=1):
            around = plan.surround(core)
            feeds = {**self._feed(picture, [around]), **given}
            (tile,) = self._runner.run(session, [OUTPUT], feeds, frugal=True)
            inside = tuple(slice(c.start - a.start, c.stop - a.start) for c, a in zip(core, around, strict=True))
            try:
                stylized[core] = from_planes(tile[0][:, *inside])
            except ValueError as error:
                raise ModelError(
                    f"'{self._runner.path}' returned no valid picture ({error}); train or export the style anew"
                ) from error
            if watch:
                watch(plan, done)
        return stylized

    def measure(
        self, picture: Picture, plan: TilePlan, chosen: Feeds | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Measure the norms' statistics on the plan's windows: mean and variance per channel, each of shape (C,)."""
        session = self._runner.open(self._graphs.statistics)
        feeds = {**self._feed(picture, plan.windows()), **(chosen or {})}
        measured = self._runner.run(session, self._graphs.names, feeds, frugal=True)
        return dict(zip(self._graphs.names, measured, strict=True))

    def _feed(self, picture: Picture, boxes: Sequence[Box]) -> dict[str, npt.NDArray[np.float32]]:
        """Cut parts of one size out of a picture, and out of the noise that the whole picture would get."""
        feeds = {INPUT: np.stack([to_planes(picture[box], white=255) for box in boxes])}
        if self._graphs.noise is not None:
            feeds[NOISE] = np.stack([_cut_noise(self._graphs.noise, box)[None] for box in boxes])
        return feeds


def reach(network: Mapping[str, Any]) -> int:
    """Return how far around a pixel the network sees between its norms, rounded up to whole cells.

    Computed layer by layer, backwards from the first pixel of a cell to the leftmost pixel that it depends on; to the
    right, and from a cell's last pixel, the distance is never larger.

    Args:
        network: The architecture: ``residual_blocks`` and ``upsampling``.

    Returns:
        Pixels: 56 for five residual blocks and nearest-neighbor upsampling.

    Raises:
        TileGraphError: If the architecture is not given.
    """
    try:
        blocks, shuffled = int(network["residual_blocks"]), network["upsampling"] == "pixel_shuffle"
    except (KeyError, TypeError, ValueError) as error:
        raise TileGraphError(f"its card does not tell the network's {error}") from error
    position = -4  # The last convolution, 9x9.
    for _ in range(2):
        position = position // 2 - 1 if shuffled else (position - 1) // 2
    position -= 2 * blocks
    for _ in range(2):
        position = 2 * position - 1
    return whole_cells(4 - position)  # The first convolution, 9x9.


def _cut_noise(tile: npt.NDArray[np.float32], box: Box) -> npt.NDArray[np.float32]:
    """Cut a box out of a picture that a tile fills, repeated from the upper left corner on: shape (H, W)."""
    rows, columns = (np.arange(side.start, side.stop) % length for side, length in zip(box, tile.shape, strict=True))
    return tile[np.ix_(rows, columns)]


def _spread(length: int, side: int, count: int) -> list[int]:
    """Place intervals in the middle of equal parts of a length, on whole cells."""
    starts = (round((index + 0.5) * length / count - side / 2) for index in range(count))
    return [max(0, min(start, length - side)) // CELL * CELL for start in starts]
