"""What is printed is one line that a terminal takes, and an output that takes nothing is told of, once."""

import errno
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from export.cli import run_command
from export.errors import ExportError
from export.terminal import LONGEST_SENTENCE, guard_output, make_printable, print_error
from tests import ROOT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo 'a.png' is absent; name another", "photo 'a.png' is absent; name another"),
        ("'Die große Welle 神奈川.png'", "'Die große Welle 神奈川.png'"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udce9.png", "\\udce9.png"),
    ],
)
def test_what_is_not_printable_is_escaped(text, shown):
    assert make_printable(text) == shown


def test_a_long_name_is_cut_in_its_middle_and_the_remedy_stays(one_error):
    print_error(f"picture '{'y' * 200_000}.png' does not exist; name a JPEG or PNG file")
    said = one_error()
    assert len(said) < 600
    assert said.startswith("error: picture 'yyyy")
    assert said.endswith("y.png' does not exist; name a JPEG or PNG file\n")


@pytest.mark.parametrize("text", ["word " * 100_000, "\x1b" * 10_000, ("\x1b" * 300 + " ") * 100])
def test_no_sentence_is_longer_than_a_terminal_shows(text):
    assert len(make_printable(text)) <= LONGEST_SENTENCE


class Refusing(io.StringIO):
    encoding = "ascii"

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_output_that_takes_nothing_is_told_after_the_work(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Refusing())
    done = []

    def work():
        print("wrote 'out.png'", flush=True)
        done.append("on")

    assert run_command(work) == 2
    assert done == ["on"]
    assert capsys.readouterr().err == (
        "error: standard output cannot be written (No space left on device), and the work is done: wrote 'out.png'\n"
    )


def test_a_mistake_is_told_even_if_the_output_takes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Refusing())

    def work():
        raise ExportError("it is absent; name another")

    assert run_command(work) == 2
    assert capsys.readouterr().err == "error: it is absent; name another\n"


def test_a_closed_output_is_no_mistake(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert run_command(lambda: print("wrote 'out.png'")) == 0
    assert capsys.readouterr().err == ""


def test_names_are_printed_as_far_as_the_encoding_goes(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert run_command(lambda: print("wrote '神\x1b[31m.png'")) == 0
    assert stream.buffer.getvalue() == b"wrote '\\u795e\\x1b[31m.png'\n"


def test_progress_bars_may_move_the_cursor(capsys):
    with guard_output():
        print("\x1b[A\r1 of 2")
    assert capsys.readouterr().out == "\x1b[A\r1 of 2\n"


def test_warnings_of_libraries_are_not_printed(recwarn):
    assert run_command(lambda: warnings.warn("advice", stacklevel=1)) == 0
    assert not recwarn.list


def test_what_libraries_log_is_not_printed():
    code = (
        "import logging; from export.cli import run_command; "
        "run_command(lambda: logging.getLogger('library').error('advice')); logging.error('ours')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "advice" not in done.stderr
    assert "ours" in done.stderr


def test_more_memory_than_there_is_is_one_sentence(one_error):
    assert run_command(lambda: bytearray(2**62) and 0) == 2
    assert "not enough memory" in one_error()


def test_another_fault_keeps_its_traceback():
    def work():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_command(work)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("line", ["export", "export.stylize --help", "train fit --help", "train.start -h"])
def test_help_that_standard_output_does_not_take_is_one_sentence(line):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", *line.split()], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "error: standard output cannot be written (No space left on device)\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_python_says_nothing_of_its_own_about_a_full_output():
    code = "import sys; from export.cli import run_command; sys.exit(run_command(lambda: print('wrote it')))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("the work is done: wrote it\n")
