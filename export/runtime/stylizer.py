"""Run an exported style from Python: ``Stylizer("wave.onnx")(array) -> array``; needs ONNX Runtime and no torch."""

from __future__ import annotations

import functools
import json
import numbers
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from data.images import Picture
from export.contract import (
    CELL,
    FORMAT,
    INPUT,
    MOST_STRENGTH,
    OUTPUT,
    PREFIX,
    PRODUCER,
    SMALLEST_SIDE,
    STRENGTH,
    has_seal,
    name_network,
    whole_cells,
)
from export.errors import ModelError
from export.runtime.blend import Blend
from export.runtime.color import keep_color
from export.runtime.layout import read_layout
from export.runtime.memory import available_memory, bytes_per_pixel
from export.runtime.probe import open_probe, probe
from export.runtime.session import CPU, SessionRunner, find_provider, first_line, read_model, refuse_ort_format
from export.runtime.stroke import check_stroke, enlarge, memory_around, scale_photo, scale_size, shrink
from export.runtime.tile_graph import TileGraphError
from export.runtime.tiles import SMALLEST_TILE, TILE_SIDES, Feeds, TilePainter, TilePlan, Watch
from export.styles import list_styles

__all__ = ["MemoryBudgetError", "ModelCard", "ModelError", "Stylizer", "find_provider"]


MAX_BLOCKS = 1000
"""Residual blocks that a model's metadata may state; 5 are usual."""

MAX_BYTES_PER_PIXEL = 1_000_000
"""Memory per pixel that a model's metadata may state; 672 are usual."""


class MemoryBudgetError(ModelError):
    """A picture needs more memory than is available; the message names the size that fits."""


@dataclass(frozen=True)
class ModelCard:
    """The metadata of an exported file.

    Args:
        style: The style's name.
        license: Under what terms the network may be used.
        training_config: The whole configuration of the run, as YAML.
        project_version: The version of this program that trained it.
        perceptual_source: Where the weights of the frozen perceptual network came from.
        steps: Optimizer steps taken.
        network: The architecture: width, residual blocks, padding, upsampling.
        bytes_per_pixel: Bound of the memory that one pixel of a picture takes.
        held_out_loss: The network's loss on photos held out from its training; None where it was not measured.
    """

    style: str
    license: str
    training_config: str
    project_version: str
    perceptual_source: str
    steps: int
    network: dict[str, Any]
    bytes_per_pixel: int
    held_out_loss: float | None = None


