"""A few hundred of the attack's cases end well, and the attack sees the faults that it looks for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests import ROOT
from tests.fuzz import pictures
from tests.fuzz.trial import Case, is_one_sentence, run_case

if not hasattr(os, "fork"):
    pytest.skip("the attack forks", allow_module_level=True)


def attack(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run the attack in a process of its own: this one has threads, which a fork would lack."""
    command = [sys.executable, "-m", "tests.fuzz", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("pictures", 150),
        ("clips", 100),
        ("onnx_files", 100),
        ("weights", 40),
        ("checkpoints", 30),
        ("command_lines", 100),
    ],
)
def test_every_command_does_its_work_or_says_in_one_sentence_why_not(kind: str, count: int):
    # Enough CPU time for a slow machine; what never ends is found, too.
    done = attack("--kind", kind, "--count", str(count), "--seed", "7", "--seconds", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kind:14} {count:6}" in done.stdout


def test_a_case_depends_on_its_randomness_alone(tmp_path: Path):
    def draw(*names: str) -> list[bytes]:
        make = pictures.read_inputs(tmp_path)
        found = []
        for name in names:
            ending = Path(make(Random(name)).arguments[1]).suffix
            found.append((tmp_path / f"mutant{ending}").read_bytes())
        return found

    one, other = draw("one", "other")
    assert draw("other", "one") == [other, one]
    assert one != other


def fail() -> None:
    raise KeyError("bug")


def leave(name: str) -> None:
    Path(name).write_text("left")


def refuse(text: str = "error: a sentence\n") -> int:
    sys.stderr.write(text)
    return 2


FAULTS = {
    "done": lambda: leave("out.png"),
    "refused": refuse,
    "traceback": fail,
    "crash": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "hang": lambda: time.sleep(300),
    "memory": lambda: bytearray(b"x" * 300_000_000) and 0,
    "words": lambda: refuse("a warning\nerror: a sentence\n"),
    "exit code": lambda: 3,
    "replaced": lambda: leave("mine.txt"),
    "left behind": lambda: leave(".8f.tmp"),
}
"""Commands by the verdict on them."""


@pytest.mark.parametrize("verdict", FAULTS)
def test_each_fault_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str):
    for name in ("sandbox", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "sandbox" / "mine.txt").write_text("mine")
    if verdict == "hang":
        monkeypatch.setattr("tests.fuzz.trial.PATIENCE", 0.5)
    monkeypatch.setattr(sys.modules[__name__], "main", lambda _: FAULTS[verdict](), raising=False)
    case = Case(__name__, [], ("out.png",))
    memory = 350_000_000 if verdict == "memory" else 2_000_000_000
    outcome = run_case(case, tmp_path / "sandbox", tmp_path / "scratch", memory=memory)
    assert outcome.verdict == verdict
    assert verdict not in {"done", "refused"} or [path.name for path in (tmp_path / "sandbox").iterdir()] == [
        "mine.txt"
    ]


def test_refused_commands_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("sandbox", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys.modules[__name__], "main", lambda _: leave("out.png") or refuse(), raising=False)
    outcome = run_case(Case(__name__, [], ("out.png",)), tmp_path / "sandbox", tmp_path / "scratch")
    assert outcome.verdict == "left behind"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("error: it is absent; name another\n", True),
        ("error: it is absent", False),
        ("usage: x\nerror: it is absent\n", False),
        ("error: a\x1b[31mb\n", False),
        ("error: " + "x" * 3000 + "\n", False),
        ("", False),
    ],
)
def test_one_sentence_is_told_from_more(text: str, good: bool):
    assert is_one_sentence(text) == good
