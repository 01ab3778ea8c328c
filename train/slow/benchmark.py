"""Measure coarse to fine against plain L-BFGS: ``python -m train.slow.benchmark`` (``make slow-bench``).

Both optimize the same picture from the same photo for the same time; every picture on the way is scaled to the full
size and judged there by the same loss, in float32.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from tqdm import tqdm

from data.files import OutputError, make_folder, write_whole
from data.images import ImageError
from models.vgg import PerceptualWeightsError
from train.compute.memory import keep_freed_memory
from train.errors import TrainError
from train.slow.command import optimize
from train.slow.config import SlowConfig, Task
from train.slow.optimizer import judge_picture, resize

COARSE_TO_FINE = Path(__file__).resolve().parents[2] / "configs" / "slow" / "large.yaml"

MOMENTS = (0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the time at which the picture is judged."""


def measure(config: SlowConfig, seconds: float) -> list[float]:
    """Optimize for a time.

    Args:
        config: What to optimize; as many iterations as the time allows.
        seconds: How long, without the time that judging takes.

    Returns:
        The loss at full size, in float32, after each of ``MOMENTS``; where the optimization ended before, its last.
    """
    task = Task(config)
    judge = Task(config)
    judge.prepare(judge.size)
    photo = judge.first_picture(judge.size)
    losses: list[float] = []
    spent, picture = 0.0, task.first_picture(task.size)
    iterates = optimize(task)
    whole = round(seconds)
    with tqdm(total=whole, desc=config.optimizer, unit="s", disable=None) as bar:
        while len(losses) < len(MOMENTS):
            start = time.perf_counter()
            now = next(iterates, None)
            spent += time.perf_counter() - start
            picture = picture if now is None else now.picture
            while len(losses) < len(MOMENTS) and (now is None or spent >= MOMENTS[len(losses)] * seconds):
                losses.append(judge_picture(judge.loss, photo, resize(picture, judge.size))["loss"])
            bar.update(min(round(spent), whole) - round(bar.n))
    return losses


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m train.slow.benchmark",
        description="Measure coarse to fine against plain L-BFGS at one size: the loss after the same seconds.",
        epilog="example:\n  python -m train.slow.benchmark --content photo.jpg --style painting.jpg --seconds 230",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--content", required=True, help="the photo")
    parser.add_argument("--style", required=True, help="the painting")
    parser.add_argument("--size", type=int, default=512, help="longer side in pixels (default: 512)")
    parser.add_argument("--seconds", type=float, default=240, help="time for each (default: 240)")
    parser.add_argument("--perceptual", choices=("vgg19", "vgg16", "vgg_small"), default="vgg19")
    parser.add_argument("--perceptual-weights", default="default", help="its weights (default: torchvision's)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args(args)
    keep_freed_memory()
    try:
        figures = run(options)
    except (TrainError, ImageError, PerceptualWeightsError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("loss after" + "".join(f"{second:>9.4g} s" for second in figures["seconds"]))
    for name in ("L-BFGS", "coarse to fine"):
        print(f"{name:<14}" + "".join(f"{loss:>9.3f}  " for loss in figures[name]))
    if options.output:
        write_whole(options.output, json.dumps(figures, indent=2) + "\n")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure as the command line asks; returns seconds and losses."""
    if not 0 < options.seconds < math.inf:
        raise TrainError(f"--seconds is {options.seconds}; it must be above 0, 240 say")
    if options.output:
        make_folder(options.output.parent)
        if options.output.is_dir():
            raise TrainError(f"output '{options.output}' is a folder; name a JSON file with --output")
    settings: dict[str, Any] = {
        "content": options.content,
        "style": options.style,
        "size": options.size,
        "perceptual": options.perceptual,
        "perceptual_weights": options.perceptual_weights,
        "iterations": sys.maxsize,
    }
    coarse_to_fine: dict[str, Any] = yaml.safe_load(COARSE_TO_FINE.read_text())
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "seconds": [m * options.seconds for m in MOMENTS]}
    with tempfile.TemporaryDirectory() as folder:
        settings["output"] = str(Path(folder) / "unwritten.png")
        plain = SlowConfig(**settings)
        # Its own number of iterations at each size, not as many as the time allows at the first.
        fine = SlowConfig(**(coarse_to_fine | settings | {"iterations": coarse_to_fine["iterations"]}))
        for name, config in (("L-BFGS", plain), ("coarse to fine", fine)):
            config.check()
            figures[name] = measure(config, options.seconds)
    return figures


if __name__ == "__main__":
    sys.exit(main())
