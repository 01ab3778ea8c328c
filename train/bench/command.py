"""The bench's command line: ``python -m train.bench`` (``make bench``)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from data.files import OutputError, make_folder, require_absent, write_whole
from export.cli import CommandParser, positive
from train.cli import run_command
from train.errors import require_at_least

SMALLEST_SIDE = 64
"""Pixels that the frozen network's deepest layer needs, with some to spare."""


def main(args: list[str] | None = None) -> int:
    """Measure, print, and keep the figures if asked; returns the exit code."""
    options = _parse(args)
    return run_command(lambda: bench(options), "stopped: no figures were written")


def bench(options: argparse.Namespace) -> None:
    """Measure what the command line asks for.

    Raises:
        ImageError, ModelFileError, OutputError, TrainError: If something that it names cannot be read or written; then
            nothing is measured.
    """
    require_at_least(0, endurance=options.endurance)
    if options.output:
        require_absent([options.output], options.overwrite)
        if options.output.is_dir():
            raise OutputError(f"'{options.output}' is a folder; name a file in it with --output")
        make_folder(options.output.parent)
    # Imported here, so that --help does not wait for torch.
    from train.bench.measure import measure, read_inputs

    figures = measure(options, read_inputs(options))
    if options.output:
        write_whole(options.output, json.dumps(figures, indent=2) + "\n")


def _parse(args: list[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m train.bench",
        description="Measure the training step against the reference.\n"
        "ONESTROKE_PRECISION=float32 or bfloat16 in the environment chooses the precision of our step\n"
        "(default: bfloat16 where the hardware has it).",
        epilog="example:\n  python -m train.bench --perceptual-weights vgg19.safetensors --photos folder",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--perceptual-weights", help="VGG-19 weights (default: random ones, which do not change a step's time)")
    add("--photos", type=Path, help="folder of photos, to measure decoding and quality")
    add("--image-size", type=_side, default=256, help="side of the pictures (default: 256)")
    add("--batch-size", type=positive, default=4, help="pictures per step (default: 4)")
    add("--rounds", type=positive, default=5, help="measured steps of each (default: 5)")
    add("--endurance", type=int, default=0, help="further steps of ours, to see whether memory grows (default: 0)")
    add("--quality", action="store_true", help="also train with both, and compare the losses")
    add("--quality-steps", type=positive, default=200, help="steps of each training (default: 200)")
    add("--quality-size", type=_side, default=128, help="side of its pictures (default: 128)")
    add("--seeds", type=positive, default=3, help="trainings of each kind (default: 3)")
    add("--output", type=Path, help="JSON file for the figures")
    add("--overwrite", action="store_true", help="replace that file if it exists")
    options = parser.parse_args(args)
    if options.quality and not (options.perceptual_weights and options.photos):
        parser.error("--quality needs real photos and weights: give --photos and --perceptual-weights")
    return options


def _side(text: str) -> int:
    if not text.isdecimal() or int(text) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least {SMALLEST_SIDE}")
    return int(text)
