"""Fast against slow: ``python -m train.compare --model wave.onnx --style wave.jpg --photos folder --output report/``.

Writes ``report.html`` (one file, pictures inside), ``contact-sheet.jpg``, ``report.json``, and a table on the terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from data.files import OutputError, make_folder, write_whole
from data.images import ImageError, contact_sheet, decode, encode, from_array, list_images, scale_short_side, to_array
from data.photos import to_tensor
from export.cli import INTERRUPTED
from export.errors import ModelError
from export.runtime.stylizer import Stylizer
from models.efficientnet import EfficientNetName
from models.losses import PerceptualLoss
from models.vgg import PerceptualName, PerceptualWeightsError
from train.compare.measure import CHECKPOINTS, STARTS, Curve, compare_photo, describe_picture, summarize, trace
from train.compare.objective import describe_kinship, is_same_network, read_objective
from train.compare.report import arrange_pictures, build_page, list_artifacts
from train.compute.memory import keep_freed_memory
from train.compute.precision import BFLOAT16, PrecisionName, best_precision
from train.errors import TrainError
from train.parser import quiet_libraries
from train.slow.optimizer import judge_picture, make_noise

Picture = NDArray[np.uint8]

OTHERS: tuple[str, ...] = (*get_args(EfficientNetName), *get_args(PerceptualName))

WRITTEN = ("report.json", "report.html", "contact-sheet.jpg")


def read_photos(folder: Path, count: int, size: int) -> dict[str, Picture]:
    """Read the first photos of a folder, their short sides scaled to ``size`` and cropped to squares in the middle."""
    photos = {}
    for path in list_images(folder)[:count]:
        picture = to_array(scale_short_side(decode(path), size))
        top, left = ((side - size) // 2 for side in picture.shape[:2])
        photos[path.name] = picture[top : top + size, left : left + size]
    return photos


def compare(
    stylizers: Mapping[str, Stylizer],
    photos: Mapping[str, Picture],
    loss: PerceptualLoss,
    other: PerceptualLoss,
    iterations: int,
    seed: int = 0,
    precision: PrecisionName = "auto",
) -> list[dict[str, Any]]:
    """Compare networks with the slow optimization, photo by photo.

    Args:
        stylizers: Networks by name.
        photos: Squares by name.
        loss: What fast and slow are judged by.
        other: A loss on features of another network.
        iterations: L-BFGS iterations from either start.
        seed: Of the noise.
        precision: Of the slow optimization; what is reported of pictures is judged in float32.

    Returns:
        For each photo its name, pictures, curves, and results by network; after Ctrl-C for those that were finished.
    """
    kept = [count for count in CHECKPOINTS if count <= iterations]
    rows: list[dict[str, Any]] = []
    # A photo takes minutes to hours: after Ctrl-C those that are done are worth a report.
    with (
        contextlib.suppress(KeyboardInterrupt),
        tqdm(total=len(photos) * len(STARTS) * iterations, desc="slow", unit="it", disable=None) as bar,
    ):
        for name, photo in photos.items():
            tensor = to_tensor(photo)
            curves: dict[str, Curve] = {}
            for start in STARTS:
                first = make_noise(tuple(tensor.shape), seed) if start == "noise" else tensor
                curves[start] = trace(loss, tensor, first, iterations, kept, precision, bar.update)
            slow = {
                str(count): {
                    **judge_picture(loss, tensor, to_tensor(curves["photo"].pictures[count])),
                    **describe_picture(photo, curves["photo"].pictures[count], other),
                }
                for count in kept
            }
            fast = compare_photo(stylizers, photo, loss, other, iterations, curves)
            rows.append({"photo": name, "before": photo, "curves": curves, "fast": fast, "slow": slow})
    return rows


def tabulate(summary: Mapping[str, Any], iterations: int) -> str:
    """Lay the summary out for the terminal."""
    lines = ["                      L-BFGS iterations it equals        speed-up over    SSIM"]
    lines.append("network               from noise    from the photo      100 iterations")
    for name, found in summary["fast"].items():
        cells = []
        for start in STARTS:
            value = found["equivalent"][start]["loss"]["median"]
            cells.append(f"more than {iterations}" if value >= iterations else f"{value:.0f}")
        # A comparison of fewer iterations says nothing about a hundred.
        speedup = f"{found['speedup']['100']['median']:.0f}" if "100" in found["speedup"] else "-"
        lines.append(f"{name:<22}{cells[0]:<14}{cells[1]:<20}{speedup:<17}{found['ssim']['median']:.3f}")
        lines += [f"  {name}: {field} {median:.3f}, above {limit}" for field, median, limit in list_artifacts(found)]
    return "\n".join(lines)


def strip(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without their pictures, for JSON."""
    stripped = []
    for row in rows:
        fast = {
            name: {key: value for key, value in found.items() if key != "picture"}
            for name, found in row["fast"].items()
        }
        curves = {start: {"losses": curve.losses, "seconds": curve.seconds} for start, curve in row["curves"].items()}
        stripped.append({"photo": row["photo"], "fast": fast, "slow": row["slow"], "curves": curves})
    return stripped


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m train.compare",
        description="Hold trained networks against the slow optimization that they approximate.",
        epilog="example: python -m train.compare --model wave.onnx --style wave.jpg --photos folder --output report/",
    )
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="ONNX files of one style")
    parser.add_argument("--style", type=Path, required=True, help="the painting")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos that were not trained on")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--count", type=int, default=4, help="photos to compare (default: 4)")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels (default: 256)")
    parser.add_argument("--iterations", type=int, default=500, help="L-BFGS iterations (default: 500)")
    parser.add_argument(
        "--precision",
        choices=get_args(PrecisionName),
        default="auto",
        help="of the slow optimization (default: auto, bfloat16 where the hardware has it)",
    )
    parser.add_argument("--perceptual-weights", default="default", help="weights of the network trained with")
    parser.add_argument(
        "--other",
        choices=OTHERS,
        default=OTHERS[0],
        help=f"another network to judge by (default: {OTHERS[0]}, which is none of VGG's kin)",
    )
    parser.add_argument("--other-weights", default="default", help="weights of that network, if it is a VGG")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier report")
    options = parser.parse_args(args)
    quiet_libraries()
    keep_freed_memory()
    try:
        report, page, sheet, table = run(options)
        # First of all, so that nothing is lost to a disk that has filled up meanwhile.
        print(table)
        write(options.output, report, page, sheet)
    except (ImageError, ModelError, PerceptualWeightsError, OutputError, TrainError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped before a photo was finished; no report was written", file=sys.stderr)
        return INTERRUPTED
    print(f"the whole report, with pictures: {options.output / 'report.html'}")
    done, asked = report["setting"]["photos"], report["setting"]["photos_asked"]
    if done < asked:
        print(f"stopped: the report is of the {done} of {asked} photos that were finished", file=sys.stderr)
        return INTERRUPTED
    return 0


def name_precision(precision: PrecisionName) -> str:
    """Return what ``auto`` comes to where the slow optimization runs, which is the CPU; other names as they are."""
    if precision != "auto":
        return precision
    return "bfloat16" if best_precision("cpu") == BFLOAT16 else "float32"


def write(folder: Path, report: Mapping[str, Any], page: str, sheet: Picture) -> None:
    """Write the report, its page and its contact sheet; TrainError if the folder does not take them."""
    try:
        write_whole(folder / WRITTEN[0], json.dumps(report, indent=1) + "\n")
        write_whole(folder / WRITTEN[1], page)
    except OSError as error:
        raise TrainError(f"'{folder}' does not take the report ({error.strerror or error}); make room there") from error
    encode(from_array(sheet), folder / WRITTEN[2])


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str, Picture, str]:
    """Compare as the command line asks; returns the report, its page, its contact sheet and its table."""
    if options.count < 1 or options.iterations < 1 or options.size < 64:
        raise TrainError("--count and --iterations must be at least 1, --size at least 64")
    if any((options.output / name).exists() for name in WRITTEN) and not options.overwrite:
        raise TrainError(f"'{options.output}' already holds a report; choose another --output, or say --overwrite")
    # As many as the optimization has: the speed-up is that of the way, not of the cores.
    stylizers = {path.stem: Stylizer(path, threads=torch.get_num_threads()) for path in options.model}
    if len(stylizers) < len(options.model):
        raise TrainError("two of --model have the same name; rename one of the files")
    objective, origin = read_objective(next(iter(stylizers.values())))
    # The other one first: its package or its weights may be missing, and the first may have to be downloaded.
    try:
        other = objective.build(options.other, options.other_weights, options.style)
    except PerceptualWeightsError as error:
        raise error.with_flag("--other" if options.other_weights == "default" else "--other-weights") from error
    try:
        loss = objective.build(objective.perceptual, options.perceptual_weights, options.style)
    except PerceptualWeightsError as error:
        raise error.with_flag("--perceptual-weights") from error
    if is_same_network(loss, other):
        raise TrainError(
            f"--other {options.other} is the very network that fast and slow are judged by, where another is needed; "
            f"choose another of {', '.join(OTHERS)}"
        )
    photos = read_photos(options.photos, options.count, options.size)
    make_folder(options.output)
    # A network that refuses pictures of this size does so now, and not after the first hour.
    for stylizer in stylizers.values():
        stylizer(next(iter(photos.values())))
    rows = compare(stylizers, photos, loss, other, options.iterations, precision=options.precision)
    if not rows:
        raise KeyboardInterrupt
    summary = summarize(rows, options.iterations)
    setting = {
        "size": options.size,
        "iterations": options.iterations,
        "photos": len(rows),
        "photos_asked": len(photos),
        "objective": origin,
        "perceptual": objective.perceptual,
        "other": options.other,
        "kinship": describe_kinship(
            {objective.perceptual: options.perceptual_weights, options.other: options.other_weights}
        ),
        "precision": options.precision,
        "slow_precision": name_precision(options.precision),
        "threads": torch.get_num_threads(),
    }
    painting = to_array(scale_short_side(decode(options.style), options.size))
    report = {"setting": setting, "summary": summary, "photos": strip(rows)}
    sheet = contact_sheet(arrange_pictures(rows, painting)[1])
    return report, build_page(setting, summary, rows, painting), sheet, tabulate(summary, options.iterations)
