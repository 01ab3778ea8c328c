"""What commands print: one sentence on standard error, and words on a standard output that may refuse them.

Names come from files, command lines and other people, so what is printed has no control characters and no end of
which nobody reads. Standard library only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

LONGEST_WORD = 400
"""Characters of a name that are repeated; what lies between its beginning and its end is left out."""

LONGEST_SENTENCE = 1500
"""Characters of a sentence, likewise."""

LONGEST_REPORT = 10_000
"""Characters that are kept of what standard output has not taken."""

# A name may say to a terminal what it likes; a progress bar only where it stands.
_CONTROL = re.compile(r"\x1b(?!\[A)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


def make_printable(text: str) -> str:
    """Return a text on one line, escaped where it is not printable, with long words and a long text cut."""
    cut = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _cut(word[0], LONGEST_WORD), text)
    return _cut("".join(_escape(letter) for letter in _cut(cut, LONGEST_SENTENCE)), LONGEST_SENTENCE)


def quote(path: object) -> str:
    """Return a path as it can be pasted into a command line: with quotation marks where it needs them."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


def print_error(message: object) -> None:
    """Print a mistake on standard error, as one sentence; a standard error that takes nothing is left alone."""
    with contextlib.suppress(OSError, ValueError):
        print(f"error: {make_printable(str(message))}", file=sys.stderr, flush=True)


class _Output:
    """Standard output, which keeps what could not be printed in place of raising in the middle of the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        self.pending = ""

    def write(self, text: str) -> int:
        shown = _CONTROL.sub(lambda letter: _escape(letter[0]), text)
        encoding = self._stream.encoding or "utf-8"
        shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        self.pending = (self.pending + shown)[-LONGEST_REPORT:]
        if self.failure is None:
            try:
                self._stream.write(shown)
            except OSError as error:
                self._fail(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.failure is None:
            try:
                self._stream.flush()
                self.pending = ""
            except OSError as error:
                self._fail(error)

    def write_bytes(self, content: bytes | memoryview) -> None:
        self.flush()
        if self.failure is None:
            try:
                self._stream.buffer.write(content)
                self._stream.buffer.flush()
            except OSError as error:
                self._fail(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _fail(self, error: OSError) -> None:
        self.failure = error
        # What is left in the buffer would be tried again when Python ends, with a message of its own.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class PrintError(Exception):
    """The work is done, but standard output did not take the words about it; the message is one sentence."""


def print_content(content: bytes | memoryview) -> None:
    """Write the content of a file to standard output, within ``guard_output``, which reports what it does not take."""
    stream = sys.stdout
    if isinstance(stream, _Output):
        stream.write_bytes(content)
    else:
        stream.buffer.write(content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Print no warnings, nor what libraries log; whoever asks for them, with -W or PYTHONWARNINGS, gets them."""
    if sys.warnoptions:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Where nobody handles a library's log, Python prints it on standard error.
        last, logging.lastResort = logging.lastResort, logging.NullHandler()
        try:
            yield
        finally:
            logging.lastResort = last


@contextlib.contextmanager
def guard_output() -> Iterator[None]:
    """Print what a block prints as far as standard output takes it, and no warnings of libraries.

    Raises:
        PrintError: After a block that ended well, with what could not be printed, unless it was the help.
    """
    stream = sys.stdout
    with _quiet():
        if stream is None or isinstance(stream, _Output):
            # Python has none where it is closed, and prints nothing; within another command, that one takes care.
            yield
            return
        output = _Output(stream)
        sys.stdout = output
        helped: SystemExit | None = None
        try:
            yield
        except SystemExit as end:
            # argparse ends so after it has shown the help.
            if end.code:
                raise
            helped = end
        finally:
            output.flush()
            sys.stdout = stream
        if output.failure is not None:
            sentence = f"standard output cannot be written ({output.failure.strerror or output.failure})"
            said = "; ".join(output.pending.strip().splitlines())
            done = f", and the work is done: {said}" if said and not helped else ""
            raise PrintError(f"{sentence}{done}")
        if helped:
            raise helped


def _escape(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length // 2]}...{text[-(length // 2 - 3) :]}"
