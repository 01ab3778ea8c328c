"""Evaluate the shared start: ``python -m train.start.evaluate``.

Trains styles on paintings that the start was not trained on, from the start, from a trained style and from random
weights, for several numbers of steps; see ``curves``. torch is imported only when the work begins.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.cli import MOST_COUNT, CommandParser, integer, positive
from train.cli import run_command
from train.flags import add_batch_size, add_overwrite, add_perceptual_weights, side
from train.limits import LIGHTNING_SEEDS
from train.start.origins import ORIGINS

STEPS = (0, 25, 50, 100, 200, 400, 800)
"""Lengths of the trainings unless told."""

LEAST_SIZE = 64
"""Smallest side in pixels: trainings have it."""


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        prog="python -m train.start.evaluate",
        description="Measure the validation loss, and the covariance distance to the painting, after trainings of "
        "several lengths, from the shared start, from a trained style and from random weights, on paintings that the "
        "start was not trained on. Each length is a training of its own with a whole learning-rate cycle. Finished "
        "trainings are kept: the same command goes on.",
        epilog="example: python -m train.start.evaluate --paintings paintings --photos photos --image-size 128",
    )
    add = parser.add_argument
    add("--start", type=Path, metavar="FILE", help="the shared start's file (default: models/start.safetensors)")
    add("--style", default="wave", metavar="STYLE", help="trained style to start from: name or file (default: wave)")
    add("--paintings", type=Path, required=True, metavar="FOLDER", help="those held out from the start are taken")
    add("--held-out", nargs="+", metavar="NAME", help="paintings to take in place of those that the file names")
    add("--count", type=positive, metavar="N", help="take only so many of them, the first (default: all)")
    add("--photos", type=Path, required=True, metavar="FOLDER", help="folder of photos")
    add(
        "--steps",
        type=integer(0, MOST_COUNT),
        nargs="+",
        default=list(STEPS),
        metavar="N",
        help=f"lengths (default: {' '.join(map(str, STEPS))})",
    )
    add(
        "--origins",
        choices=ORIGINS,
        nargs="+",
        default=list(ORIGINS),
        help="what to train from: the shared start, the trained style, random weights (default: all three)",
    )
    add("--image-size", type=side(LEAST_SIZE), default=256, metavar="PIXELS", help="side of pictures (default: 256)")
    add_batch_size(parser, 4)
    add("--perceptual", choices=("vgg19", "vgg16", "vgg_small"), default="vgg19", help="the frozen network of the loss")
    add_perceptual_weights(parser)
    add("--optimizer", choices=("muon", "adam"), default="muon", help="what moves the weights (default: muon)")
    add("--seed", type=integer(*LIGHTNING_SEEDS), default=0, metavar="N", help="of photos and weights (default: 0)")
    add("--output", type=Path, default=Path("runs/start-evaluation"), metavar="FOLDER", help="default: %(default)s")
    add_overwrite(parser, "an earlier evaluation with other settings")
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    options = parse(args)

    def work() -> None:
        from train.start.curves import run

        run(options)

    return run_command(work, "stopped; finished trainings are kept, and the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
