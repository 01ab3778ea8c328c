"""Measure exported files on this machine: ``python -m export.benchmark wave/``; needs NumPy and ONNX Runtime only.

Latency, peak memory and load time, per file and size, each in a fresh process, so that no measurement sees another's
memory or warm caches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data.files import OutputError, make_folder, require_absent, write_whole
from data.images import MAX_SIDE
from export.benchmark.changes import TOLERANCE, Changes, find_changes, read_figures
from export.benchmark.conditions import Conditions, describe_conditions
from export.cli import CommandParser, integer, number, positive, read_path_text, run_command, threads
from export.contract import SMALLEST_SIDE
from export.errors import ModelError
from export.runtime.probe import open_probe, probe
from export.runtime.session import count_cores, read_model
from export.styles import choose_styles

DEFAULT_SIZES = (256, 512, 1024)
"""Sides, in pixels, of the square pictures that are measured unless told otherwise."""

RUNS = 10
"""Timed runs per file and size; their median is the latency."""

ENDINGS = (".onnx", ".ort")
"""What models' names end in."""


@dataclass(frozen=True)
class Measurement:
    """What one file takes at one size.

    Args:
        side: Height and width of the picture in pixels; the longer of the two where the model fixes another shape.
        latency_ms: Median time of one picture, in milliseconds, after two that do not count.
        peak_memory_mb: The most that the process held beyond the loaded model, in millions of bytes.
        load_ms: Time to read the file and start ONNX Runtime on it, in milliseconds.
        fastest_ms: The shortest time of one picture, which other programs' work disturbs least.
    """

    side: int
    latency_ms: float
    peak_memory_mb: float
    load_ms: float
    fastest_ms: float


def measure_model(
    path: Path,
    sides: Sequence[int] = DEFAULT_SIZES,
    threads: int | None = None,
    runs: int = RUNS,
    progress: Callable[[], object] | None = None,
) -> list[Measurement]:
    """Measure one file at several sizes, on the CPU.

    Args:
        path: The model; its input is a picture of float32, float16 or uint8, NCHW or NHWC.
        sides: Sides of square pictures, in pixels. A model that fixes its size is measured at that size, once.
        threads: CPU threads; None for one per core that this process may use.
        runs: Timed runs, at least 1.
        progress: Called after every measurement.

    Returns:
        One measurement per side, in their order.

    Raises:
        ModelError: If the file cannot be read or run, does not take a picture, or a size is too much for this machine.
        ValueError: If a side, the threads or the runs are out of range.
    """
    if not sides or min(sides) < SMALLEST_SIDE:
        raise ValueError(f"sides are {list(sides)}; give at least one, each of {SMALLEST_SIDE} pixels or more")
    if runs < 1 or (threads is not None and threads < 1):
        raise ValueError(f"runs are {runs} and threads {threads}; each must be at least 1")
    # Here, so that the measuring processes have done nothing else; one of them could hang.
    probe(path, open_probe(path, read_model(path), threads=threads))
    measurements = []
    for side in sides:
        found = _try_in_process(path, side, threads or count_cores(), runs)
        times = {key: round(found[key], 2) for key in ("latency_ms", "load_ms", "fastest_ms")}
        measurements.append(Measurement(found["side"], peak_memory_mb=round(found["peak_bytes"] / 1e6, 1), **times))
        if progress:
            progress()
        if found["fixed"]:
            break
    return measurements


def find_models(paths: Sequence[Path]) -> list[Path]:
    """List models: files as they are named, and those of folders sorted by name.

    Raises:
        ModelError: If a path is absent, or a folder holds no model.
    """
    models: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ModelError(f"model '{path}' does not exist; name .onnx files or a folder of them")
        inside = sorted(file for file in path.iterdir() if file.suffix in ENDINGS) if path.is_dir() else [path]
        if not inside:
            raise ModelError(f"folder '{path}' holds no .onnx file; name one that python -m export wrote to")
        models += [file for file in inside if file not in models]
    return models


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.benchmark``; the process's own if None.

    Returns:
        The exit code: 0; 1 if a figure is worse than that of ``--compare``; 2 for a mistake that one sentence on stderr
        explains; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    return run_command(lambda: _measure_models(options), "stopped: nothing was written")


