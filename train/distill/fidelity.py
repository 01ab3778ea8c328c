"""How well the small perceptual network replaces the large one: ``make fidelity VGG19=... PHOTOS=... PAINTINGS="..."``.

Three questions. Does its loss rank pictures as the large network's does? What does its loss cost? And what does a style
network learn from it, evaluated by the large network's loss, in the same time and in the same number of steps?
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.functional.regression import spearman_corrcoef

from data.files import make_folder, require_absent, write_whole
from data.images import contact_sheet, encode, from_array
from data.photos import read_style, to_uint8
from models.names import STYLE_SIZE
from models.network import StyleNetwork
from models.style_file import load_style
from train.compute.device import choose_device, describe_device
from train.compute.memory import keep_freed_memory
from train.compute.precision import autocast, best_precision
from train.distill.pupils import Frozen, Pupils, build_loss
from train.errors import TrainError

SIDE_STEPS = 150
"""Steps of the trainings for the other paintings, at half the size: their pictures are only ranked."""

WRITTEN = ("report.json", "pupils.png")


@dataclass(frozen=True)
class Cost:
    """Median seconds of a loss, forward and backward, on either network, and small divided by large."""

    large: float
    small: float
    ratio: float


@dataclass(frozen=True)
class PupilResult:
    """A trained style network: its training, and the large network's loss of its pictures, averaged over them."""

    steps: int
    seconds: float
    loss: float
    content: float
    style: float


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of the two networks' losses and their terms, over pictures of one style."""

    pairs: int
    style: float
    content: float
    loss: float


