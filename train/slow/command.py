"""The slow mode: ``python -m train.slow --content photo.jpg --style painting.jpg --output out.png``.

Beside the picture it writes ``out-curve.csv``, ``out-curve.png``, and, every ``--save-every`` iterations, a picture of
the way into ``out-steps/``, from which ``out.gif`` is made. Ctrl-C keeps the best picture so far of the size at hand,
that of the lowest loss. A run that ends by itself keeps its last one, which with Adam is the average of its iterates.
"""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL.Image
from tqdm import tqdm

from data.files import OutputError, make_folder, write_whole
from data.images import ImageError, encode, fit_within, from_array
from data.photos import to_uint8
from train.compute.memory import keep_freed_memory
from train.errors import TrainError
from train.parser import ExamplesFormatter, StyleArgumentParser, quiet_libraries, spell_flags
from train.slow.config import SlowConfig, Task
from train.slow.optimizer import Iterate, Pixels, Saturation, make_judges, resize
from train.slow.outputs import SlowFiles

GIF_SIDE = 384
"""Longer side of the GIF's frames in pixels: more makes a file that nobody waits for."""

FIELDS = ("iteration", "seconds", "width", "height", "loss", "content", "style", "tv")


@dataclass
class Record:
    """What is written beside the picture: the way there, and the losses along it.

    Args:
        files: Where everything goes.
        save_every: Iterations between two pictures; 0 keeps none.
    """

    files: SlowFiles
    save_every: int
    rows: list[tuple[float, ...]] = field(default_factory=list)
    frames: list[PIL.Image.Image] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = time.perf_counter()

    def add(self, now: Iterate) -> None:
        """Note an iteration, and keep its picture if it is time."""
        # Not before: a run that fails at once leaves the earlier one's.
        if not self.rows:
            self.files.clear_steps()
        height, width = now.picture.shape[2:]
        seconds = round(time.perf_counter() - self._start, 3)
        self.rows.append((now.iteration, seconds, width, height, *(round(float(term), 6) for term in now.terms[:4])))
        if self.save_every and (now.iteration == 1 or now.iteration % self.save_every == 0):
            image = from_array(to_uint8(now.picture[0]))
            self.files.steps.mkdir(exist_ok=True)
            encode(image, self.files.step(now.iteration))
            self.frames.append(fit_within(image, GIF_SIDE))

    def write(self, picture: PIL.Image.Image) -> list[Path]:
        """Write the picture, the curve and the GIF; return their paths."""
        encode(picture, self.files.picture)
        table = io.StringIO()
        csv.writer(table).writerows([FIELDS, *self.rows])
        beside: dict[Path, bytes | str] = {self.files.table: table.getvalue()}
        if len(self.rows) > 1:
            beside[self.files.plot] = draw_curve(self.rows)
        if self.save_every:
            beside[self.files.film] = self._animate(picture)
        for path, content in beside.items():
            write_whole(path, content)
        return [self.files.picture, *beside]

    def _animate(self, picture: PIL.Image.Image) -> bytes:
        last = fit_within(picture, GIF_SIDE)
        # Pictures of coarse sizes are enlarged, so that the film does not jump.
        frames = [frame.resize(last.size, PIL.Image.Resampling.BICUBIC) for frame in self.frames] + [last]
        file = io.BytesIO()
        durations = [120] * (len(frames) - 1) + [2000]
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
        return file.getvalue()


def draw_curve(rows: list[tuple[float, ...]]) -> bytes:
    """Plot the losses over the iterations, logarithmically; returns a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for column, name in enumerate(FIELDS[4:], start=4):
        values = [(row[0], row[column]) for row in rows if row[column] > 0]
        if values:
            axes.plot(*zip(*values, strict=True), label=name)
    axes.set(xlabel="iteration", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def optimize(task: Task) -> Iterator[Iterate]:
    """Run the optimization through all its sizes.

    Args:
        task: Pictures and loss.

    Yields:
        Every iterate, each a picture that could be kept.
    """
    config = task.config
    picture, carried, iteration = task.first_picture(task.sizes[0]), None, 0
    for size in task.sizes:
        content = task.prepare(size)

        first = resize(picture, size)
        judge, exact = make_judges(task.loss, content, config.precision, first.device)
        pixels = Pixels(first, judge, config.optimizer, config.learning_rate, carried, exact)
        saturation, announced = Saturation(config.patience), False
        for terms in pixels.run(config.iterations):
            iteration += 1
            loss = float(terms.total)
            if not math.isfinite(loss):
                raise TrainError(
                    f"the loss became {loss} at iteration {iteration}; lower --learning_rate or the weights"
                )
            if pixels.exact_from is not None and not announced:
                announced = True
                tqdm.write(f"iteration {iteration}: bfloat16 rounds away what a step still gains; going on in float32")
            yield Iterate(iteration, pixels.picture, terms, pixels)
            if saturation.reached(loss):
                break
        picture, carried = pixels.picture[:, : picture.shape[1]], pixels.state


def run(config: SlowConfig) -> list[Path]:
    """Optimize a picture and write it.

    Args:
        config: What is asked for.

    Returns:
        The files written, the picture first.

    Raises:
        TrainError: If what was asked for cannot work.
        ImageError: If a picture cannot be read or written.
    """
    config.check()
    make_folder(Path(config.output).parent)
    task = Task(config)
    record = Record(config.files, config.save_every)
    total = config.iterations * len(task.sizes)
    now: Iterate | None = None
    stopped = False
    with tqdm(total=total, desc="slow", unit="it", disable=None) as bar:
        try:
            for now in optimize(task):
                record.add(now._replace(picture=task.finish(now.picture)))
                bar.update()
                bar.set_postfix(describe(now), refresh=False)
        except KeyboardInterrupt:
            stopped = True
    if now is None:
        raise TrainError("stopped before the first iteration; nothing was written")
    if stopped:
        print("\nstopped; the best picture so far is kept", file=sys.stderr)
    picture = task.finish(now.pixels.choose_best() if stopped else now.picture)
    return record.write(from_array(to_uint8(picture[0])))


def describe(now: Iterate) -> dict[str, str]:
    """Return the losses and the size as the progress bar shows them."""
    names = ("loss", "content", "style", "tv")
    shown = {name: f"{float(term):.3g}" for name, term in zip(names, now.terms, strict=False)}
    return shown | {"px": f"{now.picture.shape[3]}x{now.picture.shape[2]}"}


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    quiet_libraries()
    keep_freed_memory()
    parser = StyleArgumentParser(
        prog="python -m train.slow",
        description="Repaint one picture by optimizing its pixels.",
        epilog="examples:\n  python -m train.slow --content photo.jpg --style painting.jpg --output out.png\n"
        "  python -m train.slow --config configs/slow/large.yaml --content photo.jpg --style painting.jpg "
        "--output large.png",
        formatter_class=ExamplesFormatter,
    )
    parser.add_argument("--config", action="config", help="YAML file of these flags, such as configs/slow/gatys.yaml")
    parser.add_class_arguments(SlowConfig, None)
    parsed = parser.parse_args(spell_flags(sys.argv[1:] if args is None else args))
    values: dict[str, Any] = {name: value for name, value in vars(parsed).items() if name != "config"}
    try:
        written = run(SlowConfig(**values))
    except (TrainError, ImageError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"error: '{error.filename}' cannot be written ({error.strerror}); name a folder with room", file=sys.stderr
        )
        return 2
    print("wrote " + ", ".join(str(path) for path in written))
    return 0
