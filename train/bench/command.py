"""The bench's command line: ``python -m train.bench`` (``make bench``)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files import OutputError, make_folder, require_absent, write_whole
from export.cli import MOST_COUNT, CommandParser, integer, positive
from train.cli import run_command
from train.errors import require_at_least, spell_flag
from train.flags import side

HELD_OUT = 16
"""Photos that are not trained on, on which losses are compared."""

SMALLEST_SIDE = 64
"""Pixels that the frozen network's deepest layer needs, with some to spare."""

CELL = 4
"""The sides of the reference's pictures are multiples of it: its total stride, and it pads nothing to whole cells."""

MEASUREMENTS: Mapping[str, Mapping[str, Any]] = {
    "quality": {"quality_steps": 200, "quality_size": 128, "seeds": 3},
    "time_to_quality": {"painting": None, "reference_steps": 300, "start_from": None},
}
"""Measurements that are made only if asked for, and the defaults of what each of them alone takes."""


@dataclass
class Progress:
    """What is being measured, for what is said after Ctrl-C.

    Args:
        measuring: In words; empty before the first measurement.
    """

    measuring: str = ""

    def begin(self, measuring: str) -> None:
        """Name what is measured from now on."""
        self.measuring = measuring

    def describe_stop(self) -> str:
        """Say what is lost."""
        if not self.measuring:
            return "stopped before anything was measured"
        return (
            f"stopped while measuring {self.measuring}, which is lost; figures printed before are complete, and none "
            "were written to --output"
        )


def main(args: list[str] | None = None) -> int:
    """Measure, print, and keep the figures if asked; returns the exit code."""
    options = _parse(args)
    progress = Progress()
    return run_command(lambda: bench(options, progress), progress.describe_stop)


def bench(options: argparse.Namespace, progress: Progress) -> None:
    """Measure what the command line asks for, and keep ``progress`` up to date.

    Raises:
        ImageError, ModelFileError, OutputError, TrainError: If something that it names cannot be read or written; then
            nothing is measured.
    """
    require_at_least(0, endurance=options.endurance)
    if options.output:
        read = [options.painting, options.perceptual_weights, options.start_from]
        require_absent([options.output], options.overwrite, inputs=read)
        if options.output.is_dir():
            raise OutputError(f"'{options.output}' is a folder; name a file in it with --output")
        make_folder(options.output.parent)
    # Imported here, so that --help does not wait for torch.
    from train.bench.measure import measure, read_inputs

    figures = measure(options, read_inputs(options), progress)
    if options.output:
        write_whole(options.output, json.dumps(figures, indent=2) + "\n")


def read_side(text: str) -> int:
    """Read the side of the reference's pictures, in pixels; anything else becomes argparse's error."""
    found = side(SMALLEST_SIDE)(text)
    if found % CELL:
        raise argparse.ArgumentTypeError(f"{text!r} must be a multiple of {CELL}")
    return found


def _parse(args: list[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m train.bench",
        description="Measure the training step against the reference. "
        "ONESTROKE_PRECISION=float32 or bfloat16 in the environment chooses the precision of our step "
        "(default: bfloat16 where the hardware has it).",
        epilog="examples:\n  python -m train.bench --perceptual-weights vgg19.safetensors --photos folder\n"
        "  python -m train.bench --perceptual-weights vgg19.safetensors --photos folder --time-to-quality",
    )
    add = parser.add_argument
    add("--perceptual-weights", metavar="FILE", help="VGG-19 weights (default: random ones, which take as long)")
    add("--photos", type=Path, metavar="FOLDER", help="folder of photos, to measure decoding and quality")
    add("--image-size", type=read_side, default=256, metavar="PIXELS", help="side of the pictures (default: 256)")
    add("--batch-size", type=positive, default=4, metavar="N", help="pictures per step (default: 4)")
    add("--rounds", type=positive, default=5, metavar="N", help="measured steps of each (default: 5)")
    add(
        "--endurance",
        type=integer(-MOST_COUNT, MOST_COUNT),
        default=0,
        metavar="N",
        help="further steps of ours, to see whether memory grows (default: 0)",
    )
    add("--quality", action="store_true", help="also train with both, and compare the losses")
    add("--quality-steps", type=positive, metavar="N", help="steps of each training (default: 200)")
    add("--quality-size", type=read_side, metavar="PIXELS", help="side of its pictures (default: 128)")
    add("--seeds", type=positive, metavar="N", help="trainings of each kind (default: 3)")
    add("--time-to-quality", action="store_true", help="also train the reference, then ours until it is as good")
    add("--painting", type=Path, metavar="FILE", help="what both are then trained towards (default: a drawn one)")
    add("--reference-steps", type=positive, metavar="N", help="steps of the reference's training (default: 300)")
    start = "what ours starts from: a kept style's name, a style file or start file, or none for random weights "
    start += "(default: models/start.safetensors where it is there, else wave)"
    add("--start-from", metavar="STYLE", help=start)
    add("--output", type=Path, metavar="FILE", help="JSON file for the figures")
    add("--overwrite", action="store_true", help="replace that file if it exists")
    options = parser.parse_args(args)
    for measurement, settings in MEASUREMENTS.items():
        flag, asked = spell_flag(measurement), getattr(options, measurement)
        if asked and not (options.perceptual_weights and options.photos):
            parser.error(f"{flag} needs real photos and weights: give --photos and --perceptual-weights")
        for name, default in settings.items():
            if getattr(options, name) is None:
                setattr(options, name, default)
            elif not asked:
                parser.error(f"{spell_flag(name)} is for {flag}; give it, too")
    return options
