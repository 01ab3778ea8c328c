"""Attack every command with mutated files and command lines: ``python -m tests.fuzz --kind pictures --count 1000``.

Each case runs in a fork of this process, with a limit on time and memory. The exit code is 1 if any command ended other
than with its work done, or with one sentence and exit code 2, or if it replaced or left behind what it must not.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.fuzz.trial import BYTES, GOOD, SECONDS, Outcome, call_in_fork, run_case

COUNTS = {
    "pictures": 10_000,
    "clips": 1000,
    "onnx_files": 600,
    "command_lines": 600,
    "weights": 150,
    "checkpoints": 150,
}
"""Kinds, each a module beside this one, and the cases of a whole attack."""

# What the commands import, so that a fork need not; never ONNX Runtime, whose thread no fork would have.
RUNTIME = ("data.images", "export.cli", "tqdm", "google.protobuf.descriptor_pb2", "concurrent.futures.process")
TRAINING = ("train.fit.datamodule", "train.fit.module", "onnx")
LIBRARIES = {
    "pictures": RUNTIME,
    "clips": (*RUNTIME, "av"),
    "onnx_files": (*RUNTIME, "onnx"),
    "command_lines": (*RUNTIME, *TRAINING, "matplotlib.pyplot"),
    # The export compares pictures with torchmetrics, which brings SciPy: most of the time of a case.
    "weights": (*RUNTIME, "train.slow.command", "models.start", "onnx", "matplotlib.pyplot", "torchmetrics"),
    "checkpoints": (*RUNTIME, *TRAINING),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 1 if a command did wrong."""
    options = _parser().parse_args(arguments)
    # One thread each: a fork has none of its parent's others.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    for kind in options.kind or COUNTS:
        count = options.count or COUNTS[kind]
        rows.append((kind, count, attack(kind, count, options.seed, options.first, options.keep, options.seconds)))
    print(f"\n{'kind':14} {'cases':>6} {'done':>6} {'refused':>8} {'faults':>7} {'longest':>8} {'most MB':>8}")
    for kind, count, outcomes in rows:
        found = Counter(outcome.verdict for outcome in outcomes)
        faults = sum(number for verdict, number in found.items() if verdict not in GOOD)
        longest = max(outcome.seconds for outcome in outcomes)
        most = max(outcome.peak for outcome in outcomes) / 1e6
        print(
            f"{kind:14} {count:6} {found['done']:6} {found['refused']:8} {faults:7} {longest:7.1f}s {most:8.0f}  "
            + ", ".join(f"{number} {verdict}" for verdict, number in found.most_common() if verdict not in GOOD)
        )
    print(f"seed {options.seed}; bounds: {options.seconds} s of CPU time and {BYTES / 1e9:g} GB for each case")
    return int(any(outcome.verdict not in GOOD for _, _, outcomes in rows for outcome in outcomes))


def attack(
    kind: str, count: int, seed: int, first: int = 0, keep: Path | None = None, seconds: int = SECONDS
) -> list[Outcome]:
    """Run cases of a kind, and print those that did wrong.

    Args:
        kind: One of ``COUNTS``.
        count: Cases.
        seed: Of all randomness; a case depends on it and its own number alone.
        first: Number of the first case.
        keep: Folder for the mutants of cases that did wrong.
        seconds: CPU time that a command may take.
    """
    for module in LIBRARIES[kind]:
        importlib.import_module(module)
    attacker = importlib.import_module(f"tests.fuzz.{kind}")
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        sandbox, scratch = Path(folder, "sandbox"), Path(folder, "scratch")
        sandbox.mkdir()
        scratch.mkdir()
        call_in_fork(attacker.write_inputs, sandbox)
        make = attacker.read_inputs(sandbox)
        for number in range(first, first + count):
            case = make(Random(f"{seed} {kind} {number}"))
            outcome = run_case(case, sandbox, scratch, seconds)
            outcomes.append(outcome)
            if outcome.verdict not in GOOD:
                line = shlex.join([case.module, *case.arguments])
                print(
                    f"{kind} {number}: {outcome.verdict}: {_shorten(line, 300)}\n  {_last_line(outcome.errors)}",
                    flush=True,
                )
                if keep is not None:
                    _keep_mutant(sandbox, keep / f"{kind}-{seed}-{number}")
            if outcome.verdict in {"replaced", "left behind"}:
                # What the next cases read may be gone.
                for path in sorted(sandbox.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
                call_in_fork(attacker.write_inputs, sandbox)
                make = attacker.read_inputs(sandbox)
    return outcomes


def _keep_mutant(sandbox: Path, target: Path) -> None:
    for path in sandbox.glob("mutant.*"):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(path.suffix).write_bytes(path.read_bytes())
        path.unlink()


def _last_line(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    return repr(_shorten(lines[-1] if lines else "", 300)) + (f" after {len(lines) - 1} lines" if lines[1:] else "")


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Attack every command.")
    parser.add_argument("--kind", action="append", choices=COUNTS, help="one kind; may be repeated (default: all)")
    parser.add_argument("--count", type=int, help="cases of each kind (default: a whole attack)")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness (default: 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to run one again (default: 0)")
    parser.add_argument(
        "--seconds", type=int, default=SECONDS, help=f"CPU time that a command may take (default: {SECONDS})"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files of cases that did wrong")
    return parser


if __name__ == "__main__":
    sys.exit(main())
