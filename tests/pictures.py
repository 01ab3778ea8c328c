"""Small pictures for tests: smooth, noisy, in every mode and turned every way."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

NAMES_OF_BYTES = pytest.mark.skipif(sys.platform != "linux", reason="file names that are not Unicode are Linux's alone")


def ramp(width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """Return red rising to the right, green rising downwards and steady blue: no two corners look alike."""
    across = np.linspace(0, 255, width)[None].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return np.stack([across, down, np.full_like(down, 64)], 2).round().astype(np.uint8)


def noise(width: int = 48, height: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Return independent random bytes, shape (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(color: tuple[int, int, int], width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """Return one color everywhere, shape (H, W, 3)."""
    return np.full((height, width, 3), color, np.uint8)


# How a camera stores an upright picture, by the value of the orientation tag (Exif 2.32, section 4.6.4).
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def write(path: Path, pixels: NDArray[np.uint8], orientation: int = 1) -> Path:
    """Write a picture as a camera held that way does: turned, with a tag that says how to turn it back."""
    exif = PIL.Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    options = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.ascontiguousarray(TURNS[orientation](pixels))
    PIL.Image.fromarray(stored).save(path, exif=exif, **options.get(path.suffix, {}))
    return path


def write_photos(folder: Path, count: int, width: int = 48, height: int = 32) -> list[Path]:
    """Write photos ``000.png`` and on, each of one gray level of its own, so that a crop tells which photo it is."""
    return [write(folder / f"{i:03}.png", flat((i, i, i), width, height)) for i in range(count)]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def announce_png(path: Path, width: int, height: int, color: int = 2) -> Path:
    """Write a PNG file of a few bytes whose header announces a picture of any size and, by its number, color type."""
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    body = (
        png_chunk(b"IHDR", header)
        + (png_chunk(b"PLTE", bytes(768)) if color == 3 else b"")
        + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        + png_chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path
