"""One measurement in a process of its own, started by ``export.benchmark``; needs NumPy and ONNX Runtime only.

``python -m export.benchmark.trial wave.onnx 512 1 10`` measures at 512 x 512 pixels, with 1 thread and 10 runs, and
prints JSON. A process that has done nothing else shows what loading and stylizing alone take.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from export.errors import ModelError
from export.runtime.layout import give_strength, split_inputs
from export.runtime.session import first_line, open_session, read_model

WARM_UPS = 2
"""Untimed runs before the timed ones: the first allocates memory, which the second reuses."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def measure(path: Path, side: int, threads: int, runs: int) -> dict[str, Any]:
    """Load a model, stylize one picture repeatedly, and measure time and memory.

    Args:
        path: A model with one input, a picture: float32, float16 or uint8, NCHW or NHWC.
        side: Height and width of the picture in pixels, wherever the model leaves them free.
        threads: CPU threads.
        runs: Timed runs, after two untimed ones.

    Returns:
        ``load_ms``; ``latency_ms``, the runs' median; ``fastest_ms``, their minimum; ``peak_bytes``, the most that the
        process held during the untimed runs beyond what it held before the picture; ``side``, the picture's longer one;
        and whether the size is ``fixed`` by the model.

    Raises:
        ModelError: If the model cannot be read or run, or takes no picture.
    """
    started = time.perf_counter()
    session = open_session(path, read_model(path), threads=threads)
    load_ms = 1000 * (time.perf_counter() - started)
    shape, fixed = _picture_shape(path, session, side)
    held = _start_peak()
    value = split_inputs(session)[0][0]
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    feeds = {value.name: values.astype(_TYPES[value.type], copy=False), **give_strength(session)}
    try:
        for _ in range(WARM_UPS):
            _run(session, feeds)
        peak = _peak()
        latencies = [_run(session, feeds) for _ in range(runs)]
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        raise ModelError(
            f"'{path}' failed on {side} x {side} pixels ({first_line(error)}); try other --sizes"
        ) from error
    return {
        "side": max(size for size in shape if size != 3),
        "latency_ms": statistics.median(latencies),
        "fastest_ms": min(latencies),
        "peak_bytes": peak - held,
        "load_ms": load_ms,
        "fixed": fixed,
    }


def _picture_shape(path: Path, session: onnxruntime.InferenceSession, side: int) -> tuple[list[int], bool]:
    """Return the shape of the picture to feed, and whether the model fixes its height and width."""
    inputs, _ = split_inputs(session)
    shape = list(inputs[0].shape)
    if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or inputs[0].type not in _TYPES:
        found = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
        raise ModelError(
            f"model '{path}' takes {found}, but must take one picture of shape (N, 3, H, W) or (N, H, W, 3); "
            "use a file that python -m export wrote"
        )
    rows, columns = (2, 3) if shape[1] == 3 else (1, 2)
    fixed = isinstance(shape[rows], int) and isinstance(shape[columns], int)
    free = {0: 1, rows: side, columns: side}
    return [size if isinstance(size, int) else free[axis] for axis, size in enumerate(shape)], fixed


def _run(session: onnxruntime.InferenceSession, feeds: dict[str, npt.NDArray[Any]]) -> float:
    """Return the milliseconds of one run."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    started = time.perf_counter()
    session.run(None, feeds, options)
    return 1000 * (time.perf_counter() - started)


def _start_peak() -> int:
    """Reset the peak that loading has left, where the system can; return the bytes in use now, or else the peak."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _proc_bytes("VmRSS:") or _peak()


def _peak() -> int:
    # On Linux getrusage returns the parent's peak if that was larger.
    peak = _proc_bytes("VmHWM:")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError as error:
        raise ModelError(
            "peak memory cannot be measured on this system; run the benchmark on Linux or macOS"
        ) from error
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _proc_bytes(field: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return 1024 * int(line.split()[1])
    return None


def main() -> int:
    """Run one trial as the process's arguments say: model, side, threads, runs; print it, or its error, as JSON."""
    path, side, threads, runs = sys.argv[1:]
    try:
        report = measure(Path(path), int(side), int(threads), int(runs))
    except ModelError as error:
        report = {"error": str(error)}
    except KeyboardInterrupt:
        return 130
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
