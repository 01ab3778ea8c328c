"""The slow mode: ``python -m train.slow --content photo.jpg --style painting.jpg --output out.png``.

Beside the picture it writes ``out-curve.csv``, ``out-curve.png``, and, every ``--save-every`` iterations, an
intermediate picture into ``out-steps/``, from which ``out.gif`` is made. torch is imported only when the work begins.
"""

from __future__ import annotations

import sys

from train.cli import run_command
from train.config_parser import parse_config
from train.errors import TrainError
from train.slow.config import SlowConfig

EXAMPLES = (
    "python -m train.slow --content photo.jpg --style painting.jpg --output out.png",
    "python -m train.slow --config configs/slow/large.yaml --content photo.jpg --style painting.jpg --output large.png",
)


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C without a picture."""
    begun = False

    def note(_: object) -> None:
        nonlocal begun
        begun = True

    def work() -> None:
        description = "Repaint one picture by optimizing its pixels."
        config = parse_config(
            SlowConfig, "python -m train.slow", description, EXAMPLES, args, lambda config: config.files.list_written()
        )
        typed = sys.argv[1:] if args is None else args
        # A configuration's start gives way; one that was typed would be ignored.
        if config.starts and config.start != SlowConfig.start and "--start" in {arg.split("=")[0] for arg in typed}:
            raise TrainError(
                f"--start is {config.start} beside --starts, which takes its place; add it to --starts, or leave one "
                "out"
            )
        from train.compute.memory import keep_freed_memory
        from train.slow.run import run

        keep_freed_memory()
        print("wrote " + ", ".join(str(path) for path in run(config, note)))

    def describe_stop() -> str:
        if begun:
            return "stopped while the files were written; some of them may be missing"
        return "stopped before the first iteration; nothing was written"

    return run_command(work, describe_stop)
