"""The flags that say how a style paints, for every command that repaints: strength, colors, size of the strokes."""

from __future__ import annotations

import argparse

from export.cli import number_from, read_strength
from export.runtime.stroke import LEAST, MOST


def add_controls(parser: argparse.ArgumentParser, noun: str) -> None:
    """Add ``--strength``, ``--preserve-color`` and ``--stroke``, which ``Stylizer`` takes by the same names.

    Args:
        parser: A command's.
        noun: What the command repaints, for the help: photo, or clip.
    """
    parser.add_argument(
        "--strength",
        type=read_strength,
        default=1,
        metavar="0-1.5",
        help=f"strength of the style: 0 leaves the {noun}, 1 is the style as trained, up to 1.5 "
        "(default: %(default)s); for files that were exported with --strength",
    )
    parser.add_argument(
        "--preserve-color",
        action="store_true",
        help=f"keep the {noun}'s own colors, and take only brightness from the style",
    )
    parser.add_argument(
        "--stroke",
        type=number_from(LEAST, MOST),
        default=1,
        metavar="FACTOR",
        help=f"size of the strokes, from {LEAST:g} to {MOST:g}: 2 makes them twice as large (default: %(default)s)",
    )
