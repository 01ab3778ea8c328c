"""What the tests of ``python -m export.stylize`` share: photos to repaint, the command, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image

from export.stylize.command import main
from tests.export.small_export import draw


def save_photo(path: Path, height: int = 24, width: int = 33, **options: Any) -> Path:
    """Write a drawn photo; ``options`` are Pillow's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(draw(height, width)).save(path, **options)
    return path


def read(path: Path) -> PIL.Image.Image:
    """Read a picture whole, and close its file."""
    with PIL.Image.open(path) as image:
        image.load()
        return image


def run(model: Path | str, *arguments: object) -> int:
    """Run the command in this process, with one thread; return its exit code."""
    return main([str(model), *map(str, arguments), "--threads", "1"])
