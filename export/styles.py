"""Styles that are ready to use, chosen by name: ``python -m export.styles`` lists them; needs no torch.

They are the ``.onnx`` files of one folder, with 8-bit weights, which ``make styles`` writes and the wheel carries.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.cli import CommandParser, run_command
from export.errors import ExportError

FOLDER = Path(__file__).resolve().parents[1] / "models" / "pretrained" / "onnx"
"""Where the ready styles are, ``<name>.onnx`` each, in the checkout and in the installed package."""


MOST_SHARE = 1e6
"""Largest share of a style in a blend; shares are divided by their sum."""


def list_styles(folder: Path = FOLDER) -> list[str]:
    """Return the names of the ready styles in alphabetical order; empty if there are none."""
    return sorted(path.stem for path in folder.glob("*.onnx"))


def list_whole_styles(folder: Path = FOLDER) -> list[str]:
    """Return the ready styles, each in one version: not ``wave_nano`` nor ``wave_stable`` beside ``wave``."""
    names = list_styles(folder)
    return [name for name in names if not any(name.startswith(f"{other}_") for other in names)]


def find_style(name: str, folder: Path = FOLDER) -> Path:
    """Find a ready style's ONNX file.

    Args:
        name: One of ``list_styles()``.
        folder: Where to look.

    Raises:
        ExportError: If there is no style of that name.
    """
    names = list_styles(folder)
    if name not in names:
        remedy = f"choose one of {', '.join(names)}" if names else "run make styles in a checkout to write them"
        if Path(name).suffix or Path(name).name != name:
            remedy += f"; a file is opened without --style, and in Python with Stylizer({name!r})"
        raise ExportError(f"there is no ready style {name!r}; {remedy}")
    return folder / f"{name}.onnx"


def choose_styles(names: Sequence[str], folder: Path = FOLDER, takes_folders: bool = False) -> list[Path]:
    """Find the styles that a command line names.

    Args:
        names: Ready styles by their names, or paths of .onnx files; where both are there, the path is taken. Empty for
            all ready styles, each in one version.
        folder: Where the ready styles are.
        takes_folders: Whether paths of folders are taken, too; if not, one of a ready style's name is passed over.

    Returns:
        Their paths, in the order of the names.

    Raises:
        ExportError: If there is neither a ready style nor a path of a name, or no ready style at all.
    """
    ready = list_whole_styles(folder)
    if not names and not ready:
        raise ExportError("there is no ready style; name .onnx files, or run make styles in a checkout")
    choose = _choose if takes_folders else choose_style
    return [choose(name, folder) for name in names or ready]


def choose_style(name: str, folder: Path = FOLDER) -> Path:
    """Find the style that a command line names where it could name an .onnx file.

    Args:
        name: A ready style by its name, or the path of a file, which goes first.
        folder: Where the ready styles are.

    Raises:
        ExportError: If there is neither a file nor a ready style of that name.
    """
    # Pictures are often put into a folder that has the style's name.
    if Path(name).is_dir() and name in list_styles(folder):
        return find_style(name, folder)
    return _choose(name, folder)


def _choose(name: str, folder: Path) -> Path:
    path = Path(name)
    if name and path.exists():
        return path
    if path.suffix or path.name != name:
        raise ExportError(f"style '{name}' does not exist; name a file that python -m export wrote, or a ready style")
    return find_style(name, folder)


def read_shares(text: str) -> dict[str, float]:
    """Read styles and their shares, ``wave:0.6,starry_night:0.4``, as an argparse type; a share left out is 1."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, colon, number = part.rpartition(":")
        # The colon of a drive of Windows, C:\a.onnx, is no share's.
        if not colon or (len(name) == 1 and number[:1] in {"\\", "/"}):
            name, number = part, "1"
        try:
            share = float(number)
        except ValueError:
            share = 0
        if not name or not 0 < share <= MOST_SHARE:
            raise argparse.ArgumentTypeError(f"{part!r} must be a style and its share, such as wave:0.6")
        if name in shares:
            raise argparse.ArgumentTypeError(f"{name!r} is named twice; name each style once, with its share")
        shares[name] = share
    if len(shares) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} must be two or more styles, such as wave:0.6,starry_night:0.4")
    return shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the names of the ready styles, one a line.

    Args:
        arguments: What follows ``python -m export.styles``; the process's own if None.

    Returns:
        The exit code: 0, or 2 if there are none.
    """
    CommandParser(
        prog="python -m export.styles",
        description="List the styles that are ready to use.",
        epilog="example: python -m export.stylize --style wave photo.jpg",
    ).parse_args(arguments)
    return run_command(_print_names)


def _print_names() -> None:
    names = list_styles()
    if not names:
        raise ExportError(f"folder '{FOLDER}' holds no .onnx file; run make styles in a checkout to write them")
    print("\n".join(names))


if __name__ == "__main__":
    sys.exit(main())
