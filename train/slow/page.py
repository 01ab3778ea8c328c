"""The page of a slow optimization: what came out, how the loss fell, what the start changes, and what a pixel costs."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from PIL.Image import Image

from data.images import decode, fit_within, to_array
from export.sheet.grid import Cell, draw_sheet
from train.page import embed_jpeg, render_page
from train.slow.config import LEARNING_RATES, SlowConfig
from train.slow.record import FIELDS, Record

TEMPLATE = Path(__file__).resolve().parent / "templates" / "run.html.j2"

SHOWN_SIDE = 320
"""Longer side, in pixels, of the photo and the paintings on the page."""

MILESTONES = (1, 10, 25, 50, 100, 200, 500, 1000)
"""Iterations after which the losses of several starts are compared."""


@dataclass(frozen=True)
class Run:
    """An optimization from one start.

    Args:
        config: What was asked for.
        record: Its losses.
        first: The picture that it started from.
        picture: The picture that came out.
        loss: Its loss; none of ``losses``, which are those of the iterates before.
        stopped: Whether Ctrl-C ended it.
    """

    config: SlowConfig
    record: Record
    first: Image
    picture: Image
    loss: float
    stopped: bool

    @property
    def name(self) -> str:
        """The start's name."""
        return Path(self.config.start).stem

    @property
    def losses(self) -> list[float]:
        """The loss at the beginning of every iteration."""
        column = FIELDS.index("loss")
        return [row[column] for row in self.record.rows]


@dataclass(frozen=True)
class SizeCost:
    """What an iteration costs at one size.

    Args:
        width: Of the picture, in pixels.
        height: Likewise.
        iterations: That were taken.
        seconds: Of an iteration, without the first; None for a single one.
    """

    width: int
    height: int
    iterations: int
    seconds: float | None

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


def measure_sizes(record: Record) -> list[SizeCost]:
    """Return the cost of each size that an optimization went through."""
    iteration, seconds, width, height = (FIELDS.index(name) for name in ("iteration", "seconds", "width", "height"))
    costs = []
    for size, group in groupby(record.rows, key=lambda row: (int(row[width]), int(row[height]))):
        rows = list(group)
        # Not the first of a size, before which the style's targets are computed.
        steps = rows[-1][iteration] - rows[0][iteration]
        spent = (rows[-1][seconds] - rows[0][seconds]) / steps if steps else None
        costs.append(SizeCost(*size, len(rows), spent))
    return costs


def build_page(config: SlowConfig, runs: Sequence[Run]) -> str:
    """Write the page.

    Args:
        config: What was asked for.
        runs: One, or one for each start.

    Returns:
        HTML that refers to the files that lie beside it; the photo and the paintings are inside.
    """
    files = config.files
    last = max(len(run.losses) for run in runs)
    milestones = [count for count in MILESTONES if count < last] + [last]
    beside = [
        {
            "name": run.name,
            "link": _link(run.config.files.page),
            "animation": _link(run.config.files.animation),
        }
        for run in runs
    ]
    return render_page(
        TEMPLATE,
        title=describe_task(config),
        setting=describe_setting(config),
        read=[(name, embed_jpeg(to_array(fit_within(decode(path), SHOWN_SIDE)))) for name, path in _list_read(config)],
        picture=_link(files.picture),
        plot=_link(files.plot) if last > 1 else None,
        animated=config.save_every > 0,
        runs=runs,
        beside=beside,
        milestones=milestones,
        costs=measure_sizes(runs[0].record),
        stopped=any(run.stopped for run in runs),
    )


def describe_task(config: SlowConfig) -> str:
    """Say in a line what was made of what."""
    paintings = " and ".join(Path(path).stem for path in config.paintings)
    if config.content is None:
        return f"A texture of {paintings}"
    photo = Path(config.content).stem
    return f"{photo} in the style of {paintings}" if paintings else f"{photo}, reconstructed"


def describe_setting(config: SlowConfig) -> str:
    """Say in a line how it was made."""
    rate = LEARNING_RATES[config.optimizer] if config.learning_rate is None else config.learning_rate
    optimizer = {"lbfgs": "L-BFGS", "adam": "Adam"}[config.optimizer]
    parts = [f"{optimizer} with a rate of {rate:g}", f"{config.perceptual} with {config.pooling} pooling"]
    if config.content is not None:
        focus = f", focus {config.content_focus:g}" if config.content_focus else ""
        parts.append(f"content {', '.join(config.content_layers)} (weight {config.content_weight:g}{focus})")
    if config.paintings:
        parts.append(f"style {', '.join(config.style_layers)} (weight {config.style_weight:g}, {config.style_norm})")
        parts.append(f"palette weight {config.palette_weight:g}")
        if config.emd_weight:
            layers = ", ".join(config.emd_layers)
            rarity = f", rarity {config.emd_rarity:g}" if config.emd_rarity else ""
            parts.append(f"relaxed EMD {layers} (weight {config.emd_weight:g}{rarity})")
    parts.append(f"total variation {config.tv_weight:g}, alpha-norm {config.alpha_weight:g}")
    parts.append(f"precision {config.precision}, seed {config.seed}")
    return "; ".join(parts)


def draw_starts(runs: Sequence[Run]) -> Image:
    """Draw what each start began with and, below it, what came out."""
    side = max(max(run.picture.size) for run in runs)
    cells = [
        Cell([run.first.resize(run.picture.size), run.picture], f"from {run.name}\nloss {run.loss:.3f}") for run in runs
    ]
    return draw_sheet(cells, side, columns=len(cells), heading="What the start changes")


def draw_losses(runs: Sequence[Run]) -> bytes:
    """Plot the losses of several starts over the iterations, logarithmically; returns a PNG file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in runs:
        axes.plot(range(1, len(run.losses) + 1), run.losses, label=f"from {run.name}")
    axes.set(xlabel="iteration", ylabel="loss", yscale="log")
    # Plain numbers: the losses lie within one or two powers of ten.
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3)
    # Dollar signs in a picture's name are no formula.
    with mpl.rc_context({"text.parse_math": False}):
        axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def _link(path: Path) -> str:
    # Its bytes, because a name need not be UTF-8.
    return quote(os.fsencode(path.name))


def _list_read(config: SlowConfig) -> list[tuple[str, Path]]:
    photo = [("photo", Path(config.content))] if config.content else []
    return photo + [("painting", Path(path)) for path in config.paintings]
