"""Fast against slow, in numbers: one photo, a style network, and the optimization that it approximates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from data.photos import to_tensor, to_uint8
from export.runtime.stylizer import Stylizer
from models.losses import LossTerms, PerceptualLoss
from train.compare.artifacts import measure_artifacts
from train.compare.covariance import CovarianceDistance
from train.compute.precision import PrecisionName
from train.slow.optimizer import TERMS, PixelOptimizer, bind_loss, evaluate_picture

STARTS = ("noise", "photo")
"""Starts of the slow optimization: noise, as in the paper, and the photo, from which it is faster."""

CHECKPOINTS = (10, 25, 50, 100, 200, 300, 500)
"""Iterations after which the slow result is evaluated."""

SPEEDUPS = (100, 300, 500)
"""Iterations whose time is divided by that of the fast pass."""

PASSES = 3
"""Times that the fast pass is taken; the median counts."""

Picture = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Spread:
    """A measure over several photos.

    Args:
        median: Of the photos' values.
        min: The smallest.
        max: The largest.
        exceeded: Those of the three of which the number is only a lower bound.
    """

    median: float
    min: float
    max: float
    exceeded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measures(Generic[Value]):
    """What is measured of a picture: numbers for one photo, or their spread over several.

    Args:
        loss: The loss that the style network was trained with.
        content: Its content term.
        style: Its style term.
        ssim: Structural similarity to the photo (Wang et al. 2004), at most 1.
        reference_content: Content term on the reference network, which was not trained with.
        reference_style: Style term on the reference network.
        covariance_distance: Relative covariance distance to the painting: 1 is as close as a piece of it.
        blotches: See ``Artifacts``, as for the next four.
        checkerboard: Artifact.
        lattice: Artifact.
        border: Artifact.
        saturation: Artifact.
    """

    loss: Value
    content: Value
    style: Value
    ssim: Value
    reference_content: Value
    reference_style: Value
    covariance_distance: Value
    blotches: Value
    checkerboard: Value
    lattice: Value
    border: Value
    saturation: Value

    def get(self, name: str) -> Value:
        """Return a measure by name."""
        value: Value = getattr(self, name)
        return value


MEASURES = tuple(field.name for field in fields(Measures))
"""Names of the measures."""


@dataclass(frozen=True)
class FastResult:
    """A style network on one photo.

    Args:
        picture: What it paints.
        seconds: Of a pass.
        equivalent: For each start and term, the L-BFGS iterations that reach the same value; None for more than were
            taken.
        speedup: For a number of L-BFGS iterations from noise, their time divided by that of a pass.
        measures: Of the picture.
    """

    picture: Picture
    seconds: float
    equivalent: dict[str, dict[str, float | None]]
    speedup: dict[int, float]
    measures: Measures[float]


@dataclass(frozen=True)
class PhotoResult:
    """Fast and slow on one photo.

    Args:
        photo: Its name.
        original: The photo itself.
        curves: The optimization by start.
        fast: Style networks by name.
        slow: The optimization from the photo, by iterations.
    """

    photo: str
    original: Picture
    curves: dict[str, Curve]
    fast: dict[str, FastResult]
    slow: dict[int, Measures[float]]


@dataclass(frozen=True)
class FastSummary:
    """A style network over several photos; the fields are those of ``FastResult``."""

    seconds: Spread
    equivalent: dict[str, dict[str, Spread]]
    speedup: dict[int, Spread]
    measures: Measures[Spread]


@dataclass(frozen=True)
class Summary:
    """Several photos: style networks by name, and the optimization from the photo by iterations."""

    fast: dict[str, FastSummary]
    slow: dict[int, Measures[Spread]]


@dataclass
class Curve:
    """The course of an optimization.

    Args:
        losses: For each term its values after 0, 1, 2, ... iterations.
        seconds: Time passed after 0, 1, 2, ... iterations.
        pictures: The pictures by iteration.
    """

    losses: dict[str, list[float]]
    seconds: list[float]
    pictures: dict[int, Picture]


def equivalent_iterations(losses: Sequence[float], target: float) -> float | None:
    """Count the iterations that reach a loss.

    Args:
        losses: Values after 0, 1, 2, ... iterations, not necessarily falling.
        target: What is to be reached.

    Returns:
        Iterations, interpolated linearly between two of them; 0 if the first value is low enough, None if no value is.
    """
    if losses[0] <= target:
        return 0.0
    for number, (before, after) in enumerate(pairwise(losses)):
        if after <= target:
            return number + (before - target) / (before - after)
    return None


def trace(
    loss: PerceptualLoss,
    photo: Tensor,
    start: Tensor,
    iterations: int,
    kept: Sequence[int],
    precision: PrecisionName = "auto",
    progress: Callable[[], object] | None = None,
) -> Curve:
    """Optimize with L-BFGS and record losses, times and pictures.

    The losses are those of the pixels before they are clamped to [0, 1], which may raise a loss: this favors the slow
    side.

    Args:
        loss: With its style set.
        photo: RGB in [0, 1], shape (1, 3, H, W), on the loss's device.
        start: The first picture, of the same shape and device.
        iterations: How many.
        kept: Iterations whose pictures are kept.
        precision: Of the optimization.
        progress: Called after every iteration.

    Returns:
        The curve.
    """
    content = loss.describe_content(photo)
    evaluate, exact = bind_loss(loss, content, precision, photo.device)
    optimizer = PixelOptimizer(start, evaluate, "lbfgs", exact=exact)
    losses: dict[str, list[float]] = {name: [] for name in TERMS}
    seconds, pictures = [0.0], {}
    began = time.perf_counter()
    for number, terms in enumerate(optimizer.run(iterations), start=1):
        seconds.append(time.perf_counter() - began)
        _note(losses, terms)
        if number in kept:
            pictures[number] = to_uint8(optimizer.picture[0])
        if progress:
            progress()
    with torch.no_grad():
        _note(losses, evaluate(optimizer.values.detach()))
    return Curve(losses, seconds, pictures)


def _note(losses: dict[str, list[float]], terms: LossTerms) -> None:
    for name, term in zip(TERMS, terms, strict=False):
        losses[name].append(float(term.detach()))


def paint_fast(stylizer: Stylizer, photo: Picture) -> tuple[Picture, float]:
    """Return the network's picture, and the median seconds of a pass after one that is not counted."""
    picture = stylizer(photo)
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        picture = stylizer(photo)
        seconds.append(time.perf_counter() - start)
    return picture, sorted(seconds)[PASSES // 2]


def measure_picture(
    photo: Picture,
    picture: Picture,
    loss: PerceptualLoss,
    reference: PerceptualLoss,
    covariance_distance: CovarianceDistance,
    device: torch.device,
) -> Measures[float]:
    """Measure a picture.

    Args:
        photo: What was repainted.
        picture: The result, of the same shape.
        loss: The loss that the style network was trained with.
        reference: The loss on the reference network.
        covariance_distance: To the painting.
        device: Where the losses and the distance are.
    """
    one, two = to_tensor(photo).to(device), to_tensor(picture).to(device)
    terms, distances = evaluate_picture(loss, one, two), evaluate_picture(reference, one, two)
    return Measures(
        **terms,
        ssim=float(structural_similarity_index_measure(two, one, data_range=1.0)),  # type: ignore[arg-type]
        reference_content=distances["content"],
        reference_style=distances["style"],
        covariance_distance=covariance_distance(two),
        **asdict(measure_artifacts(photo, picture)),
    )


def compare_photo(
    stylizers: Mapping[str, Stylizer],
    photo: Picture,
    loss: PerceptualLoss,
    reference: PerceptualLoss,
    covariance_distance: CovarianceDistance,
    curves: Mapping[str, Curve],
    device: torch.device,
) -> dict[str, FastResult]:
    """Compare every style network with the curves of one photo.

    Args:
        stylizers: Networks by name.
        photo: The photo.
        loss: The loss that the curves minimize.
        reference: A loss on another network's features.
        covariance_distance: To the painting.
        curves: By start.
        device: Where the losses and the distance are.

    Returns:
        Results by the networks' names.
    """
    results: dict[str, FastResult] = {}
    for name, stylizer in stylizers.items():
        picture, seconds = paint_fast(stylizer, photo)
        measures = measure_picture(photo, picture, loss, reference, covariance_distance, device)
        equivalent: dict[str, dict[str, float | None]] = {}
        for start, curve in curves.items():
            # From the photo the content begins at 0, which no network reaches.
            counted = TERMS if start == "noise" else ("loss", "style")
            equivalent[start] = {
                term: equivalent_iterations(curve.losses[term], measures.get(term)) for term in counted
            }
        slow = curves["noise"].seconds
        speedup = {count: slow[count] / seconds for count in SPEEDUPS if count < len(slow)}
        results[name] = FastResult(picture, seconds, equivalent, speedup, measures)
    return results


def spread(values: Sequence[float | None], beyond: float = 0) -> Spread:
    """Return median, smallest and largest; None is more than ``beyond``, the end of what was tried."""
    numbers = sorted(beyond if value is None else value for value in values)
    reached = sum(value is not None for value in values)
    places = {"median": len(numbers) // 2, "min": 0, "max": len(numbers) - 1}
    exceeded = tuple(name for name, place in places.items() if place >= reached)
    # Of two values in the middle the larger may not be known: the median is more than the smaller.
    median = numbers[(len(numbers) - 1) // 2] if "median" in exceeded else float(np.median(numbers))
    return Spread(median, numbers[0], numbers[-1], exceeded)


def summarize(results: Sequence[PhotoResult], iterations: int) -> Summary:
    """Reduce photos to medians and ranges, for each style network and for the slow result at each checkpoint."""
    first = results[0]
    fast = {}
    for name, example in first.fast.items():
        found = [result.fast[name] for result in results]
        fast[name] = FastSummary(
            spread([one.seconds for one in found]),
            {
                start: {term: spread([one.equivalent[start][term] for one in found], iterations) for term in terms}
                for start, terms in example.equivalent.items()
            },
            {count: spread([one.speedup[count] for one in found]) for count in example.speedup},
            _spread_measures([one.measures for one in found]),
        )
    slow = {count: _spread_measures([result.slow[count] for result in results]) for count in first.slow}
    return Summary(fast, slow)


def _spread_measures(found: Sequence[Measures[float]]) -> Measures[Spread]:
    return Measures(**{name: spread([measures.get(name) for measures in found]) for name in MEASURES})
