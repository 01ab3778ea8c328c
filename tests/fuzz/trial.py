"""One case: a command on mutated input, in a process with limits, and the verdict on how it ended."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10
"""CPU time that a command may take."""

PATIENCE = 600
"""Time on the clock that it may take; far more than ``SECONDS``, because the machine may be busy."""

BYTES = 2_000_000_000
"""Memory that its process may hold."""

UNHANDLED = 70
"""Exit code of a case that ended in an exception."""

DONE = (0, 1)
"""Exit codes of commands that did their work, but for some of several photos."""

GOOD = ("done", "refused")
"""Verdicts on commands that did right: their work, or one sentence and exit code 2."""

Snapshot = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Case:
    """What is run.

    Args:
        module: Module whose ``main`` is the command.
        arguments: What follows the command.
        outputs: Files and folders that it may write, relative to the sandbox; None for any that did not exist.
    """

    module: str
    arguments: Sequence[str]
    outputs: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Args:
        verdict: ``done``, ``refused``, or the fault: ``traceback``, ``crash``, ``hang``, ``memory``, ``words`` (more or
            other than one sentence on standard error), ``exit code``, ``replaced``, ``left behind``.
        seconds: On the clock.
        peak: Bytes that the process held at most.
        errors: Its standard error.
    """

    verdict: str
    seconds: float
    peak: int
    errors: str


def run_case(case: Case, sandbox: Path, scratch: Path, seconds: int = SECONDS, memory: int = BYTES) -> Outcome:
    """Run a command in a fork of this process and judge it; what it wrote where it may is removed.

    Args:
        case: The command.
        sandbox: Folder in which it runs, with what it reads.
        scratch: Folder for what it prints, outside of the sandbox.
        seconds: CPU time that it may take.
        memory: Bytes that it may hold.
    """
    before = take_snapshot(sandbox)
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        _run_in_child(case, sandbox, scratch, seconds, memory)
    status, usage = _wait(child, started + PATIENCE)
    took = time.perf_counter() - started
    errors = (scratch / "stderr").read_bytes().decode(errors="backslashreplace")
    # Kilobytes on Linux, bytes on macOS.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    verdict = _judge_end(status, peak, memory, errors) or _judge_files(case, status in DONE, before, sandbox)
    if status in DONE:
        remove_new(sandbox, before)
    return Outcome(verdict or ("refused" if status else "done"), took, peak, errors)


def call_in_fork(work: Callable[[Path], object], folder: Path) -> None:
    """Do work in a fork of this process, so that no thread that it starts is left here.

    Raises:
        RuntimeError: If it fails, with its traceback on standard error.
    """
    child = os.fork()
    if child == 0:
        code = UNHANDLED
        try:
            work(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError(f"the inputs in '{folder}' could not be written")


def take_snapshot(folder: Path) -> Snapshot:
    """Return what a folder holds: by path size, time of change and identity."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[path.relative_to(folder).as_posix()] = (
            (0, 0, status.st_ino) if path.is_dir() else (status.st_size, status.st_mtime_ns, status.st_ino)
        )
    return found


def remove_new(folder: Path, before: Snapshot) -> None:
    """Remove what a folder did not hold before."""
    for name in sorted(take_snapshot(folder).keys() - before.keys(), reverse=True):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def _run_in_child(case: Case, sandbox: Path, scratch: Path, seconds: int, memory: int) -> None:
    code = UNHANDLED
    try:
        os.setsid()
        for number, name in ((1, "stdout"), (2, "stderr")):
            target = os.open(scratch / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            os.dup2(target, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
        os.chdir(sandbox)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        # Address space is more than memory; what counts is measured, and this keeps the machine alive.
        limit = _address_space() + 3 * memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = importlib.import_module(case.module).main(list(case.arguments)) or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else UNHANDLED
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Without the destructors and exit handlers of what this process was forked from.
        os._exit(code & 0xFF)


def _address_space() -> int:
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _wait(child: int, deadline: float) -> tuple[int, resource.struct_rusage]:
    """Wait for a process, kill it and what it started when its time is over; a negative status is a signal."""
    pause = 0.001
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status), usage
        if time.perf_counter() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        time.sleep(pause)
        pause = min(0.02, 1.5 * pause)


def _judge_end(status: int, peak: int, memory: int, errors: str) -> str | None:
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "hang"
    if status < 0:
        return "crash"
    if status == UNHANDLED or "Traceback (most recent call last)" in errors:
        return "traceback"
    if peak > memory:
        return "memory"
    if status not in {*DONE, 2}:
        return "exit code"
    if status == 2 and not is_one_sentence(errors):
        return "words"
    if status == 1 and not all(map(is_one_sentence, errors.splitlines(keepends=True))):
        return "words"
    return None


def is_one_sentence(errors: str) -> bool:
    """Return whether a text is one line that begins with ``error:``, not too long and without control characters."""
    return bool(re.fullmatch(r"error: [^\x00-\x1f\x7f]{1,2000}\n", errors))


def _judge_files(case: Case, succeeded: bool, before: Snapshot, sandbox: Path) -> str | None:
    after = take_snapshot(sandbox)
    if any(after.get(name) != state for name, state in before.items()):
        return "replaced"
    new = after.keys() - before.keys()
    if any(name.endswith(".tmp") for name in new):
        return "left behind"
    if succeeded and case.outputs is None:
        return None
    allowed = case.outputs or () if succeeded else ()
    return "left behind" if any(name.split("/")[0] not in allowed for name in new) else None
