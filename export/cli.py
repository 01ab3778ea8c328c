"""What every command shares: its parser, kinds of arguments, and how errors become a sentence and an exit code.

NumPy and Pillow at most, so that a command that needs no torch imports none.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from data.files import OutputError
from data.images import ImageError
from export.errors import ExportError

FAILED = 2
"""Exit code for a mistake of the user's, as argparse has it."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

USER_ERRORS: tuple[type[Exception], ...] = (ImageError, OutputError, ExportError)
"""Errors whose message is one sentence for the user; any other is a bug and keeps its traceback."""


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, whose complaint is one sentence in place of a page of usage; no path may be empty."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", Path, read_path)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and leave with exit code 2."""
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(FAILED)


def run_command(
    work: Callable[[], int | None],
    stopped: Callable[[], str] | str = "stopped",
    errors: tuple[type[Exception], ...] = USER_ERRORS,
) -> int:
    """Do a command's work; turn the user's mistakes, a full disk and Ctrl-C into one sentence and an exit code.

    Args:
        work: The command; returns its exit code, None for 0.
        stopped: What to say after Ctrl-C, on standard error; a function is asked only then.
        errors: Exceptions whose message is one sentence for the user.

    Returns:
        The exit code: that of ``work``, 2 for a mistake, 130 after Ctrl-C.
    """
    try:
        return work() or 0
    except errors as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"error: {describe_os_error(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(stopped if isinstance(stopped, str) else stopped(), file=sys.stderr)
        return INTERRUPTED


def describe_os_error(error: OSError) -> str:
    """Say in a sentence what the system refused: a file that cannot be read or written, a full disk."""
    reason = error.strerror or str(error) or type(error).__name__
    place = f"'{error.filename}' cannot be read or written" if error.filename else "a file cannot be read or written"
    remedy = "make room, or choose a folder with room" if error.errno == errno.ENOSPC else "choose another place"
    return f"{place} ({reason}); {remedy}"


def read_path(text: str) -> Path:
    """Read a path; an empty string, which would mean the current folder, becomes argparse's error."""
    if not text:
        raise argparse.ArgumentTypeError("an empty string is not a path; name a file or a folder, '.' for this folder")
    return Path(text)


def read_path_text(text: str) -> str:
    """Read a path whose slash at the end tells that it is a folder."""
    read_path(text)
    return text


def positive(text: str) -> int:
    """Read a positive integer; anything else becomes argparse's error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer")
    return int(text)
