"""The slow mode: ``python -m train.slow --content photo.jpg --style painting.jpg --output out.png``.

Beside the picture it writes ``out-curve.csv``, ``out-curve.png``, and, every ``--save-every`` iterations, an
intermediate picture into ``out-steps/``, from which ``out.gif`` is made. torch is imported only when the work begins.
"""

from __future__ import annotations

from train.cli import run_command
from train.config_parser import parse_config
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
        from train.compute.memory import keep_freed_memory
        from train.slow.run import run

        keep_freed_memory()
        print("wrote " + ", ".join(str(path) for path in run(config, note)))

    def describe_stop() -> str:
        if begun:
            return "stopped while the files were written; some of them may be missing"
        return "stopped before the first iteration; nothing was written"

    return run_command(work, describe_stop)
