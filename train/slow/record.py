"""What is written beside a slow picture: its losses, intermediate pictures, and a GIF of them."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image

from data.files import write_whole
from data.images import encode, encode_gif, fit_within, from_array
from data.photos import to_uint8
from train.slow.optimizer import Iterate
from train.slow.outputs import SlowFiles

GIF_SIDE = 384
"""Longer side of the GIF's frames in pixels: larger frames make files of tens of megabytes."""

FIELDS = ("iteration", "seconds", "width", "height", "loss", "content", "style", "tv", "palette", "emd")


@dataclass
class Record:
    """The losses and the intermediate pictures of one optimization.

    Args:
        files: Where everything goes.
        save_every: Iterations between two intermediate pictures; 0 keeps none.
        overwrite: Whether what an earlier run left beside the picture is removed; it would be taken for this run's.
    """

    files: SlowFiles
    save_every: int
    overwrite: bool = False
    rows: list[tuple[float, ...]] = field(default_factory=list)
    frames: list[PIL.Image.Image] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = time.perf_counter()

    def add(self, now: Iterate) -> None:
        """Record an iteration's losses, and write its picture if it is time."""
        # Not earlier: a run that fails at once must leave the earlier run's pictures.
        if not self.rows and self.overwrite:
            self.files.clear_steps()
        height, width = now.picture.shape[2:]
        seconds = round(time.perf_counter() - self._start, 3)
        tabulated = (*now.terms[:4], now.terms.palette, now.terms.emd)
        self.rows.append((now.iteration, seconds, width, height, *(round(float(term), 6) for term in tabulated)))
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
            beside[self.files.animation] = self._animate(picture)
        for path, content in beside.items():
            write_whole(path, content)
        if self.overwrite:
            self.files.clear_others(beside)
        return [self.files.picture, *beside]

    def _animate(self, picture: PIL.Image.Image) -> bytes:
        last = fit_within(picture, GIF_SIDE)
        # Pictures of coarse sizes are enlarged, so that all frames have one size.
        frames = [frame.resize(last.size, PIL.Image.Resampling.BICUBIC) for frame in self.frames] + [last]
        return encode_gif(frames, [120] * (len(frames) - 1) + [2000])


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