@dataclass(frozen=True)
class Report:
    """All figures: pupils by the training's name, correlations by the painting's."""

    size: int
    batch: int
    device: str
    cost: Cost
    pupils: dict[str, PupilResult] = field(default_factory=dict)
    rank_correlation: dict[str, RankCorrelation] = field(default_factory=dict)


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Correlate the ranks of two series of one length (Spearman 1904), where equal values share their mean rank.

    Returns:
        1 if both have the same order, -1 if the order is reversed.
    """
    return float(spearman_corrcoef(one.double(), other.double()))


def measure_cost(pupils: Pupils, painting: Tensor, rounds: int = 7) -> Cost:
    """Measure the time of the loss, forward and backward, on either network, taking turns."""
    pictures = pupils.held_out[: pupils.batch].contiguous(memory_format=torch.channels_last)
    losses = {kind: build_loss(pupils.frozen[kind], painting).to(pupils.device) for kind in ("large", "small")}
    seconds: dict[str, list[float]] = {kind: [] for kind in losses}
    for number in range(rounds + 2):
        for kind, loss in losses.items():
            leaf = pictures.clone().requires_grad_()
            start = time.perf_counter()
            with autocast(best_precision(pupils.device.type), pupils.device):
                total = loss(leaf, loss.describe_content(pictures)).total
            (gradient,) = torch.autograd.grad(total, leaf)
            # A GPU works asynchronously; reading a value waits for it.
            float(gradient.sum())
            if number >= 2:
                seconds[kind].append(time.perf_counter() - start)
    medians = {kind: sorted(values)[rounds // 2] for kind, values in seconds.items()}
    return Cost(**medians, ratio=medians["small"] / medians["large"])


def examine(
    pupils: Pupils, pictures: Mapping[str, Tensor], kept: Sequence[StyleNetwork], minutes: float, folder: Path
) -> Report:
    """Answer the three questions.

    Args:
        pupils: Trains and evaluates style networks.
        pictures: Paintings by name, RGB in [0, 1], shape (1, 3, H, W); pupils are trained for the first one.
        kept: Trained styles, whose pictures are ranked, too.
        minutes: Training time of each pupil.
        folder: Where the pupils' pictures go.

    Returns:
        The figures.
    """
    first, *others = pictures
    cost = measure_cost(pupils, pictures[first])
    report = Report(pupils.size, pupils.batch, describe_device(pupils.device), cost)
    print(f"loss, forward and backward: {cost.small:.3f} s against {cost.large:.3f} s", flush=True)
    steps = {kind: max(2, int(60 * minutes / pupils.time_step(kind, pictures[first]))) for kind in ("large", "small")}
    runs = {
        "small": ("small", steps["small"]),
        "small, as many steps": ("small", steps["large"]),
        "large": ("large", steps["large"]),
    }
    painted: dict[str, list[Tensor]] = {name: [] for name in pictures}
    sheet = [[to_uint8(photo) for photo in pupils.held_out[:6]]]
    for label, (kind, count) in runs.items():
        stages, spent = pupils.train(kind, pictures[first], count)
        painted[first] += [pupils.paint(network) for network in stages]
        terms = {
            name: float(value.mean())
            for name, value in pupils.evaluate("large", pictures[first], painted[first][-1]).items()
        }
        report.pupils[label] = PupilResult(count, spent, **terms)
        print(f"{label}: {count} steps, {spent:.0f} s, loss on the large network {terms['loss']:.3f}", flush=True)
        sheet.append([to_uint8(picture) for picture in painted[first][-1][:6]])
        encode(from_array(contact_sheet(sheet)), folder / WRITTEN[1])
    for name in others:
        stages, _ = pupils.train("large", pictures[name], SIDE_STEPS, pupils.size // 2)
        painted[name] += [pupils.paint(network) for network in stages]
    elsewhere = [pupils.paint(network) for network in kept]
    for name, painting in pictures.items():
        everything = torch.cat([pupils.held_out, *painted[name], *elsewhere])
        found = {kind: pupils.evaluate(kind, painting, everything) for kind in ("large", "small")}
        report.rank_correlation[name] = RankCorrelation(
            pairs=len(everything),
            **{
                term: rank_correlation(found["large"][term], found["small"][term])
                for term in ("style", "content", "loss")
            },
        )
    return report


def describe(report: Report) -> str:
    """Format the report as text."""
    pupils = report.pupils
    lines = ["rank correlation with the large network   style   content   loss"]
    for name, found in report.rank_correlation.items():
        label = f"  {name} ({found.pairs} pictures)"
        lines.append(f"{label:<42}{found.style:.3f}   {found.content:.3f}     {found.loss:.3f}")
    lines.append(f"cost of the loss, forward and backward: {report.cost.ratio:.2f} of the large network's")
    lines.append("style networks, loss on the large one     steps   seconds   content   style   loss")
    for label, pupil in pupils.items():
        lines.append(
            f"  trained with {label:<27}{pupil.steps:>5} {pupil.seconds:>9.0f}"
            f"     {pupil.content:.3f}   {pupil.style:.3f}   {pupil.loss:.3f}"
        )
    same_time = pupils["small"].loss / pupils["large"].loss
    same_steps = pupils["small, as many steps"].loss / pupils["large"].loss
    lines.append(
        f"the small one's pupil has {same_time:.3f} times the loss of the large one's after the same time, and "
        f"{same_steps:.3f} times after as many steps"
    )
    return "\n".join(lines)


def run(options: argparse.Namespace) -> None:
    """Check everything that the command line names, train and evaluate, and write the report.

    Args:
        options: What ``train.distill.evaluate.parse`` returns.

    Raises:
        TrainError, ImageError, ModelFileError: If what was asked for cannot work.
        OSError: If the report cannot be written.
    """
    keep_freed_memory()
    read = [*options.paintings, *options.styles, options.weights, options.perceptual_weights]
    require_absent([options.output / name for name in WRITTEN], options.overwrite, inputs=read)
    pictures = {path.stem: read_style(path, STYLE_SIZE) for path in options.paintings}
    if len(pictures) < len(options.paintings):
        raise TrainError("two of --paintings have the same name; rename one of the files")
    device = choose_device()
    kept = [load_style(path)[0].to(device) for path in options.styles]
    large: Frozen = (options.teacher, options.perceptual_weights)
    small: Frozen = ("vgg_small", options.weights)
    compiled = not options.no_compile
    pupils = Pupils(large, small, options.photos, options.image_size, options.batch_size, compiled, device)
    make_folder(options.output)
    report = examine(pupils, pictures, kept, options.minutes, options.output)
    print(describe(report))
    write_whole(options.output / WRITTEN[0], json.dumps(asdict(report), indent=1) + "\n")
    print(f"the pupils' pictures: {options.output / WRITTEN[1]}; the figures: {options.output / WRITTEN[0]}")
