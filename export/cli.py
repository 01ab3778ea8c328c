"""What every command shares: its parser, kinds of arguments, and how errors become a sentence and an exit code.

NumPy and Pillow at most, so that a command that needs no torch imports none.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from data.files import OutputError
from data.images import ImageError
from export.contract import MOST_STRENGTH
from export.errors import ExportError
from export.terminal import PrintError, guard_output, make_printable, print_error

FAILED = 2
"""Exit code for a mistake of the user's, as argparse has it."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

MOST_COUNT = 2**31 - 1
"""Largest count that a flag takes, as large as libraries in C take."""

MOST_THREADS = 1024
"""Most CPU threads that a flag takes."""

USER_ERRORS: tuple[type[Exception], ...] = (ImageError, OutputError, ExportError)
"""Errors whose message is one sentence for the user; any other is a bug and keeps its traceback."""


class ExampleFormatter(argparse.HelpFormatter):
    """argparse's help, with the lines of examples left whole, to be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return indent + text if text.startswith("example") else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, whose complaint is one sentence in place of a page of usage; no path may be empty."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": ExampleFormatter, **options})
        self.register("type", Path, read_path)

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse itself swallows what standard output refuses.
        if file is sys.stdout and message and show_help(message):
            sys.exit(FAILED)
        elif file is not sys.stdout:
            super()._print_message(message, file)

    def parse_words(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse a command line on which photos may stand before and after the flags.

        With ``--`` they stand behind it alone: argparse, when it takes them from everywhere, reads names that begin
        with a dash as flags there, too.
        """
        words = sys.argv[1:] if arguments is None else arguments
        return self.parse_args(words) if "--" in words else self.parse_intermixed_args(words)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and leave with exit code 2."""
        print_error(f"{message}; see {self.prog} --help")
        sys.exit(FAILED)


def run_command(
    work: Callable[[], int | None],
    stopped: Callable[[], str] | str = "stopped",
    errors: tuple[type[Exception], ...] = USER_ERRORS,
) -> int:
    """Do a command's work; turn the user's mistakes, a full disk and Ctrl-C into one sentence and an exit code.

    Of libraries' warnings nothing is printed, unless Python was asked for them, with ``-W`` for example.

    Args:
        work: The command; returns its exit code, None for 0.
        stopped: What to say after Ctrl-C, on standard error; a function is asked only then.
        errors: Exceptions whose message is one sentence for the user.

    Returns:
        The exit code: that of ``work``, 2 for a mistake, 130 after Ctrl-C.
    """
    try:
        with guard_output():
            return work() or 0
    except errors as error:
        print_error(error)
    except OSError as error:
        print_error(describe_os_error(error))
    except PrintError as error:
        print_error(error)
    except (MemoryError, RuntimeError) as error:
        sentence = _describe_limit(error)
        if sentence is None:
            raise
        print_error(sentence)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print(make_printable(stopped if isinstance(stopped, str) else stopped()), file=sys.stderr)
        return INTERRUPTED
    return FAILED


def show_help(text: str) -> int:
    """Print a command's help; returns the exit code: 0, or 2 if standard output does not take it."""

    def show() -> NoReturn:
        print(text, end="")
        sys.exit()

    try:
        return run_command(show)
    except SystemExit:
        return 0


def describe_os_error(error: OSError) -> str:
    """Say in a sentence what the system refused: a file that cannot be read or written, a full disk."""
    reason = error.strerror or str(error) or type(error).__name__
    place = f"'{error.filename}' cannot be read or written" if error.filename else "a file cannot be read or written"
    return f"{place} ({reason}); {_REMEDIES.get(error.errno or 0, 'choose another place')}"


def _describe_limit(error: Exception) -> str | None:
    """Say in a sentence which limit of the machine's was met; None if the error is about something else."""
    # torch has no error of its own for the processor's memory, nor pathlib, until Python 3.13, for links.
    said = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in said or "out of memory" in said:
        return "there is not enough memory for what was asked; choose smaller sizes, or end other programs"
    if said.startswith("Symlink loop"):
        place = said.partition("from ")[2] or "a path"
        return f"{place} is a link to itself; name what is there"
    return None


_REMEDIES = {
    errno.ENOSPC: "make room, or choose a folder with room",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "name what is there in place of a link to itself",
}


def integer(least: int, most: int) -> Callable[[str], int]:
    """Return an argparse type for integers of a range; anything else becomes argparse's error."""

    def read_integer(text: str) -> int:
        # More digits than any bound has are not counted: Python refuses to read thousands of them.
        if not re.fullmatch(r"-?[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be an integer between {least} and {most}")
        return int(text)

    return read_integer


def number(above: float, most: float) -> Callable[[str], float]:
    """Return an argparse type for numbers above one and at most another; anything else becomes argparse's error."""

    def read_number(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = float("nan")
        if not above < found <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number above {above:g} and at most {most:g}")
        return found

    return read_number


def number_from(least: float, most: float) -> Callable[[str], float]:
    """Return an argparse type for numbers of a range, both ends included; anything else becomes argparse's error."""

    def read_number(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = float("nan")
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number from {least:g} to {most:g}")
        return found

    return read_number


def read_path(text: str) -> Path:
    """Read a path; an empty string, which would mean the current folder, becomes argparse's error."""
    if not text:
        raise argparse.ArgumentTypeError("an empty string is not a path; name a file or a folder, '.' for this folder")
    return Path(text)


def read_path_text(text: str) -> str:
    """Read a path whose slash at the end tells that it is a folder."""
    read_path(text)
    return text


def read_strength(text: str) -> float:
    """Read the strength of a style; anything else becomes argparse's error."""
    try:
        strength = float(text)
    except ValueError:
        strength = float("nan")
    if not 0 <= strength <= MOST_STRENGTH:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 to {MOST_STRENGTH}")
    return strength


def positive(text: str) -> int:
    """Read a positive integer; anything else becomes argparse's error."""
    if not re.fullmatch("[0-9]{1,10}", text) or not 1 <= int(text) <= MOST_COUNT:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer of at most {MOST_COUNT}")
    return int(text)


threads = integer(1, MOST_THREADS)
"""Read a number of CPU threads, as an argparse type."""
