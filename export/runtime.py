"""Run an exported style from Python: ``Stylizer("wave.onnx")(array) -> array``; needs ONNX Runtime and no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from export.contract import CELL, FORMAT, INPUT, OUTPUT, PREFIX, PRODUCER, SMALLEST_SIDE, has_seal
from export.layout import Pixels, read_layout
from export.memory import available_memory, bytes_per_pixel
from export.session import CPU, ModelError, find_provider, first_line, open_session, read_model

__all__ = ["MemoryBudgetError", "ModelCard", "ModelError", "Stylizer", "find_provider"]


class MemoryBudgetError(ModelError):
    """A picture needs more memory than there is; the message names the size that fits."""


@dataclass(frozen=True)
class ModelCard:
    """What an exported file says of itself.

    Args:
        style: The style's name.
        licence: Under what terms the network may be used.
        training_config: The whole configuration of the run, as YAML.
        project_version: The version of this program that trained it.
        perceptual_source: Where the weights of the frozen perceptual network came from.
        steps: Optimiser steps taken.
        network: The architecture: width, residual blocks, padding, upsampling.
        bytes_per_pixel: Bound of the memory that one pixel of a picture takes.
    """

    style: str
    licence: str
    training_config: str
    project_version: str
    perceptual_source: str
    steps: int
    network: dict[str, Any]
    bytes_per_pixel: int


class Stylizer:
    """Repaint pictures in the style of an exported file.

    Args:
        path: A file that ``python -m export`` wrote, or any ONNX file of the same contract.
        threads: CPU threads for one picture; None for one per core.
        provider: Where to compute: a name that ONNX Runtime lists, short (``cuda``) or long
            (``CUDAExecutionProvider``); None for the CPU.
        memory_limit: Bytes that one picture may take; None for nine tenths of what is free at the time (on the CPU
            only, elsewhere unlimited).

    Raises:
        ModelError: If the file is absent, broken, changed since its export, or of another contract, or the provider is
            not at hand.
        ValueError: If there is less than one thread.

    Attributes:
        card: What the file says of itself; None for a file that this project did not write.
        layout: Whether it takes float32 or bytes, and the one size that it may be fixed to.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        provider: str | None = None,
        memory_limit: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; it must be at least 1, or None for one per core")
        self.path = Path(path)
        self.provider = find_provider(provider)
        self.memory_limit = memory_limit
        content = read_model(self.path)
        self._session = open_session(self.path, content, self.provider, threads)
        self.card = _read_card(self.path, content, self._session.get_modelmeta())
        self.layout = read_layout(self.path, self._session)
        self._bytes_per_pixel = self.card.bytes_per_pixel if self.card else bytes_per_pixel(width=32, lean=False)

    def __call__(self, picture: Pixels) -> Pixels:
        """Repaint a picture.

        Args:
            picture: RGB, uint8, shape (H, W, 3), any size; sides under 16 pixels are continued by their border inside.

        Returns:
            The stylised picture, RGB, uint8, shape (H, W, 3), rounded to the nearest.

        Raises:
            TypeError: If the picture is no array of uint8.
            ValueError: If its shape is not (H, W, 3) with at least one pixel.
            MemoryBudgetError: If it needs more memory than there is.
            ModelError: If ONNX Runtime fails, or gives values that are no picture.
        """
        _check_picture(picture)
        height, width = picture.shape[:2]
        frugal = self._check_memory(height, width)
        below, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
        if below or right:
            picture = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        self._check_size(picture)
        batch = self.layout.pack(picture)
        stylised = self._run(batch, frugal)
        if stylised.shape != batch.shape:
            raise ModelError(
                f"'{self.path}' gave {stylised.shape} for a picture of {batch.shape}, and needed is the same shape; "
                "export it with python -m export"
            )
        try:
            pixels = self.layout.unpack(stylised)
        except ValueError as error:
            raise ModelError(f"'{self.path}' gave no picture ({error}); train or export the style anew") from error
        return np.ascontiguousarray(pixels[:height, :width])

    def estimate_memory(self, height: int, width: int) -> int:
        """Bound the bytes that a picture of this size takes beyond what the process holds already."""
        return self._bytes_per_pixel * _cells(height) * _cells(width)

    def largest_side(self, height: int, width: int, budget: int) -> int | None:
        """Find how large a picture of this shape may be.

        Args:
            height: In pixels.
            width: In pixels.
            budget: Bytes.

        Returns:
            The long side, in pixels, to which the picture has to be scaled down; None if no size fits.
        """
        longest = max(height, width)
        side = min(longest, int(longest * (budget / self.estimate_memory(height, width)) ** 0.5))
        while side >= 1:
            if self.estimate_memory(round(height * side / longest), round(width * side / longest)) <= budget:
                return side
            side -= 1
        return None

    def _check_memory(self, height: int, width: int) -> bool:
        """Refuse what does not fit; tell whether the memory has to be given back after the picture."""
        budget = self.memory_limit
        if budget is None and self.provider == CPU:
            free = available_memory()
            # A tenth is left to whoever else runs here.
            budget = None if free is None else free * 9 // 10
        needed = self.estimate_memory(height, width)
        if budget is None or needed <= budget:
            # Giving memory back costs a tenth of the time; kept, a small share does not hinder the next picture.
            return budget is not None and 4 * needed > budget
        side = self.largest_side(height, width, budget)
        remedy = "free some memory first" if side is None else f"scale it down with --max-size {side}"
        raise MemoryBudgetError(
            f"a picture of {width} x {height} pixels needs about {_amount(needed)} of memory and may take "
            f"{_amount(budget)} here; {remedy}"
        )

    def _check_size(self, picture: Pixels) -> None:
        if self.layout.size not in {None, picture.shape[:2]}:
            height, width = self.layout.size or (0, 0)
            raise ModelError(
                f"'{self.path}' takes pictures of {width} x {height} pixels alone, and this one has {picture.shape[1]} "
                f"x {picture.shape[0]}; scale it, or export without --size"
            )

    def _run(self, batch: npt.NDArray[Any], frugal: bool) -> npt.NDArray[Any]:
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        if frugal and self.provider == CPU:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            stylised: npt.NDArray[Any] = self._session.run([OUTPUT], {INPUT: batch}, options)[0]
        # ONNX Runtime's exceptions have no base class of their own.
        except Exception as error:
            size = "{1} x {0}".format(*(batch.shape[1:3] if self.layout.is_bytes else batch.shape[2:]))
            raise ModelError(
                f"'{self.path}' failed on a picture of {size} pixels ({first_line(error)}); try a smaller --max-size"
            ) from error
        return stylised


