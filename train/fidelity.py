"""How faithful the small perceptual network is: ``make fidelity VGG19=... PHOTOS=... PAINTINGS="one.jpg two.jpg"``.

Three questions. Does it order pictures as the large one does (rank correlation of the losses)? What does it cost?
And what does a style network learn from it, judged by the large one, in the same time and in the same number of steps?
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.images import ImageError, contact_sheet, encode, from_array, list_images
from data.photos import HeldOutPhotos, PhotoStream, collate, hold_out, read_style, to_unit
from export.placement import PlacementError, make_folder, require_absent, write_whole
from models.losses import PerceptualLoss
from models.network import StyleNetwork
from models.perceptual import PerceptualName, PerceptualWeightsError, VGGFeatures
from models.weights import StyleFileError, load_style
from train.callbacks import to_bytes
from train.command import INTERRUPTED
from train.memory import keep_freed_memory
from train.precision import autocast, best_precision
from train.run_folder import RunError
from train.step import build_step
from train.style_training import CONTENT_LAYERS, STYLE_LAYERS

STAGES = (0.03, 0.1, 0.25, 0.5, 1.0)
"""Shares of a training after which its pictures are looked at."""

SIDE_STEPS = 150
"""Length of the trainings for the other paintings, at half the size: their pictures are only ranked."""

WRITTEN = ("report.json", "pupils.png")

Frozen = tuple[PerceptualName, str]
"""Name of a perceptual network and where its weights are."""


class Pupils:
    """Train style networks with either loss, and judge what they paint.

    Args:
        large: The network that is right by definition.
        small: The network that is examined.
        photos: Folder of photos; those that training holds out are painted and judged.
        size: Side of the pictures in pixels.
        batch: Photos per step.
        compiled: Compile the pupils, as trainings of this length do.
    """

    def __init__(
        self, large: Frozen, small: Frozen, photos: Path, size: int, batch: int, compiled: bool = True
    ) -> None:
        self.frozen = {"large": large, "small": small}
        self.size, self.batch, self.compiled = size, batch, compiled
        self.training, held_out = hold_out(list_images(photos), 16, photos)
        held = HeldOutPhotos(held_out, size)
        self.held_out = to_unit(collate([held[index] for index in range(len(held))]).photos)

    def _batches(self, size: int) -> Iterator[Tensor]:
        stream = PhotoStream(self.training, size, seed=0)
        number = 0
        while True:
            samples = [stream[number + index] for index in range(self.batch)]
            yield to_unit(collate(samples).photos)
            number += self.batch

    def time_step(self, kind: str, painting: Tensor, rounds: int = 6) -> float:
        """Return the median seconds of a whole training step, after three that are not counted."""
        name, weights = self.frozen[kind]
        step, _ = build_step(
            "ours", weights, self.size, 100, painting=painting, perceptual=name, compiled=self.compiled
        )
        batches, seconds = self._batches(self.size), []
        for _ in range(rounds + 3):
            start = time.perf_counter()
            step(next(batches))
            seconds.append(time.perf_counter() - start)
        return sorted(seconds[3:])[rounds // 2]

    def train(
        self, kind: str, painting: Tensor, steps: int, size: int | None = None
    ) -> tuple[list[StyleNetwork], float]:
        """Train one pupil; return copies of it at each stage, and the seconds that its steps took."""
        name, weights = self.frozen[kind]
        size = size or self.size
        compiled = self.compiled and size == self.size
        step, network = build_step("ours", weights, size, steps, painting=painting, perceptual=name, compiled=compiled)
        due = {max(1, round(share * steps)) for share in STAGES}
        stages: list[StyleNetwork] = []
        batches = self._batches(size)
        spent = 0.0
        for number in range(1, steps + 1):
            start = time.perf_counter()
            loss = step(next(batches))
            # The first step compiles, which takes either pupil the same minute.
            spent += time.perf_counter() - start if number > 1 else 0
            if number in due:
                stages.append(deepcopy(network))  # type: ignore[arg-type]
                print(f"  {kind}, step {number} of {steps}: own loss {float(loss):.3f}", flush=True)
        return stages, spent

    @torch.no_grad()
    def paint(self, network: StyleNetwork) -> Tensor:
        """Paint the held-out photos, RGB in [0, 1]."""
        return torch.cat([network(photo[None]).clamp(0, 1) for photo in self.held_out])

    @torch.no_grad()
    def judge(self, kind: str, painting: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        """Return loss, content and style of each picture, in float32, each of shape (B,)."""
        loss = build_loss(self.frozen[kind], painting)
        found = []
        for picture, photo in zip(pictures, self.held_out, strict=True):
            found.append(torch.stack(list(loss(picture[None], loss.describe_content(photo[None]))[:3])))
        return dict(zip(("loss", "content", "style"), torch.stack(found).unbind(1), strict=True))


def build_loss(frozen: Frozen, painting: Tensor) -> PerceptualLoss:
    """Build the default loss towards a painting on features of one of the networks."""
    loss = PerceptualLoss(
        VGGFeatures(frozen[0], [*CONTENT_LAYERS, *STYLE_LAYERS], frozen[1]), CONTENT_LAYERS, STYLE_LAYERS
    )
    loss.set_style([painting])
    return loss


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Correlate the ranks of two series of the same length (Spearman 1904); 1 if they order alike."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def measure_cost(pupils: Pupils, painting: Tensor, rounds: int = 7) -> dict[str, float]:
    """Return the median seconds of the loss, forward and backward, of either network, taking turns."""
    pictures = pupils.held_out[: pupils.batch].contiguous(memory_format=torch.channels_last)
    losses = {kind: build_loss(pupils.frozen[kind], painting) for kind in ("large", "small")}
    seconds: dict[str, list[float]] = {kind: [] for kind in losses}
    for number in range(rounds + 2):
        for kind, loss in losses.items():
            leaf = pictures.clone().requires_grad_()
            start = time.perf_counter()
            with autocast(best_precision(), leaf.device):
                total = loss(leaf, loss.describe_content(pictures)).total
            total.backward()
            if number >= 2:
                seconds[kind].append(time.perf_counter() - start)
    return {kind: sorted(values)[rounds // 2] for kind, values in seconds.items()}


def examine(
    pupils: Pupils, pictures: Mapping[str, Tensor], kept: Sequence[StyleNetwork], minutes: float, folder: Path
) -> dict[str, Any]:
    """Answer the three questions.

    Args:
        pupils: Who trains and judges.
        pictures: Paintings by name, RGB in [0, 1], shape (1, 3, H, W); towards the first one pupils are trained.
        kept: Trained styles, whose pictures are ranked, too.
        minutes: Training time of each pupil.
        folder: Where the pupils' pictures go.

    Returns:
        The figures, ready for JSON.
    """
    first, *others = pictures
    report: dict[str, Any] = {"size": pupils.size, "batch": pupils.batch}
    cost = measure_cost(pupils, pictures[first])
    report["cost"] = {**cost, "ratio": cost["small"] / cost["large"]}
    print(f"loss, forward and backward: {cost['small']:.3f} s against {cost['large']:.3f} s", flush=True)
    steps = {kind: max(2, int(60 * minutes / pupils.time_step(kind, pictures[first]))) for kind in ("large", "small")}
    runs = {
        "small": ("small", steps["small"]),
        "small, as many steps": ("small", steps["large"]),
        "large": ("large", steps["large"]),
    }
    painted: dict[str, list[Tensor]] = {name: [] for name in pictures}
    report["pupils"] = {}
    sheet = [[to_bytes(photo) for photo in pupils.held_out[:6]]]
    for label, (kind, count) in runs.items():
        stages, spent = pupils.train(kind, pictures[first], count)
        painted[first] += [pupils.paint(network) for network in stages]
        terms = {
            name: float(value.mean())
            for name, value in pupils.judge("large", pictures[first], painted[first][-1]).items()
        }
        report["pupils"][label] = {"steps": count, "seconds": spent, **terms}
        print(f"{label}: {count} steps, {spent:.0f} s, judged by the large network {terms['loss']:.3f}", flush=True)
        sheet.append([to_bytes(picture) for picture in painted[first][-1][:6]])
        encode(from_array(contact_sheet(sheet)), folder / WRITTEN[1])
    for name in others:
        stages, _ = pupils.train("large", pictures[name], SIDE_STEPS, pupils.size // 2)
        painted[name] += [pupils.paint(network) for network in stages]
    elsewhere = [pupils.paint(network) for network in kept]
    report["rank_correlation"] = {}
    for name, painting in pictures.items():
        everything = [pupils.held_out, *painted[name], *elsewhere]
        found = {kind: [pupils.judge(kind, painting, batch) for batch in everything] for kind in ("large", "small")}
        report["rank_correlation"][name] = {
            "pairs": sum(len(batch) for batch in everything),
            **{
                term: rank_correlation(*(torch.cat([terms[term] for terms in found[kind]]) for kind in found))
                for term in ("style", "content", "loss")
            },
        }
    return report


def describe(report: dict[str, Any]) -> str:
    """Lay the report out as text."""
    pupils, cost = report["pupils"], report["cost"]
    lines = ["rank correlation with the large network   style   content   loss"]
    for name, found in report["rank_correlation"].items():
        label = f"  {name} ({found['pairs']} pictures)"
        lines.append(f"{label:<42}{found['style']:.3f}   {found['content']:.3f}     {found['loss']:.3f}")
    lines.append(f"cost of the loss, forward and backward: {cost['ratio']:.2f} of the large network's")
    lines.append("style networks, judged by the large one   steps   seconds   content   style   loss")
    for label, found in pupils.items():
        lines.append(
            f"  trained with {label:<27}{found['steps']:>5} {found['seconds']:>9.0f}"
            f"     {found['content']:.3f}   {found['style']:.3f}   {found['loss']:.3f}"
        )
    same_time = pupils["small"]["loss"] / pupils["large"]["loss"]
    same_steps = pupils["small, as many steps"]["loss"] / pupils["large"]["loss"]
    lines.append(
        f"loss of the small one's pupil: {same_time:.3f} of the other's after the same time, "
        f"{same_steps:.3f} after as many steps"
    )
    return "\n".join(lines)


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m train.fidelity",
        description="Examine how faithful the small perceptual network is to the large one.",
        epilog="example: python -m train.fidelity --photos folder --paintings one.jpg two.jpg --minutes 5",
    )
    parser.add_argument("--teacher", choices=("vgg19", "vgg16"), default="vgg19", help="the large network")
    parser.add_argument("--teacher-weights", default="default", help="its weights (default: torchvision's)")
    parser.add_argument("--weights", default="default", help="the small network's file (default: the kept one)")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--paintings", type=Path, nargs="+", required=True, help="pictures that it was not trained on")
    parser.add_argument(
        "--styles", type=Path, nargs="*", default=[], help="trained styles whose pictures are ranked, too"
    )
    parser.add_argument("--minutes", type=float, default=10, help="training time of each pupil (default: 10)")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels (default: 256)")
    parser.add_argument("--batch", type=int, default=4, help="photos per step (default: 4)")
    parser.add_argument("--no-compile", action="store_true", help="for very short trainings")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/fidelity"), help="folder to write to (default: runs/fidelity)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier report")
    options = parser.parse_args(args)
    keep_freed_memory()
    try:
        report = run(options)
    except (ImageError, PerceptualWeightsError, PlacementError, RunError, StyleFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: no report was written", file=sys.stderr)
        return INTERRUPTED
    print(describe(report))
    try:
        write_whole(options.output / WRITTEN[0], json.dumps(report, indent=1) + "\n")
    except OSError as error:
        print(f"error: the report cannot be written to '{options.output}' ({error}); make room", file=sys.stderr)
        return 2
    print(f"the pupils' pictures: {options.output / 'pupils.png'}; the figures: {options.output / 'report.json'}")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Read and check everything that the command line names, and only then train."""
    if not options.minutes > 0 or options.batch < 1 or options.size < 64:
        raise RunError("--minutes must be above 0, --batch at least 1, --size at least 64")
    require_absent([options.output / name for name in WRITTEN], options.overwrite)
    pictures = {path.stem: read_style(path, 384) for path in options.paintings}
    if len(pictures) < len(options.paintings):
        raise RunError("two of --paintings have the same name; rename one of the files")
    kept = [load_style(path)[0] for path in options.styles]
    large: Frozen = (options.teacher, options.teacher_weights)
    small: Frozen = ("vgg_small", options.weights)
    pupils = Pupils(large, small, options.photos, options.size, options.batch, not options.no_compile)
    make_folder(options.output)
    return examine(pupils, pictures, kept, options.minutes, options.output)


if __name__ == "__main__":
    sys.exit(main())
