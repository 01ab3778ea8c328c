"""Evaluate the small perceptual network: ``python -m train.distill.evaluate`` (``make fidelity``).

Trains style networks with the small and with the large network and compares them; see ``fidelity``. torch is imported
only when the work begins.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.cli import CommandParser, number
from train.cli import run_command
from train.flags import add_aliases, add_batch_size, add_overwrite, add_perceptual_weights, side

LEAST_SIZE = 64
"""Smallest side in pixels: trainings have it."""

MOST_MINUTES = 1e6
"""Longest training time of a pupil: two years."""


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        prog="python -m train.distill.evaluate",
        description="Measure how well the small perceptual network replaces the large one.",
        epilog="example: python -m train.distill.evaluate --photos folder --paintings one.jpg two.jpg --minutes 5",
    )
    add = parser.add_argument
    add("--teacher", choices=("vgg19", "vgg16"), default="vgg19", help="the large network (default: vgg19)")
    add_perceptual_weights(parser, "--teacher-weights", network="the large network")
    add("--weights", default="default", metavar="FILE", help="the small network's file (default: the kept one)")
    add("--photos", type=Path, required=True, metavar="FOLDER", help="folder of photos")
    add("--paintings", type=Path, nargs="+", required=True, metavar="FILE", help="pictures that it was not trained on")
    add("--styles", type=Path, nargs="*", default=[], metavar="FILE", help="trained styles to rank pictures of, too")
    add("--minutes", type=number(0, MOST_MINUTES), default=10, metavar="N", help="time of each pupil (default: 10)")
    add("--image-size", type=side(LEAST_SIZE), default=256, metavar="PIXELS", help="side of pictures (default: 256)")
    add_aliases(parser, "image_size", "--size", type=side(LEAST_SIZE))
    add_batch_size(parser, 4, "--batch")
    add("--no-compile", action="store_true", help="for very short trainings")
    add("--output", type=Path, default=Path("runs/fidelity"), metavar="FOLDER", help="default: %(default)s")
    add_overwrite(parser, "an earlier report")
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    options = parse(args)

    def work() -> None:
        from train.distill.fidelity import run

        run(options)

    return run_command(work, "stopped: no report was written")


if __name__ == "__main__":
    sys.exit(main())
