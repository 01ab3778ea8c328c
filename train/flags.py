"""Flags that have one name, meaning and help in every command with argparse; former names stay as hidden aliases."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from export.cli import integer, positive
from train.limits import MOST_SIDE


def add_overwrite(parser: argparse.ArgumentParser, earlier: str) -> None:
    """Add ``--overwrite``.

    Args:
        parser: The command's parser.
        earlier: What is replaced, such as "an earlier report".
    """
    parser.add_argument("--overwrite", action="store_true", help=f"replace {earlier}")


def add_perceptual_weights(parser: argparse.ArgumentParser, *aliases: str, network: str = "the frozen network") -> None:
    """Add ``--perceptual-weights``.

    Args:
        parser: The command's parser.
        aliases: Former names.
        network: Whose weights they are.
    """
    text = f"weights of {network}: 'default' (downloaded once) or a file in torchvision's layout (default: default)"
    parser.add_argument("--perceptual-weights", default="default", metavar="FILE", help=text)
    add_aliases(parser, "perceptual_weights", *aliases)


def add_batch_size(parser: argparse.ArgumentParser, default: int, *aliases: str) -> None:
    """Add ``--batch-size``: photos per training step."""
    text = f"photos per step (default: {default})"
    parser.add_argument("--batch-size", type=positive, default=default, metavar="N", help=text)
    add_aliases(parser, "batch_size", *aliases, type=positive)


def add_aliases(parser: argparse.ArgumentParser, name: str, *flags: str, **options: Any) -> None:
    """Accept further flags for a setting, without showing them in the help."""
    if flags:
        parser.add_argument(*flags, dest=name, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **options)


def side(least: int) -> Callable[[str], int]:
    """Return an argparse type for the side of a picture in pixels, from ``least`` up."""
    return integer(least, MOST_SIDE)
