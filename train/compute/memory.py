"""Keep freed memory for the next step in place of returning it to the system; measure memory.

A training step on the CPU frees and allocates some two gigabytes in blocks of tens of megabytes. The C library returns
such blocks to the kernel at once, and the kernel fills the next ones with zeros, page by page: at 256 px that is some
90,000 page faults a step, a good part of its time.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""Numbers of glibc's mallopt(3)."""


def keep_freed_memory() -> bool:
    """Ask the C library of this process to reuse large blocks.

    Returns:
        True where it was asked: glibc on Linux; elsewhere nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def resident_mb() -> dict[str, float]:
    """Return this process's memory in MB: the highest so far, and, on Linux, the present."""
    import resource  # Absent on Windows, where training works without it.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return {"peak_mb": peak, "resident_mb": pages * resource.getpagesize() / 2**20 or peak}
