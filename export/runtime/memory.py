"""The memory that a picture needs, and the memory that is available; standard library only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

# Full-resolution planes of float32 that are alive at once, per channel of the network's width, with what ONNX Runtime's
# arena loses between them, for the plain graph. Upper bounds of its peaks on the CPU, sides 256 to 2048: 1300, 601 and
# 309 bytes per pixel at widths 32, 16 and 8 with nearest-neighbor upsampling, 570 and 307 at widths 32 and 16 with
# pixel shuffle.
_BYTES_PER_CHANNEL = {"nearest": 40, "pixel_shuffle": 20}
# The photo and the result as bytes and as float32, and their rounding.
_BYTES_AROUND = 64
# The same for the rewritten graph, whatever its upsampling and its variant: at most 639, 301 and 294 at widths 32, 16
# and 8.
_LEAN_BYTES_PER_CHANNEL = 14
_LEAN_BYTES_AROUND = 224


def bytes_per_pixel(width: int, upsampling: str = "nearest", lean: bool = True) -> int:
    """Bound the memory that the runtime needs per pixel: 224 bytes and 14 per channel of the network's width.

    Args:
        width: Channels after the first convolution.
        upsampling: ``nearest`` or ``pixel_shuffle``; only the plain graph's memory depends on it.
        lean: Whether the graph is the rewritten one; else 64 bytes and 40 (``nearest``) or 20 per channel.

    Returns:
        Bytes per pixel of one picture.
    """
    if lean:
        return _LEAN_BYTES_AROUND + _LEAN_BYTES_PER_CHANNEL * width
    return _BYTES_AROUND + _BYTES_PER_CHANNEL[upsampling] * width


def available_memory(root: Path = Path("/")) -> int | None:
    """Find how much memory this process may still take.

    Args:
        root: Folder that holds ``proc`` and ``sys``.

    Returns:
        Bytes: the least of what the machine has free and what every control group above this process (v1 and v2)
        leaves; where the system reports neither, its physical memory; None if that is unknown, too.
    """
    answers = list(_group_headrooms(root))
    free = _read_fields(root / "proc/meminfo").get("MemAvailable:")
    if free is not None:
        answers.append(free * 1024)
    if not answers:
        for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
            with contextlib.suppress(AttributeError, ValueError, OSError):
                return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    return max(0, min(answers)) if answers else None


def _group_headrooms(root: Path) -> Iterator[int]:
    """What each control group with a limit leaves, page cache that can be dropped counted as free."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                mount, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                mount = root / "sys/fs/cgroup/memory"
            else:
                continue
            folder = mount / group.lstrip("/")
            # Inside a container the path may be the host's; the container's own limit then stands at the mount.
            while True:
                limit, used = _read_number(folder / names[0]), _read_number(folder / names[1])
                if limit is not None and used is not None:
                    yield limit - used + _read_fields(folder / "memory.stat").get(names[2], 0)
                if folder == mount or mount not in folder.parents:
                    break
                folder = folder.parent


def _read_number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _read_fields(path: Path) -> dict[str, int]:
    fields: dict[str, int] = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in path.read_text().splitlines():
            parts = line.split()
            if len(parts) >= 2 and parts[1].isdigit():
                fields[parts[0]] = int(parts[1])
    return fields
