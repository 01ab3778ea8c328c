"""DeepDream: ``python -m train.dream --content photo.jpg --output dream.png``.

Raises the activations of chosen layers, or of one channel, by gradient ascent on the pixels: what they respond to
becomes visible in the photo, or in noise. torch is imported only when the work begins.
"""

from __future__ import annotations

from train.cli import run_command
from train.config_parser import parse_config
from train.dream.config import DreamConfig

EXAMPLES = (
    "python -m train.dream --content photo.jpg --output dream.png",
    "python -m train.dream --content photo.jpg --output eyes.png --layers '{relu5_1: 1}' --octaves 6",
    "python -m train.dream --layers '{relu4_1: 1}' --channel 53 --size 256 --output leaves.png --frames 40",
)


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C without a picture."""
    begun = False

    def note() -> None:
        nonlocal begun
        begun = True

    def work() -> None:
        description = "Raise the activations of a perceptual network's layers in a photo, or in noise (DeepDream)."
        config = parse_config(
            DreamConfig, "python -m train.dream", description, EXAMPLES, args, lambda config: config.list_written()
        )
        from train.dream.run import run

        print("wrote " + ", ".join(str(path) for path in run(config, note)))

    def describe_stop() -> str:
        return "stopped while files were written" if begun else "stopped before the first step; nothing was written"

    return run_command(work, describe_stop)