def _read_card(path: Path, content: bytes, meta: onnxruntime.ModelMetadata) -> ModelCard | None:
    entries = meta.custom_metadata_map
    if meta.producer_name != PRODUCER and not any(key.startswith(PREFIX) for key in entries):
        return None
    if not has_seal(content):
        raise ModelError(f"model '{path}' is incomplete or was changed since its export; copy or export it again")
    found = entries.get(PREFIX + "format")
    if found != FORMAT:
        raise ModelError(f"model '{path}' has format {found!r}, and needed is {FORMAT!r}; export it again")
    texts = ("style", "licence", "training_config", "project_version", "perceptual_source")
    try:
        return ModelCard(
            **{key: entries[PREFIX + key] for key in texts},
            steps=int(entries[PREFIX + "steps"]),
            network=json.loads(entries[PREFIX + "network"]),
            bytes_per_pixel=int(entries[PREFIX + "bytes_per_pixel"]),
        )
    except (KeyError, ValueError) as error:
        raise ModelError(f"model '{path}' has broken metadata ({error}); export it again") from error


def _check_picture(picture: Pixels) -> None:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        kind = picture.dtype if isinstance(picture, np.ndarray) else type(picture).__name__
        raise TypeError(f"the picture is {kind}; pass a NumPy array of uint8, RGB in 0 to 255")
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"the picture has shape {picture.shape}; pass (H, W, 3) with at least one pixel")


def _cells(side: int) -> int:
    return -(-max(side, SMALLEST_SIDE) // CELL) * CELL


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
