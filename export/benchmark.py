"""Latency, peak memory and loading time of exported files, each measured in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 5
"""Pictures after the first; the latency is their median."""

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measurement:
    """What one file costs at one size.

    Args:
        side: Height and width of the picture in pixels.
        latency_ms: Median time of a picture after the first, in milliseconds.
        peak_memory_mb: The process's largest resident memory, in megabytes.
        load_ms: Time to open the file, in milliseconds.
    """

    side: int
    latency_ms: float
    peak_memory_mb: float
    load_ms: float


def measure_model(path: Path, sides: Sequence[int], threads: int | None = None) -> list[Measurement]:
    """Measure a file at several sizes.

    Args:
        path: A file that ``python -m export`` wrote.
        sides: Height and width of each square picture, in pixels.
        threads: CPU threads; None for one per core.

    Returns:
        One measurement per side, in their order.
    """
    found = []
    for side in sides:
        call = [sys.executable, "-c", _CODE, str(path.resolve()), str(side), str(threads or 0)]
        environment = os.environ | {"PYTHONPATH": str(_ROOT)}
        done = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
        found.append(Measurement(side, **json.loads(done.stdout)))
    return found


_CODE = f"""
import json, resource, sys, time
import numpy
from export.runtime import Stylizer

path, side, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) or None
start = time.perf_counter()
stylizer = Stylizer(path, threads=threads)
load_ms = 1e3 * (time.perf_counter() - start)
picture = numpy.random.default_rng(0).integers(0, 256, (side, side, 3), numpy.uint8)
times = []
for _ in range({RUNS} + 1):
    start = time.perf_counter()
    stylizer(picture)
    times.append(1e3 * (time.perf_counter() - start))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({{"latency_ms": sorted(times[1:])[{RUNS} // 2], "peak_memory_mb": peak, "load_ms": load_ms}}))
"""
