"""Fast against slow: ``python -m train.compare --model wave.onnx --style wave.jpg --photos folder --output report/``.

Writes ``report.html`` (one file, pictures inside), ``contact-sheet.jpg``, ``report.json``, and a table on the terminal.
torch is imported only when the work begins.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from export.cli import CommandParser, positive
from models.names import EfficientNetName, PerceptualName
from train.cli import run_command
from train.compute.precision import PrecisionName
from train.flags import add_aliases, add_overwrite, add_perceptual_weights, side

REFERENCES: tuple[str, ...] = (*get_args(EfficientNetName), *get_args(PerceptualName))

LEAST_SIZE = 64
"""Smallest side in pixels: the measures of artifacts need it."""


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        prog="python -m train.compare",
        description="Compare trained style networks with the slow optimization that they approximate.",
        epilog="example: python -m train.compare --model wave.onnx --style wave.jpg --photos folder --output report/",
    )
    add = parser.add_argument
    add("--model", type=Path, nargs="+", required=True, metavar="FILE", help="ONNX files of one style and one loss")
    add(
        "--style",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="the painting, or all that the style was trained on; the covariance distance is taken to the first",
    )
    add("--photos", type=Path, required=True, metavar="FOLDER", help="folder of photos that were not trained on")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder to write to")
    add("--count", type=positive, default=4, metavar="N", help="photos to compare (default: 4)")
    add("--size", type=side(LEAST_SIZE), default=256, metavar="PIXELS", help="side of the pictures (default: 256)")
    add("--iterations", type=positive, default=500, metavar="N", help="L-BFGS iterations (default: 500)")
    add(
        "--precision",
        choices=get_args(PrecisionName),
        default="auto",
        help="of the slow optimization (default: auto, bfloat16 where the hardware has it)",
    )
    add_perceptual_weights(parser, network="the network that the style was trained with")
    add(
        "--reference",
        choices=REFERENCES,
        default=REFERENCES[0],
        help=f"a second network, on which pictures are evaluated, too (default: {REFERENCES[0]}, which is not a VGG)",
    )
    add_aliases(parser, "reference", "--other", choices=REFERENCES)
    add("--reference-weights", default="default", metavar="FILE", help="of the reference network, if it is a VGG")
    add_aliases(parser, "reference_weights", "--other-weights")
    add_overwrite(parser, "an earlier report")
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    options = parse(args)
    finished = False

    def note() -> None:
        nonlocal finished
        finished = True

    def work() -> int:
        from train.compare.run import run

        return run(options, note)

    def describe_stop() -> str:
        if finished:
            return "stopped while the report was written; some of its files may be missing"
        return "stopped before a photo was finished; no report was written"

    return run_command(work, describe_stop)
