"""The comparison itself: photos in, results and a report out."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import PIL.Image
import torch
from tqdm import tqdm

from data.files import make_folder, require_absent, write_whole
from data.images import contact_sheet, decode, encode, from_array, list_images, scale_short_side, to_array
from data.photos import to_tensor
from export.cli import INTERRUPTED
from export.runtime.stylizer import Stylizer
from models.losses import PerceptualLoss
from models.vgg import PerceptualWeightsError
from train.compare.covariance import LAYERS, CovarianceDistance
from train.compare.measure import (
    CHECKPOINTS,
    STARTS,
    Curve,
    PhotoResult,
    Picture,
    compare_photo,
    measure_picture,
    summarize,
    trace,
)
from train.compare.objective import describe_distillation, is_same_network, read_shared_objective
from train.compare.report import Setting, arrange_pictures, build_page, tabulate, to_json
from train.compute.device import choose_device, describe_device
from train.compute.memory import keep_freed_memory
from train.compute.precision import PrecisionName, name_precision
from train.errors import TrainError
from train.slow.optimizer import make_noise

WRITTEN = ("report.json", "report.html", "contact-sheet.jpg")


def read_photos(folder: Path, count: int, size: int) -> dict[str, Picture]:
    """Read the first photos of a folder, their short sides scaled to ``size`` and cropped to squares in the middle.

    Returns:
        Squares by the photos' paths below the folder.
    """
    photos = {}
    for path in list_images(folder)[:count]:
        picture = to_array(scale_short_side(decode(path), size))
        top, left = ((side - size) // 2 for side in picture.shape[:2])
        photos[path.relative_to(folder).as_posix()] = picture[top : top + size, left : left + size]
    return photos


def compare(
    stylizers: Mapping[str, Stylizer],
    photos: Mapping[str, Picture],
    loss: PerceptualLoss,
    reference: PerceptualLoss,
    painting: PIL.Image.Image,
    iterations: int,
    seed: int = 0,
    precision: PrecisionName = "auto",
    device: torch.device | None = None,
) -> list[PhotoResult]:
    """Compare style networks with the slow optimization, photo by photo.

    Args:
        stylizers: Networks by name; they run in ONNX Runtime on the CPU.
        photos: Squares by name.
        loss: The loss that the networks were trained with; it is moved to the device.
        reference: A loss on features of another network; it is moved to the device.
        painting: The style, of any size, which the relative covariance distance is taken to, on the loss's network.
        iterations: L-BFGS iterations from either start.
        seed: Of the noise.
        precision: Of the slow optimization; the measures of pictures are computed in float32.
        device: Where the losses and L-BFGS run; the CPU if None.

    Returns:
        The results of the photos; after Ctrl-C of those that were finished.
    """
    device = device or torch.device("cpu")
    loss, reference = loss.to(device), reference.to(device)
    distance = CovarianceDistance(loss.features, painting, device)
    kept = [count for count in CHECKPOINTS if count <= iterations]
    results: list[PhotoResult] = []
    # A photo takes minutes to hours: after Ctrl-C those that are done are worth a report.
    with (
        contextlib.suppress(KeyboardInterrupt),
        tqdm(total=len(photos) * len(STARTS) * iterations, desc="slow", unit="it", disable=None) as bar,
    ):
        for name, photo in photos.items():
            tensor = to_tensor(photo).to(device)
            curves: dict[str, Curve] = {}
            for start in STARTS:
                first = make_noise(tuple(tensor.shape), seed).to(device) if start == "noise" else tensor
                curves[start] = trace(loss, tensor, first, iterations, kept, precision, bar.update)
            pictures = curves["photo"].pictures
            slow = {count: measure_picture(photo, pictures[count], loss, reference, distance, device) for count in kept}
            fast = compare_photo(stylizers, photo, loss, reference, distance, curves, device)
            results.append(PhotoResult(name, photo, curves, fast, slow))
    return results


def run(options: argparse.Namespace, on_finish: Callable[[], object] | None = None) -> int:
    """Compare as the command line asks, print the table and write the report.

    Args:
        options: What ``command.parse`` returns.
        on_finish: Called when the comparison is done, before anything is written.

    Returns:
        The exit code: 0, or 130 for a report of the photos that were finished before Ctrl-C.

    Raises:
        TrainError, ImageError, ExportError, ModelFileError: If what was asked for cannot work.
        OSError: If the report cannot be written.
        KeyboardInterrupt: After Ctrl-C before a photo was finished.
    """
    keep_freed_memory()
    output: Path = options.output
    if any((output / name).exists() for name in WRITTEN) and not options.overwrite:
        raise TrainError(f"'{output}' already holds a report; choose another --output, or pass --overwrite")
    # As many threads as torch has, so that the speed-up does not come from more cores.
    threads = torch.get_num_threads()
    opened = [Stylizer(path, threads=threads) for path in options.model]
    stylizers = {stylizer.name: stylizer for stylizer in opened}
    if len(stylizers) < len(options.model):
        raise TrainError("two of --model have the same name; rename one of the files")
    objective, origin = read_shared_objective(stylizers.values())
    if objective.paintings not in {None, len(options.style)}:
        raise TrainError(
            f"--style names {len(options.style)} pictures, and '{options.model[0].name}' was trained on "
            f"{objective.paintings}; name each painting that it was trained on"
        )
    # The reference first: its package or its weights may be missing, and the other may have to be downloaded.
    try:
        reference = objective.build(options.reference, options.reference_weights, options.style)
    except PerceptualWeightsError as error:
        flag = "--reference" if options.reference_weights == "default" else "--reference-weights"
        raise error.with_flag(flag) from error
    try:
        loss = objective.build(objective.perceptual, options.perceptual_weights, options.style, LAYERS)
    except PerceptualWeightsError as error:
        raise error.with_flag("--perceptual-weights") from error
    if is_same_network(loss, reference):
        raise TrainError(
            f"--reference {options.reference} is the network of the loss itself; choose another one, or other weights"
        )
    photos = read_photos(options.photos, options.count, options.size)
    read = [*options.model, *options.style, options.perceptual_weights, options.reference_weights]
    require_absent([output / name for name in WRITTEN], True, inputs=[*read, *list_images(options.photos)])
    painting = decode(options.style[0])
    make_folder(output)
    # A network that refuses pictures of this size must do so now, not after the first hour.
    for stylizer in stylizers.values():
        stylizer(next(iter(photos.values())))
    device = choose_device()
    print(f"losses and L-BFGS on {describe_device(device)}, style networks in ONNX Runtime on the CPU", flush=True)
    results = compare(
        stylizers, photos, loss, reference, painting, options.iterations, precision=options.precision, device=device
    )
    if not results:
        raise KeyboardInterrupt
    if on_finish is not None:
        on_finish()
    summary = summarize(results, options.iterations)
    weights = {objective.perceptual: options.perceptual_weights, options.reference: options.reference_weights}
    setting = Setting(
        size=options.size,
        iterations=options.iterations,
        photos=len(results),
        photos_asked=len(photos),
        objective=origin,
        perceptual=objective.perceptual,
        reference=options.reference,
        distillation=describe_distillation(weights),
        precision=options.precision,
        slow_precision=name_precision(options.precision, device),
        threads=threads,
        device=describe_device(device),
    )
    shown = to_array(scale_short_side(painting, options.size))
    # Printed first, so that the figures are not lost if the disk is full.
    print(tabulate(summary, setting))
    write_whole(output / WRITTEN[0], json.dumps(to_json(setting, summary, results), indent=1) + "\n")
    write_whole(output / WRITTEN[1], build_page(setting, summary, results, shown))
    encode(from_array(contact_sheet(arrange_pictures(results, shown)[1])), output / WRITTEN[2])
    print(f"the whole report, with pictures: {output / WRITTEN[1]}")
    if setting.photos < setting.photos_asked:
        print(
            f"stopped: the report is of the {setting.photos} of {setting.photos_asked} photos that were finished",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0
