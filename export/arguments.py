"""Kinds of arguments that several commands take; standard library only."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """Read a whole number above 0; what is none becomes argparse's error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