class Stylizer:
    """Repaint pictures in the style of an exported file.

    Args:
        path: A file that ``python -m export`` wrote, or any ONNX file of the same contract; or what ``blend_styles``
            returned.
        threads: CPU threads for one picture; None for one per core.
        provider: Where to compute: a name that ONNX Runtime lists, short (``cuda``) or long
            (``CUDAExecutionProvider``); None for the CPU.
        memory_limit: Bytes that one picture may take; None for nine tenths of what is free at the time (on the CPU
            only, elsewhere unlimited). A picture that would take more is cut into tiles.
        tile: Side, in pixels, of the tiles into which larger pictures are cut, whatever the memory; a multiple of 4
            from 64 up. None cuts only what does not fit, into tiles of a side that does.

    Raises:
        ModelError: If the file is absent, broken, changed since its export, or of another contract, takes too much
            memory or time for a small picture, or the provider is not available.
        TypeError: If threads or tile is not an integer, or memory_limit not a number.
        ValueError: If there is less than one thread, or less than no memory, or the tile is not such a side.

    Attributes:
        card: The file's metadata; None for a file that this project did not write.
        layout: Whether it takes float32 or bytes, and the one size that it may be fixed to.
    """

    def __init__(
        self,
        path: str | Path | Blend,
        threads: int | None = None,
        provider: str | None = None,
        memory_limit: int | None = None,
        tile: int | None = None,
    ) -> None:
        tile, threads = _read_integer("tile", tile), _read_integer("threads", threads)
        if tile is not None and (tile < SMALLEST_TILE or tile % CELL):
            raise ValueError(f"tile is {tile}; it must be a multiple of {CELL} from {SMALLEST_TILE} up, or None")
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; it must be at least 1, or None for one per core")
        _check_memory_limit(memory_limit)
        self.path = path.path if isinstance(path, Blend) else Path(path)
        # What opens it again, elsewhere perhaps.
        self._source = path if isinstance(path, Blend) else self.path.absolute()
        self.provider = find_provider(provider)
        self.memory_limit = memory_limit
        self.tile = tile
        self._content = path.content if isinstance(path, Blend) else _read_content(self.path)
        self._runner = SessionRunner(self.path, self.provider, threads)
        trial = open_probe(self.path, self._content, self.provider, threads)
        try:
            self.card = _read_card(self.path, self._content, trial.get_modelmeta())
            probe(self.path, trial)
            del trial
            self._session = self._runner.open(self._content)
            self.layout = read_layout(self.path, self._session)
        except UnicodeDecodeError as error:
            raise ModelError(f"model '{self.path}' holds text that is not UTF-8 ({error}); export it again") from error
        self._bytes_per_pixel = self.card.bytes_per_pixel if self.card else bytes_per_pixel(width=32, lean=False)

    @property
    def name(self) -> str:
        """The style's name, as ``name_network`` has it."""
        return name_network(self.path, self.card.style if self.card else "")

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled and copied as what was opened and how: the session of ONNX Runtime cannot be."""
        return type(self), (self._source, self._runner.threads, self.provider, self.memory_limit, self.tile)

    def __call__(
        self,
        picture: Picture,
        watch: Watch | None = None,
        *,
        strength: float = 1,
        preserve_color: bool = False,
        stroke: float = 1,
    ) -> Picture:
        """Repaint a picture, in one piece or in tiles that share its norms' statistics.

        Args:
            picture: RGB, uint8, shape (H, W, 3), any size; sides under 16 pixels are padded, and cropped at the end.
            watch: Called before the first tile and after each, if the picture is cut into tiles.
            strength: Of the style, from 0 (the picture itself) to 1.5; 1 is the style as trained, and all that files
                have which were exported without ``--strength``.
            preserve_color: Keep the picture's own colors and take only brightness from the style, as
                ``export.runtime.color.keep_color`` says.
            stroke: Size of the strokes, 0.25 to 8, as a multiple of what the style was trained with; the network works
                on the picture at ``1 / stroke`` of its size, as ``export.runtime.stroke.enlarge`` says.

        Returns:
            The stylized picture, RGB, uint8, shape (H, W, 3), rounded to the nearest.

        Raises:
            TypeError: If the picture is not an array of uint8.
            ValueError: If its shape is not (H, W, 3) with at least one pixel, or strength or stroke is out of range.
            MemoryBudgetError: If it needs more memory than is available.
            ModelError: If the file takes no strength and another than 1 is given, or ONNX Runtime fails, or returns NaN
                or another shape.
        """
        _check_picture(picture)
        chosen = self.check_controls(strength, stroke)
        if stroke != 1 and strength == 0:
            # Scaling would soften what the style is to leave as it is.
            return picture.copy()
        height, width = picture.shape[:2]
        budget = self._budget()
        plan = self._plan(height, width, budget, stroke)
        scaled = picture if stroke == 1 else scale_photo(picture, stroke)
        painted = self._paint(scaled, plan, budget, watch, chosen)
        if stroke > 1:
            painted = enlarge(painted, scaled, picture)
        elif stroke < 1:
            painted = shrink(painted, height, width)
        return keep_color(painted, picture) if preserve_color else painted

    def check_controls(self, strength: float = 1, stroke: float = 1) -> Feeds:
        """Check, before any picture is read, that the style can be painted so.

        Args:
            strength: As for a picture.
            stroke: As for a picture.

        Returns:
            What the network is fed beside pictures.

        Raises:
            ValueError: If one is out of range.
            ModelError: If the file takes no strength, or pictures of one size only, and another than 1 is given.
        """
        check_stroke(stroke)
        chosen = self._choose_strength(strength)
        if stroke != 1 and self.layout.size:
            raise ModelError(
                f"'{self.path}' takes pictures of one size only; leave out --stroke, or export without --size"
            )
        return chosen

    def _paint(
        self, picture: Picture, plan: TilePlan | None, budget: int | None, watch: Watch | None, chosen: Feeds
    ) -> Picture:
        """Repaint a picture at its own size."""
        height, width = picture.shape[:2]
        below, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
        if below or right:
            picture = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        self._check_size(picture)
        if plan:
            return self._painter(picture, plan, watch, chosen)[:height, :width]
        batch = self.layout.pack(picture)
        # Returning memory costs a tenth of the time, so that a picture which needs little of it keeps it for the next.
        frugal = budget is not None and 4 * self.estimate_memory(height, width) > budget
        (stylized,) = self._runner.run(self._session, [OUTPUT], {INPUT: batch, **chosen}, frugal)
        if stylized.shape != batch.shape:
            raise ModelError(
                f"'{self.path}' returned shape {stylized.shape} for shape {batch.shape}, and must keep the shape; "
                "export the style with python -m export"
            )
        try:
            pixels = self.layout.unpack(stylized)
        except ValueError as error:
            raise ModelError(
                f"'{self.path}' returned no valid picture ({error}); train or export the style anew"
            ) from error
        return np.ascontiguousarray(pixels[:height, :width])

    def estimate_memory(self, height: int, width: int, stroke: float = 1) -> int:
        """Bound the bytes that a picture of this size takes beyond what the process holds already."""
        scaled_height, scaled_width = scale_size(height, width, stroke)
        network = self._bytes_per_pixel * _cells(scaled_height) * _cells(scaled_width)
        return network + memory_around(height, width, stroke)

    def largest_side(self, height: int, width: int, budget: int, stroke: float = 1) -> int | None:
        """Find how large a picture of this shape may be.

        Args:
            height: In pixels.
            width: In pixels.
            budget: Bytes.
            stroke: Size of the strokes that it is painted with.

        Returns:
            The long side, in pixels, to which the picture has to be scaled down; None if no size fits.
        """
        longest = max(height, width)
        side = min(longest, int(longest * (budget / self.estimate_memory(height, width, stroke)) ** 0.5))
        while side >= 1:
            if self.estimate_memory(round(height * side / longest), round(width * side / longest), stroke) <= budget:
                return side
            side -= 1
        return None

    def _choose_strength(self, strength: float) -> Feeds:
        if not 0 <= strength <= MOST_STRENGTH:
            raise ValueError(
                f"strength is {strength}; it must be from 0 to {MOST_STRENGTH}, 1 for the style as trained"
            )
        if self.layout.strength:
            return {STRENGTH: np.array(strength, np.float32)}
        if strength != 1:
            raise ModelError(
                f"model '{self.path}' has no strength other than 1, and {strength:g} was asked for; leave it out, or "
                "use a style that has learned it, such as wave or udnie, or a file that python -m export --strength "
                "wrote"
            )
        return {}

    def _budget(self) -> int | None:
        if self.memory_limit is not None or self.provider != CPU:
            return self.memory_limit
        free = available_memory()
        # A tenth is left for other processes.
        return None if free is None else free * 9 // 10

    def keep_budget(self) -> None:
        """Let all pictures from now on take what is free now, so that all of one size are painted alike."""
        self.memory_limit = self._budget()

    def _plan(self, height: int, width: int, budget: int | None, stroke: float = 1) -> TilePlan | None:
        """Choose how to cut a picture, None for not at all; raise MemoryBudgetError if it does not fit either way."""
        scaled = scale_size(height, width, stroke)
        around = memory_around(height, width, stroke)
        forced = self.tile is not None and max(scaled) > self.tile
        needed = self.estimate_memory(height, width, stroke)
        if not forced and (budget is None or needed <= budget):
            return None
        try:
            plans = list(self._painter.plans(*scaled, (self.tile,) if forced and self.tile else TILE_SIDES))
        except TileGraphError as error:
            if forced:
                raise ModelError(f"model '{self.path}' cannot be cut into tiles ({error}); leave out --tile") from error
            plans = []
        for plan in plans:
            if budget is None or plan.memory(self._bytes_per_pixel) + around <= budget:
                return plan
        side = self.largest_side(height, width, budget or 0, stroke)
        remedy = "free some memory first" if side is None else f"scale it down with --max-size {side}"
        if forced:
            needed = plans[-1].memory(self._bytes_per_pixel) + around
            remedy = "choose a smaller --tile or free some memory first"
        raise MemoryBudgetError(
            f"a picture of {width} x {height} pixels needs about {_amount(needed)} of memory"
            f"{' in tiles' if forced else ''} and may take {_amount(budget or 0)} here; {remedy}"
        )

    def _check_size(self, picture: Picture) -> None:
        if self.layout.size not in {None, picture.shape[:2]}:
            height, width = self.layout.size or (0, 0)
            raise ModelError(
                f"'{self.path}' takes only pictures of {width} x {height} pixels, and this one has {picture.shape[1]} "
                f"x {picture.shape[0]}; scale it, or export without --size"
            )

    @functools.cached_property
    def _painter(self) -> TilePainter:
        if self.layout.is_bytes or self.layout.size:
            raise TileGraphError("it takes bytes, or pictures of one size only")
        network = self.card.network if self.card else {}
        return TilePainter(self._runner, self._content, network)


def _read_integer(name: str, value: Any) -> int | None:
    """Return an argument as Python's own integer, which NumPy's become; TypeError if it is none."""
    try:
        return None if value is None else operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; pass an integer, or None") from None


def _check_memory_limit(limit: Any) -> None:
    if limit is not None and not isinstance(limit, numbers.Real):
        raise TypeError(f"memory_limit is {limit!r}; pass a number of bytes, such as 1_000_000_000, or None")
    # Where no memory is free, a command's share of it is 0, and each picture says what it needs.
    if limit is not None and not float(limit) >= 0:
        raise ValueError(f"memory_limit is {limit}; it must be 0 bytes or more, or None for nine tenths of the free")


def _read_content(path: Path) -> bytes:
    if not path.is_file() and str(path) in list_styles():
        raise ModelError(
            f"model '{path}' is not a file; name an .onnx file, or open the ready style of that name by load('{path}')"
        )
    return read_model(path)


def _read_card(path: Path, content: bytes, meta: onnxruntime.ModelMetadata) -> ModelCard | None:
    entries = dict(meta.custom_metadata_map)
    if meta.producer_name != PRODUCER and not any(key.startswith(PREFIX) for key in entries):
        return None
    refuse_ort_format(path, content)
    if not has_seal(content):
        raise ModelError(f"model '{path}' is incomplete or was changed since its export; copy or export it again")
    found = entries.get(PREFIX + "format")
    if found != FORMAT:
        raise ModelError(f"model '{path}' has format {found!r} but must have {FORMAT!r}; export it again")
    # The spelling of versions before 0.2.
    entries.setdefault(PREFIX + "license", entries.get(PREFIX + "licence", ""))
    texts = ("style", "license", "training_config", "project_version", "perceptual_source")
    try:
        return ModelCard(
            **{key: entries[PREFIX + key] for key in texts},
            steps=int(entries[PREFIX + "steps"]),
            network=_read_network(entries[PREFIX + "network"]),
            bytes_per_pixel=_read_bytes(entries[PREFIX + "bytes_per_pixel"]),
            held_out_loss=float(loss) if (loss := entries.get(PREFIX + "held_out_loss")) else None,
        )
    # JSON that is nested very deep raises RecursionError.
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"model '{path}' has broken metadata ({first_line(error)}); export it again") from error


def _read_network(text: str) -> dict[str, Any]:
    network = json.loads(text)
    if not isinstance(network, dict):
        raise ValueError("its network is not a JSON object")  # noqa: TRY004  (the file's fault, not the caller's)
    blocks = network.get("residual_blocks", 0)
    if not isinstance(blocks, int) or not 0 <= blocks <= MAX_BLOCKS:
        raise ValueError(f"its network has residual_blocks {str(blocks)[:20]}, where 0 to {MAX_BLOCKS} are possible")
    return network


def _read_bytes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_BYTES_PER_PIXEL:
        raise ValueError(f"its bytes_per_pixel are {str(number)[:20]}, where 1 to {MAX_BYTES_PER_PIXEL:,} are possible")
    return number


def _check_picture(picture: Picture) -> None:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        kind = picture.dtype if isinstance(picture, np.ndarray) else type(picture).__name__
        raise TypeError(f"the picture is {kind}; pass a NumPy array of uint8, RGB in 0 to 255")
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"the picture has shape {picture.shape}; pass (H, W, 3) with at least one pixel")


def _cells(side: int) -> int:
    return whole_cells(max(side, SMALLEST_SIDE))


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
