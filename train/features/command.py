"""What layers see: ``python -m train.features --photos folder --layers relu1_2 relu4_1 --output seen/``.

Writes ``report.html`` (one file, pictures inside) and a sheet for each layer. torch is imported only when the work
begins.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from export.cli import CommandParser, integer, positive
from models.names import PerceptualName
from train.cli import run_command
from train.flags import add_overwrite, add_perceptual_weights, side

LEAST_SIZE = 32
"""Smallest size of the photos in pixels: the deepest layers need it."""

STRONGEST = 8
"""Channels of a layer that are shown unless told."""

EXAMPLES = """examples:
  python -m train.features --photos folder --layers relu1_2 relu4_1 --perceptual vgg19 --output seen/
  python -m train.features --photos folder --model early.safetensors wave.safetensors --output learned/"""


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        prog="python -m train.features",
        description="Show what the layers of a network see: for channels of a layer the nine photos that excite it "
        "most, cut out to what a unit sees, beside what in them does (a deconvnet's projection).",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add("--photos", type=Path, required=True, metavar="FOLDER", help="the more photos, the clearer the answer")
    add(
        "--layers",
        nargs="+",
        metavar="LAYER",
        help="ReLUs of the network, such as relu3_1 (default: some of each depth)",
    )
    add(
        "--channels",
        nargs="+",
        type=integer(0, 2**16),
        metavar="NUMBER",
        help="channels of each layer, counted from 0 (default: the strongest)",
    )
    add(
        "--strongest",
        type=positive,
        default=STRONGEST,
        metavar="N",
        help=f"how many channels, if none are named (default: {STRONGEST})",
    )
    networks = parser.add_mutually_exclusive_group()
    networks.add_argument(
        "--perceptual", choices=get_args(PerceptualName), default="vgg19", help="a frozen network (default: vgg19)"
    )
    networks.add_argument(
        "--model",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="in its place a style network, as a style file or a checkpoint; or two, to see what changed between them",
    )
    add_perceptual_weights(parser)
    add("--size", type=side(LEAST_SIZE), default=224, metavar="PIXELS", help="longer side of the photos (default: 224)")
    add("--count", type=positive, metavar="N", help="photos to look at, spread over the folder (default: all)")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder to write to")
    add_overwrite(parser, "an earlier report")
    options = parser.parse_args(args)
    if options.model and len(options.model) > 2:
        parser.error(f"--model names {len(options.model)} files; name one, or two to compare")
    if options.model and options.perceptual_weights != "default":
        parser.error("--perceptual-weights are those of --perceptual; leave them out beside --model")
    if options.channels and options.strongest != STRONGEST:
        parser.error("--strongest chooses channels where --channels names none; leave one of them out")
    return options


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    options = parse(args)

    def work() -> int:
        from train.features.run import run

        return run(options)

    return run_command(work, "stopped; no report was written")
