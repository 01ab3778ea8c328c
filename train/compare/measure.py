"""Fast against slow, in numbers: one photo, a network, and the optimization that it approximates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from data.photos import to_tensor, to_uint8
from export.runtime.stylizer import Stylizer
from models.losses import LossTerms, PerceptualLoss
from train.compare.artifacts import THRESHOLDS, measure_artifacts
from train.compute.precision import PrecisionName
from train.slow.optimizer import TERMS, Pixels, judge_picture, make_judges

STARTS = ("noise", "photo")
"""Where the slow optimization begins: noise, as in the paper, and the stricter photo."""

CHECKPOINTS = (10, 25, 50, 100, 200, 300, 500)
"""Iterations at which the slow result is looked at."""

PASSES = 3
"""Times that the fast pass is taken; the median counts."""


@dataclass
class Curve:
    """An optimization's way.

    Args:
        losses: For each term its values after 0, 1, 2, ... iterations.
        seconds: Time passed after 0, 1, 2, ... iterations.
        pictures: uint8 pictures, shape (H, W, 3), after the iterations named.
    """

    losses: dict[str, list[float]]
    seconds: list[float]
    pictures: dict[int, NDArray[np.uint8]]


def equivalent_iterations(losses: Sequence[float], target: float) -> float | None:
    """Count the iterations that reach a loss.

    Args:
        losses: Values after 0, 1, 2, ... iterations, not necessarily falling.
        target: What is to be reached.

    Returns:
        Iterations, interpolated linearly between two of them; 0 if the first value is low enough, None if none is.
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
    """Optimize with L-BFGS and note everything.

    The losses are those of the pixels as they are; clamping them to [0, 1] for the picture may raise them, so that the
    slow side is never judged worse than it is.

    Args:
        loss: With its style set.
        photo: RGB in [0, 1], shape (1, 3, H, W).
        start: The first picture, of the same shape.
        iterations: How many.
        kept: Iterations whose pictures are kept.
        precision: Of the optimization.
        progress: Called after every iteration.

    Returns:
        The curve.
    """
    content = loss.describe_content(photo)

    judge, exact = make_judges(loss, content, precision, photo.device)
    pixels = Pixels(start, judge, "lbfgs", exact=exact)
    losses: dict[str, list[float]] = {name: [] for name in TERMS}
    seconds, pictures = [0.0], {}
    began = time.perf_counter()
    for number, terms in enumerate(pixels.run(iterations), start=1):
        seconds.append(time.perf_counter() - began)
        _note(losses, terms)
        if number in kept:
            pictures[number] = to_uint8(pixels.picture[0])
        if progress:
            progress()
    with torch.no_grad():
        _note(losses, judge(pixels.values.detach()))
    return Curve(losses, seconds, pictures)


def _note(losses: dict[str, list[float]], terms: LossTerms) -> None:
    for name, term in zip(TERMS, terms, strict=False):
        losses[name].append(float(term.detach()))


def paint_fast(stylizer: Stylizer, photo: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Return the network's picture, and the median seconds of a pass after one that is not counted."""
    picture = stylizer(photo)
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        picture = stylizer(photo)
        seconds.append(time.perf_counter() - start)
    return picture, sorted(seconds)[PASSES // 2]


def describe_picture(photo: NDArray[np.uint8], picture: NDArray[np.uint8], other: PerceptualLoss) -> dict[str, Any]:
    """Measure what was not trained on: SSIM, another network's distances, artifacts."""
    one, two = to_tensor(photo), to_tensor(picture)
    distances = judge_picture(other, one, two)
    return {
        "ssim": float(structural_similarity_index_measure(two, one, data_range=1.0)),  # type: ignore[arg-type]
        "other_content": distances["content"],
        "other_style": distances["style"],
        **measure_artifacts(photo, picture)._asdict(),
    }


def compare_photo(
    stylizers: Mapping[str, Stylizer],
    photo: NDArray[np.uint8],
    loss: PerceptualLoss,
    other: PerceptualLoss,
    iterations: int,
    curves: Mapping[str, Curve],
) -> dict[str, dict[str, Any]]:
    """Hold every network against the curves of one photo.

    Args:
        stylizers: Networks by name.
        photo: uint8, shape (H, W, 3).
        loss: The loss that the curves minimize.
        other: A loss on another network's features.
        iterations: Length of the curves.
        curves: By start.

    Returns:
        For each network: its picture, seconds, losses, equivalents by start and term, speed-ups, and the rest.
    """
    results: dict[str, dict[str, Any]] = {}
    for name, stylizer in stylizers.items():
        picture, seconds = paint_fast(stylizer, photo)
        terms = judge_picture(loss, to_tensor(photo), to_tensor(picture))
        equivalents: dict[str, dict[str, float | None]] = {}
        for start, curve in curves.items():
            # From the photo the content begins at zero: every network is behind it, and it says nothing.
            counted = TERMS if start == "noise" else ("loss", "style")
            equivalents[start] = {term: equivalent_iterations(curve.losses[term], terms[term]) for term in counted}
        speedups = {
            str(count): curves["noise"].seconds[count] / seconds for count in (100, 300, 500) if count <= iterations
        }
        results[name] = {
            "picture": picture,
            "seconds": seconds,
            **terms,
            "equivalent": equivalents,
            "speedup": speedups,
            **describe_picture(photo, picture, other),
        }
    return results


def spread(values: Sequence[float | None], beyond: float) -> dict[str, float]:
    """Return median, smallest and largest; None counts as ``beyond``, the end of what was tried."""
    numbers = sorted(beyond if value is None else value for value in values)
    return {"median": float(np.median(numbers)), "min": numbers[0], "max": numbers[-1]}


def summarize(rows: Sequence[Mapping[str, Any]], iterations: int) -> dict[str, Any]:
    """Boil the photos down to medians and spread, for each network and for the slow result at each checkpoint."""
    summary: dict[str, Any] = {"fast": {}, "slow": {}}
    plain = ("seconds", *TERMS, "ssim", "other_content", "other_style", *THRESHOLDS._fields)
    for model in rows[0]["fast"]:
        results = [row["fast"][model] for row in rows]
        summary["fast"][model] = {
            "equivalent": {
                start: {
                    term: spread([result["equivalent"][start][term] for result in results], iterations)
                    for term in results[0]["equivalent"][start]
                }
                for start in STARTS
            },
            "speedup": {
                count: spread([result["speedup"][count] for result in results], 0) for count in results[0]["speedup"]
            },
            **{name: spread([result[name] for result in results], 0) for name in plain},
        }
    for count in rows[0]["slow"]:
        results = [row["slow"][count] for row in rows]
        summary["slow"][count] = {name: spread([result[name] for result in results], 0) for name in results[0]}
    return summary
