"""How faithful the small perceptual network is: ``make fidelity VGG19=... PHOTOS=... PAINTINGS="one.jpg two.jpg"``.

Three questions. Does it order pictures as the large one does (rank correlation of the losses)? What does it cost?
And what does a style network learn from it, judged by the large one, in the same time and in the same number of steps?
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.files import OutputError, make_folder, require_absent, write_whole
from data.images import ImageError, contact_sheet, encode, from_array
from data.photos import read_style, to_uint8
from export.cli import INTERRUPTED
from models.errors import ModelFileError
from models.network import StyleNetwork
from models.style_file import load_style
from models.vgg import PerceptualWeightsError
from train.compute.memory import keep_freed_memory
from train.compute.precision import autocast, best_precision
from train.distill.pupils import Frozen, Pupils, build_loss
from train.errors import TrainError

SIDE_STEPS = 150
"""Length of the trainings for the other paintings, at half the size: their pictures are only ranked."""

WRITTEN = ("report.json", "pupils.png")


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
            with autocast(best_precision(leaf.device.type), leaf.device):
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
    sheet = [[to_uint8(photo) for photo in pupils.held_out[:6]]]
    for label, (kind, count) in runs.items():
        stages, spent = pupils.train(kind, pictures[first], count)
        painted[first] += [pupils.paint(network) for network in stages]
        terms = {
            name: float(value.mean())
            for name, value in pupils.judge("large", pictures[first], painted[first][-1]).items()
        }
        report["pupils"][label] = {"steps": count, "seconds": spent, **terms}
        print(f"{label}: {count} steps, {spent:.0f} s, judged by the large network {terms['loss']:.3f}", flush=True)
        sheet.append([to_uint8(picture) for picture in painted[first][-1][:6]])
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
        prog="python -m train.distill.evaluate",
        description="Examine how faithful the small perceptual network is to the large one.",
        epilog="example: python -m train.distill.evaluate --photos folder --paintings one.jpg two.jpg --minutes 5",
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
    except (ImageError, PerceptualWeightsError, OutputError, TrainError, ModelFileError) as error:
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
        raise TrainError("--minutes must be above 0, --batch at least 1, --size at least 64")
    require_absent([options.output / name for name in WRITTEN], options.overwrite)
    pictures = {path.stem: read_style(path, 384) for path in options.paintings}
    if len(pictures) < len(options.paintings):
        raise TrainError("two of --paintings have the same name; rename one of the files")
    kept = [load_style(path)[0] for path in options.styles]
    large: Frozen = (options.teacher, options.teacher_weights)
    small: Frozen = ("vgg_small", options.weights)
    pupils = Pupils(large, small, options.photos, options.size, options.batch, not options.no_compile)
    make_folder(options.output)
    return examine(pupils, pictures, kept, options.minutes, options.output)


if __name__ == "__main__":
    sys.exit(main())