def _measure_models(options: argparse.Namespace) -> int:
    threads = options.threads or count_cores()
    models = find_models(choose_styles(options.models, takes_folders=True))
    if options.json:
        _check_report(options.json, options.overwrite, [*models, options.compare])
    earlier = read_figures(options.compare) if options.compare else None
    results: dict[Path, list[Measurement]] = {}
    # disable=None shows the bar on a terminal and not in a log.
    total = len(models) * len(options.sizes)
    with tqdm(total=total, unit="size", disable=None) as bar:
        for model in models:
            bar.set_description(model.name)
            results[model] = measure_model(model, options.sizes, threads, options.runs, bar.update)
            # A file of a fixed size is measured once.
            bar.total = total = total - len(options.sizes) + len(results[model])
    conditions = describe_conditions(threads, options.runs)
    found = report(results, conditions)
    changes = find_changes(earlier, found, str(options.compare), options.tolerance) if earlier else None
    print(format_table(results, conditions))
    if changes:
        print(changes)
    if options.json:
        write_whole(options.json, json.dumps(found | _describe(changes), indent=2) + "\n")
    return 1 if changes and changes.worse else 0


def format_table(results: dict[Path, list[Measurement]], conditions: Conditions) -> str:
    """Format measurements as a table, one line per file and size, and a last line that says how they were made."""
    name = max(len("file"), *(len(path.name) for path in results))
    lines = [f"{'file':{name}} {'MB':>7} {'side':>6} {'latency ms':>11} {'peak MB':>9} {'load ms':>9}"]
    for path, measurements in results.items():
        megabytes = path.stat().st_size / 1e6
        lines += [
            f"{path.name:{name}} {megabytes:7.2f} {one.side:6} {one.latency_ms:11.1f} {one.peak_memory_mb:9.1f} "
            f"{one.load_ms:9.1f}"
            for one in measurements
        ]
    return "\n".join([*lines, str(conditions)])


def report(results: dict[Path, list[Measurement]], conditions: Conditions) -> dict[str, Any]:
    """Gather measurements and how they were made into plain values, ready for JSON."""
    return asdict(conditions) | {
        "models": [
            {"path": str(path), "bytes": path.stat().st_size, "measurements": [asdict(one) for one in measurements]}
            for path, measurements in results.items()
        ],
    }


def _describe(changes: Changes | None) -> dict[str, Any]:
    return {"changes": asdict(changes)} if changes else {}


def _try_in_process(path: Path, side: int, threads: int, runs: int) -> dict[str, Any]:
    package = __name__.rpartition(".")[0]
    # Where this package was imported from: the checkout, or site-packages, where it has another name.
    root = str(Path(__file__).resolve().parents[package.count(".") + 1])
    known = os.environ.get("PYTHONPATH")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, known] if known else [root])}
    # -P: a folder in the current one that is called as this package is must not stand in for it.
    command = [sys.executable, "-P", "-m", f"{package}.trial", str(path), str(side), str(threads), str(runs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 130:
        raise KeyboardInterrupt
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise ModelError(
            f"measuring '{path}' at {side} pixels ended with exit code {done.returncode} ({last}); try smaller --sizes"
        )
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise ModelError(found["error"])
    return found


def _check_report(path: Path, overwrite: bool, inputs: Sequence[Path | None]) -> None:
    """Raise OutputError, before any work, if the report may not be written there."""
    if not path.parent.is_dir():
        raise OutputError(f"folder '{path.parent}' does not exist; create it or choose another --json")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; name a file in it with --json")
    require_absent([path], overwrite, "--json", inputs)
    make_folder(path.parent, "--json")


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.benchmark",
        description="Measure exported files on this machine's CPU: latency, peak memory and load time, each in a fresh "
        "process.",
        epilog="example: python -m export.benchmark wave/ --sizes 256 512 --json wave.json --compare earlier.json",
    )
    parser.add_argument(
        "models", nargs="+", type=read_path_text, help="ready styles' names, .onnx files, or folders of them"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=integer(SMALLEST_SIDE, MAX_SIDE),
        default=list(DEFAULT_SIZES),
        metavar="PIXELS",
        help="sides of the square pictures; a file of a fixed size is measured at that one (default: 256 512 1024)",
    )
    parser.add_argument("--threads", type=threads, metavar="N", help="CPU threads (default: one per core)")
    parser.add_argument("--runs", type=positive, default=RUNS, metavar="N", help="timed runs (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="tell what is worse or better than in this earlier --json file; exit with code 1 if something is worse",
    )
    parser.add_argument(
        "--tolerance",
        type=number(0, 1000),
        default=TOLERANCE,
        metavar="PERCENT",
        help="changes up to this are not told by --compare (default: %(default)g)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")
    return parser
