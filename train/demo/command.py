"""Train a style, export it, and repaint a photo with it, without any download: ``make demo``.

With your own pictures: ``make demo STYLE=painting.jpg PHOTOS=~/Pictures PHOTO=me.jpg``; each of them may be left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from data.files import OutputError, make_folder, require_absent, write_whole
from data.images import contact_sheet, decode, encode, from_array, to_array
from data.samples import SAMPLES, SHOWN, sample_photo
from export.cli import INTERRUPTED, CommandParser, positive
from export.terminal import quote
from train.cli import run_command
from train.fit.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]

CONFIGS = ("figures.yaml", "demo.yaml")
"""Configurations of the training; a later one overrides an earlier one."""

FLAGS = "demo.json"
"""Name of the file in a run folder that holds the flags and configurations with which the demo trained it."""


def main(args: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = CommandParser(
        prog="python -m train.demo",
        description="Train a style, export it, and repaint a photo with it, without any download.",
        epilog="example: python -m train.demo --style painting.jpg --photos ~/Pictures --photo me.jpg",
    )
    parser.add_argument("--style", type=Path, metavar="FILE", help="a painting in place of the drawn one")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="to train on, in place of samples and scenes")
    parser.add_argument("--photo", type=Path, metavar="FILE", help=f"to repaint, in place of the sample '{SHOWN}'")
    parser.add_argument("--steps", type=positive, metavar="N", help="of training (default: those of configs/demo.yaml)")
    parser.add_argument("--output", type=Path, default=Path("demo"), metavar="FOLDER", help="default: demo")
    parser.add_argument("--again", action="store_true", help="train anew, though the style is trained already")
    parser.add_argument("overrides", nargs="*", help="after --: more flags for python -m train fit")
    options = parser.parse_args(args)
    # A training that is stopped itself says what it has written.
    return run_command(lambda: demonstrate(options), "stopped; make demo goes on from what is written")


def demonstrate(options: argparse.Namespace) -> int:
    """Train, export and repaint as the command line asks; returns the exit code."""
    # Here, so that --help does not wait for torch, and first, so that its absence is told before anything is written.
    from train.fit.command import main as fit

    photo, style = (path and path.expanduser() for path in (options.photo, options.style))
    before = to_array(decode(photo or sample_photo(SHOWN)))
    new = not options.output.exists()
    run = RunFolder(options.output / (style.stem if style else "flowing_strokes"))
    picture, sheet = (options.output / name for name in ("painted.jpg", "before-after.png"))
    require_absent([picture, sheet], True, inputs=[photo, style])
    foreign = [] if any(options.output.glob(f"*/{FLAGS}")) else [path for path in (picture, sheet) if path.exists()]
    if foreign:
        raise OutputError(f"'{foreign[0]}' is not the demo's; choose another --output")
    make_folder(options.output)
    start = time.perf_counter()
    try:
        code = train_style(run, options, fit)
    finally:
        # Of a training that was refused there is nothing in it, and of any other it stays.
        if new:
            with contextlib.suppress(OSError):
                options.output.rmdir()
    if code:
        return code
    trained = time.perf_counter()
    from export.runtime.stylizer import Stylizer

    stylizer = Stylizer(run.onnx)
    loaded = time.perf_counter()
    after = stylizer(before)
    painted = time.perf_counter()
    encode(from_array(after), picture)
    encode(from_array(contact_sheet([[before, after]])), sheet)
    height, width = before.shape[:2]
    print(f"\ntraining and export: {trained - start:.0f} s; repainting {width} x {height}: {painted - loaded:.2f} s")
    print(f"the picture:  {sheet}")
    print(f"the network:  {run.onnx}; how it learned: {run.previews}")
    if options.photo is None:
        print(f"the photo is '{SHOWN}' of scikit-image's samples ({SAMPLES[SHOWN]})")
    print("next, your own pictures:  make demo STYLE=my.jpg PHOTOS=~/Pictures PHOTO=me.jpg")
    network = quote(run.onnx)
    print(f"repaint more with this:   .venv/bin/python -m export.stylize {network} photo.jpg --output painted.jpg")
    print("train for hours with VGG: .venv/bin/python -m train fit --model.style my.jpg --data.photos FOLDER")
    return 0


def list_times(run: RunFolder) -> dict[Path, int]:
    """Return when the network and the checkpoint were written, in nanoseconds; a training removes them as it begins."""
    return {path: path.stat().st_mtime_ns for path in (run.onnx, run.checkpoint) if path.is_file()}


def find_shipped(file: str) -> Path:
    """Return the path of a file of the checkout or the installed package, short where the command is run from there."""
    path = ROOT / file
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def train_style(run: RunFolder, options: argparse.Namespace, fit: Callable[[list[str]], int]) -> int:
    """Train and export, unless that is done; resume an earlier demo that was stopped.

    Args:
        run: Where to.
        options: Of the command line.
        fit: The command that trains.

    Returns:
        The exit code of ``python -m train fit``.

    Raises:
        OutputError: If the folder holds a run that is not the demo's.
    """
    flags = ["--name", run.path.name, "--runs", str(run.path.parent)]
    # The config names it as the checkout has it, and the command may be run from anywhere.
    flags += ["--model.style", str(find_shipped("data/styles/flowing_strokes.jpg")), *options.overrides]
    if options.style:
        flags += ["--model.style", str(options.style.expanduser()), "--license", ""]
    if options.photos:
        flags += ["--data.photos", str(options.photos.expanduser()), "--data.scene_share", "0", "--data.held_out", "1"]
    if options.steps:
        flags += ["--trainer.max_steps", str(options.steps), "--trainer.val_check_interval", str(options.steps)]
    configs = {name: (ROOT / "configs" / name).read_text() for name in CONFIGS}
    told = {"flags": flags, "configs": configs}
    # What the earlier training was told: with other flags, other photos say, or configurations it is trained anew.
    asked = run.path / FLAGS
    former = asked.read_text() if asked.is_file() else None
    same = former is not None and json.loads(former) == told and not options.again
    if same and run.onnx.is_file():
        print(f"'{run.path}' is trained already; make demo AGAIN=1 trains it anew")
        return 0
    kept = list_times(run)
    if same and run.checkpoint.is_file():
        print(f"going on from {run.checkpoint}")
        resume = ["--ckpt_path", str(run.checkpoint)]
    else:
        if former is None and run.list_written():
            raise OutputError(f"'{run.path}' holds a run that is not the demo's; choose another --output")
        if run.onnx.is_file() and not options.again:
            print(f"'{run.path}' was trained with other flags or configurations, and is trained anew")
        run.path.mkdir(parents=True, exist_ok=True)
        write_whole(asked, json.dumps(told))
        resume = ["--overwrite", "true"]
    stacked = [flag for name in CONFIGS for flag in ("--config", str(ROOT / "configs" / name))]
    try:
        code = fit(["fit", *stacked, *flags, *resume])
    finally:
        if former is not None and kept and list_times(run) == kept:
            # It was refused or stopped before it began: what is there is of the earlier training, and of its flags.
            write_whole(asked, former)
    if code == INTERRUPTED and list_times(run) != kept:
        print("make demo goes on from there")
    return code
