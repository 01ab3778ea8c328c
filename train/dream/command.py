"""DeepDream: ``python -m train.dream --content photo.jpg --output dream.png``.

Raises the activations of chosen layers by gradient ascent on the pixels: what these layers respond to becomes visible
in the photo. torch is imported only when the work begins.
"""

from __future__ import annotations

from pathlib import Path

from train.cli import run_command
from train.config_parser import parse_config
from train.dream.config import DreamConfig

EXAMPLES = (
    "python -m train.dream --content photo.jpg --output dream.png",
    "python -m train.dream --content photo.jpg --output eyes.png --layers '{relu5_1: 1}' --octaves 6",
)


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C without a picture."""
    begun = False

    def note() -> None:
        nonlocal begun
        begun = True

    def work() -> None:
        description = "Raise the activations of a perceptual network's layers in a photo (DeepDream)."
        config = parse_config(
            DreamConfig, "python -m train.dream", description, EXAMPLES, args, lambda config: [Path(config.output)]
        )
        from train.dream.ascent import run

        print(f"wrote {run(config, note)}")

    def describe_stop() -> str:
        return f"stopped {'while the picture was written' if begun else 'before the first step'}; nothing was written"

    return run_command(work, describe_stop)
