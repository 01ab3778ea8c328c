"""A photo from standard input, and its picture to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from data.images import ImageError

MAX_CONTENT = 1_000_000_000
"""Bytes that are read from standard input, which may have no end."""

NAME = "-"
"""What stands for standard input or standard output on the command line."""

STANDARD = Path(NAME)
"""Standard input or standard output in place of a file: this very object, for a file of that name is typed ``./-``."""


def read_content() -> bytes:
    """Read standard input to its end; ImageError if it is closed, a terminal or endless."""
    stream = sys.stdin
    if stream is None or stream.isatty():
        what = "closed" if stream is None else "a terminal"
        raise ImageError(f"standard input is {what}; pipe a photo into it, as in: ... - < photo.jpg")
    try:
        content = stream.buffer.read(MAX_CONTENT + 1)
    except OSError as error:
        raise ImageError(f"standard input cannot be read ({error.strerror or error}); name a file") from error
    if len(content) > MAX_CONTENT:
        raise ImageError(f"standard input holds more than {MAX_CONTENT:,} bytes; pipe one photo into it")
    return content


def require_output() -> None:
    """Raise ImageError, before any work, if standard output is closed or a terminal."""
    stream = sys.stdout
    if stream is None or stream.isatty():
        what = "closed" if stream is None else "a terminal"
        raise ImageError(f"standard output is {what}; name a file with --output, or redirect it: ... - > painted.jpg")
