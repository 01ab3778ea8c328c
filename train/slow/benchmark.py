"""Measure coarse to fine against plain L-BFGS: ``python -m train.slow.benchmark`` (``make slow-bench``).

Both optimize the same picture from the same photo for the same time. The losses that are compared are computed in
float32 after the intermediate pictures are scaled to the full size. With ``--sizes`` time against pixels is measured in
its place. torch is imported only when the work begins.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from data.files import make_folder, require_absent, write_whole
from export.cli import CommandParser
from models.names import PerceptualName
from train.cli import run_command
from train.errors import TrainError
from train.flags import add_overwrite, add_perceptual_weights, side
from train.limits import require_positive
from train.slow.config import LEAST_SIZE, SlowConfig

COARSE_TO_FINE = Path(__file__).resolve().parents[2] / "configs" / "slow" / "large.yaml"

MOMENTS = (0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the time after which the picture is evaluated."""

TIMED = 10
"""Iterations that are timed at each size, after one that is not."""

MOST_SECONDS = 1e6
"""Longest time for each method: eleven days."""


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Args:
        threads: Threads of torch.
        seconds: Times after which the losses were computed.
        losses: For each method its loss after each of these times.
    """

    threads: int
    seconds: list[float]
    losses: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class SizeTime:
    """What an iteration takes at one size.

    Args:
        width: In pixels.
        height: In pixels.
        seconds: Of an iteration of Adam's, which computes the loss and its gradient once; the shortest, for
            other programs only ever make one longer.
    """

    width: int
    height: int
    seconds: float

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


def time_size(config: SlowConfig) -> SizeTime:
    """Time the iterations of an optimization.

    Args:
        config: What to optimize; the first iteration does not count.
    """
    from train.slow.run import optimize
    from train.slow.task import Task

    task = Task(config)
    seconds: list[float] = []
    start = time.perf_counter()
    for _ in optimize(task):
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return SizeTime(task.size[1], task.size[0], min(seconds[1:]))


def fit_exponent(times: Sequence[SizeTime]) -> float:
    """Return the power of the number of pixels that time grows with, 1 where it is linear (least squares of logs)."""
    slope, _ = statistics.linear_regression(
        [math.log(one.pixels) for one in times], [math.log(one.seconds) for one in times]
    )
    return slope


def measure(config: SlowConfig, seconds: float) -> list[float]:
    """Optimize for a time.

    Args:
        config: What to optimize; as many iterations as the time allows.
        seconds: How long, without the time that evaluating takes.

    Returns:
        The loss at full size, in float32, after each of ``MOMENTS``; where the optimization ended before, its last.
    """
    from tqdm import tqdm

    from train.slow.optimizer import evaluate_picture, resize
    from train.slow.run import optimize
    from train.slow.task import Task

    task = Task(config)
    # A loss of its own, for the task changes the style's targets with the size.
    reference = Task(config)
    reference.prepare(reference.size)
    photo = reference.first_picture(reference.size)
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
                losses.append(evaluate_picture(reference.loss, photo, resize(picture, reference.size))["loss"])
            bar.update(min(round(spent), whole) - round(bar.n))
    return losses


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser(
        prog="python -m train.slow.benchmark",
        description="Measure coarse to fine against plain L-BFGS at one size: the loss after the same seconds.",
        epilog="example:\n  python -m train.slow.benchmark --content photo.jpg --style painting.jpg --seconds 230",
    )
    parser.add_argument("--content", required=True, metavar="PHOTO", help="the photo")
    parser.add_argument("--style", required=True, metavar="FILE", help="the painting")
    parser.add_argument("--size", type=int, default=512, metavar="PIXELS", help="longer side, above 128 (default: 512)")
    parser.add_argument(
        "--sizes",
        type=side(LEAST_SIZE),
        nargs="+",
        metavar="PIXELS",
        help="in place of the comparison, the time of an iteration at several sizes; a smaller photo is not enlarged",
    )
    parser.add_argument("--seconds", type=float, default=240, metavar="N", help="time for each (default: 240)")
    parser.add_argument(
        "--perceptual", choices=get_args(PerceptualName), default="vgg19", help="the frozen network (default: vgg19)"
    )
    add_perceptual_weights(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON file for the figures")
    add_overwrite(parser, "an earlier file of figures")
    options = parser.parse_args(args)
    return run_command(lambda: run(options), "stopped: no figures were written")


def run(options: argparse.Namespace) -> None:
    """Measure as the command line asks; print the figures and write them."""
    require_positive(MOST_SECONDS, seconds=options.seconds)
    if options.output:
        if options.output.is_dir():
            raise TrainError(f"output '{options.output}' is a folder; name a JSON file with --output")
        read = [options.content, options.style, options.perceptual_weights]
        require_absent([options.output], options.overwrite, inputs=read)
        make_folder(options.output.parent)
    if options.sizes:
        run_sizes(options)
        return
    figures = compare_methods(options)
    print("loss after" + "".join(f"{second:>9.4g} s" for second in figures.seconds))
    for name, losses in figures.losses.items():
        print(f"{name:<14}" + "".join(f"{loss:>9.3f}  " for loss in losses))
    if options.output:
        values = asdict(figures)
        write_whole(options.output, json.dumps(values | values.pop("losses"), indent=2) + "\n")


def run_sizes(options: argparse.Namespace) -> None:
    """Measure time against pixels; print the figures and write them."""
    import torch
    from tqdm import tqdm

    from train.compute.memory import keep_freed_memory
    from train.slow.task import announce_small

    keep_freed_memory()
    times: list[SizeTime] = []
    with tempfile.TemporaryDirectory() as folder:
        configs = [
            SlowConfig(
                output=str(Path(folder) / "unwritten.png"),
                content=options.content,
                style=options.style,
                size=size,
                optimizer="adam",
                iterations=TIMED + 1,
                perceptual=options.perceptual,
                perceptual_weights=options.perceptual_weights,
            )
            for size in sorted(set(options.sizes))
        ]
        for config in configs:
            config.check()
        for config in tqdm(configs, unit="size", disable=None):
            times.append(time_size(config))
    announce_small(max(max(one.width, one.height) for one in times), *sorted(set(options.sizes)))
    times = list({one.pixels: one for one in times}.values())
    print("size            pixels  s per iteration  µs per pixel")
    for one in times:
        size = f"{one.width} x {one.height}"
        print(f"{size:<12}{one.pixels:>10,}{one.seconds:>17.3f}{1e6 * one.seconds / one.pixels:>14.2f}")
    exponent = fit_exponent(times) if len(times) > 1 else None
    if exponent is not None:
        print(f"time grows with the number of pixels to the power of {exponent:.2f}")
    if options.output:
        values = {"threads": torch.get_num_threads(), "sizes": [asdict(one) for one in times], "exponent": exponent}
        write_whole(options.output, json.dumps(values, indent=2) + "\n")


def compare_methods(options: argparse.Namespace) -> Figures:
    """Measure both methods."""
    import torch
    import yaml

    from train.compute.memory import keep_freed_memory
    from train.slow.run import announce_sizes
    from train.slow.task import Task

    keep_freed_memory()
    settings: dict[str, Any] = {
        "content": options.content,
        "style": options.style,
        "size": options.size,
        "perceptual": options.perceptual,
        "perceptual_weights": options.perceptual_weights,
        "iterations": sys.maxsize,
    }
    coarse_to_fine: dict[str, Any] = yaml.safe_load(COARSE_TO_FINE.read_text())
    figures = Figures(torch.get_num_threads(), [moment * options.seconds for moment in MOMENTS])
    with tempfile.TemporaryDirectory() as folder:
        settings["output"] = str(Path(folder) / "unwritten.png")
        plain = SlowConfig(**settings)
        # The configured number of iterations at each size: with all that the time allows, the first size never ends.
        fine = SlowConfig(**(coarse_to_fine | settings | {"iterations": coarse_to_fine["iterations"]}))
        plain.check()
        if options.size <= coarse_to_fine["smallest_size"]:
            raise TrainError(
                f"--size is {options.size}; coarse to fine begins at {coarse_to_fine['smallest_size']} pixels, so give "
                "a larger one"
            )
        fine.check()
        announce_sizes(Task(fine))
        for name, config in (("L-BFGS", plain), ("coarse to fine", fine)):
            figures.losses[name] = measure(config, options.seconds)
    return figures


if __name__ == "__main__":
    sys.exit(main())
