"""What has become slower, or takes more memory, since figures that ``python -m export.benchmark --json`` kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError

TOLERANCE = 10.0
"""Percent by which a figure may rise or fall unless told otherwise: repeated measurements differ by about that."""

FIGURES = {"latency_ms": ("latency", "ms"), "peak_memory_mb": ("peak memory", "MB"), "load_ms": ("load time", "ms")}
"""The figures that are compared, what they are called, and their units."""

SMALLEST = {"latency_ms": 0.2, "peak_memory_mb": 4.0, "load_ms": 20.0}
"""Changes below this are not told, whatever their percentage: clock and allocator make them."""

CONDITIONS = ("processor", "instruction_sets", "cores", "system", "provider", "threads", "runs", "versions")
"""Keys of a report that say what figures depend on beside the model."""

LARGEST_FILE = 10_000_000
"""Bytes of a file of figures: tens of thousands of measurements."""


@dataclass(frozen=True)
class Change:
    """A figure that is not what it was.

    Args:
        file: Name of the model's file.
        side: Of the picture, in pixels; None for the load time, which depends on the file alone.
        figure: One of ``FIGURES``.
        before: In milliseconds, or millions of bytes.
        now: Likewise.
    """

    file: str
    side: int | None
    figure: str
    before: float
    now: float

    def __str__(self) -> str:
        place = self.file if self.side is None else f"{self.file} at {self.side} pixels"
        name, unit = FIGURES[self.figure]
        percent = f"{100 * (self.now / self.before - 1):+.0f} %" if self.before else "from nothing"
        return f"{place}, {name}: {self.before:.1f} to {self.now:.1f} {unit} ({percent})"


@dataclass(frozen=True)
class Changes:
    """Everything that differs from an earlier file of figures.

    Args:
        earlier: The file.
        tolerance_percent: By how much a figure may differ without being named.
        worse: Figures that have risen.
        better: Figures that have fallen.
        compared: How many pairs of a file and a size both have.
        missing: The files and sizes that the earlier figures lack.
        conditions: What else differs, or is not stated there.
    """

    earlier: str
    tolerance_percent: float
    worse: list[Change]
    better: list[Change]
    compared: int
    missing: list[str]
    conditions: list[str]

    def __str__(self) -> str:
        counted = f"{self.compared} {'size' if self.compared == 1 else 'sizes'}"
        return "\n".join(
            [
                f"compared with '{self.earlier}': {counted}, {len(self.worse)} figures worse and {len(self.better)} "
                f"better by more than {self.tolerance_percent:g} %",
                *(f"worse: {change}" for change in self.worse),
                *(f"better: {change}" for change in self.better),
                *(f"not measured then: {name}" for name in self.missing),
                *(f"conditions differ: {said}" for said in self.conditions),
            ]
        )


def read_figures(path: Path) -> dict[str, Any]:
    """Read what an earlier run kept.

    Args:
        path: A file that ``python -m export.benchmark --json`` wrote, in this version or an earlier one.

    Raises:
        ExportError: If it is absent, too large, or something else.
    """
    remedy = "name a file that python -m export.benchmark --json wrote"
    if not path.is_file():
        raise ExportError(f"'{path}' {'is a folder' if path.is_dir() else 'does not exist'}; {remedy}")
    if path.stat().st_size > LARGEST_FILE:
        raise ExportError(f"'{path}' is larger than figures can be ({path.stat().st_size:,} bytes); {remedy}")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        valid = all(map(_is_model, found["models"]))
    # JSON that is nested very deep raises RecursionError.
    except (ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise ExportError(f"'{path}' does not hold this program's figures; {remedy}")
    return found


def find_changes(
    earlier: Mapping[str, Any], now: Mapping[str, Any], name: str, tolerance_percent: float = TOLERANCE
) -> Changes:
    """Compare two reports, file by file and size by size.

    A file is compared with that of the same path, or else with the only one of the same name. A latency counts as
    changed if the median and the fastest run both have: other programs slow some runs, seldom every one. The load time
    of a file is the shortest of all sizes.

    Args:
        earlier: What ``read_figures`` returned.
        now: The report of ``export.benchmark.measure``.
        name: The earlier file's, for the text.
        tolerance_percent: By how much a figure may differ without being named.
    """
    worse: list[Change] = []
    better: list[Change] = []
    missing: list[str] = []
    compared = 0
    for model in now["models"]:
        path = Path(model["path"])
        before = {one["side"]: one for one in _find_earlier(earlier["models"], path)}
        pairs = [(before[one["side"]], one) for one in model["measurements"] if one["side"] in before]
        missing += [
            f"{path.name} at {one['side']} pixels" for one in model["measurements"] if one["side"] not in before
        ]
        compared += len(pairs)
        for change, figures in _pair_figures(path.name, pairs):
            least = SMALLEST[change.figure]
            if all(_exceeds(new, old, least, tolerance_percent) for old, new in figures):
                worse.append(change)
            if all(_exceeds(old, new, least, tolerance_percent) for old, new in figures):
                better.append(change)
    conditions = [said for key in CONDITIONS for said in _compare(key, earlier.get(key), now[key])]
    return Changes(name, tolerance_percent, worse, better, compared, missing, conditions)


def _pair_figures(
    file: str, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> Iterator[tuple[Change, list[tuple[float, float]]]]:
    """Yield every figure as the change it may be, and the pairs of numbers that decide whether it is one."""
    for before, now in pairs:
        for figure in ("latency_ms", "peak_memory_mb"):
            numbers = [(before[figure], now[figure])]
            # Version 0.2 kept the median alone.
            if figure == "latency_ms" and "fastest_ms" in before:
                numbers.append((before["fastest_ms"], now["fastest_ms"]))
            yield Change(file, now["side"], figure, *numbers[0]), numbers
    if pairs:
        before_ms, now_ms = (min(one["load_ms"] for one in ones) for ones in zip(*pairs, strict=True))
        yield Change(file, None, "load_ms", before_ms, now_ms), [(before_ms, now_ms)]


def _exceeds(high: float, low: float, least: float, tolerance_percent: float) -> bool:
    return high - low > max(least, low * tolerance_percent / 100)


def _find_earlier(models: Sequence[Mapping[str, Any]], path: Path) -> Sequence[Mapping[str, Any]]:
    same = [model for model in models if model["path"] == str(path)]
    same = same or [model for model in models if Path(model["path"]).name == path.name]
    measurements: Sequence[Mapping[str, Any]] = same[0]["measurements"] if len(same) == 1 else ()
    return measurements


def _compare(key: str, before: Any, now: Any) -> Iterator[str]:
    """Yield what is to be said of a condition: nothing if it is the same."""
    if isinstance(now, Mapping):
        for name, version in now.items():
            yield from _compare(name, before.get(name) if isinstance(before, Mapping) else None, version)
        return
    before, now = ([*value] if isinstance(value, list | tuple) else value for value in (before, now))
    if before is None:
        yield f"{key.replace('_', ' ')} not stated then, {_spell(now)} now"
    elif before != now:
        yield f"{key.replace('_', ' ')} {_spell(before)} then, {_spell(now)} now"


def _spell(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _is_model(model: Mapping[str, Any]) -> bool:
    return isinstance(model["path"], str) and all(
        isinstance(one["side"], int)
        and all(_is_number(one[figure]) for figure in FIGURES)
        and _is_number(one.get("fastest_ms", 0))
        for one in model["measurements"]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15
