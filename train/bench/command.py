"""Measure the training step against the reference: ``python -m train.bench`` (``make bench``).

The two steps take turns in two processes, one waiting while the other computes, so that a noisy machine is noisy for
both; ratios of medians are what to read. ``--quality`` also trains with both
and compares the losses on held-out photos.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from data.files import OutputError, make_folder, require_absent, write_whole
from data.images import ImageError, list_images
from data.photos import PhotoStream, collate, to_unit
from export.cli import INTERRUPTED, positive
from models.losses import CONTENT_LAYERS, STYLE_LAYERS
from models.vgg import PerceptualWeightsError, VGGFeatures
from train.bench.reference import ReferenceNetwork
from train.bench.step import build_reference_loss, build_step, random_weights
from train.compute.memory import resident_mb
from train.errors import TrainError

HELD_OUT = 16
"""Photos that a comparison of what is learned is judged on."""

SMALLEST_SIDE = 64
"""Pixels that the frozen network's deepest layer needs, with some to spare."""


def _serve(kind: str, weights: str, size: int, batch: int, pipe: Connection) -> None:
    """Take one step for every message, in a process of its own."""
    step, _ = build_step(kind, weights, size, 10_000)
    photos = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(2))
    while pipe.recv():
        start = time.perf_counter()
        step(photos).item()
        pipe.send({"seconds": time.perf_counter() - start, **resident_mb()})


def measure_speed(weights: str, size: int, batch: int, rounds: int, endurance: int) -> dict[str, Any]:
    """Let both steps take turns.

    Args:
        weights: VGG-19 weights, a file.
        size: Side of the pictures in pixels.
        batch: Pictures per step.
        rounds: Counted steps of each, after two that are not.
        endurance: Further steps of ours, to see whether memory grows.

    Returns:
        Seconds per step, pictures per second, their ratio, and memory in MB.
    """
    context = mp.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for kind in ("reference", "ours"):
        pipes[kind], other = context.Pipe()
        worker = context.Process(target=_serve, args=(kind, weights, size, batch, other), daemon=True)
        worker.start()
        # Its own end only: with both open here, a process that dies would be waited for in vain.
        other.close()
        workers.append(worker)

    def turn(kind: str) -> dict[str, float]:
        try:
            pipes[kind].send(True)
            answer = dict(pipes[kind].recv())
        except (EOFError, OSError) as error:
            raise TrainError(f"the process that takes {kind} steps died; try a smaller --batch-size") from error
        bar.update()
        return answer

    with tqdm(total=2 * (rounds + 2) + endurance, desc="speed", unit="step", disable=None, leave=False) as bar:
        turns: dict[str, list[dict[str, float]]] = {kind: [turn(kind) for _ in range(2)] for kind in pipes}
        warm = turns["ours"][-1]
        for _ in range(rounds):
            for kind in pipes:
                turns[kind].append(turn(kind))
        last = turns["ours"][-1]
        for _ in range(endurance):
            last = turn("ours")
    for kind, worker in zip(pipes, workers, strict=True):
        pipes[kind].send(False)
        worker.join()
    seconds = {kind: [entry["seconds"] for entry in entries[2:]] for kind, entries in turns.items()}
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    return {
        "batch": batch,
        "size": size,
        "seconds_per_step": medians,
        "pictures_per_second": {kind: batch / value for kind, value in medians.items()},
        "ratio": statistics.median(a / b for a, b in zip(seconds["reference"], seconds["ours"], strict=True)),
        "peak_mb": {kind: entries[-1]["peak_mb"] for kind, entries in turns.items()},
        "growth_mb": {"steps": rounds + endurance, "resident_mb": last["resident_mb"] - warm["resident_mb"]},
    }


def measure_ceiling(side: int = 2048) -> dict[str, float]:
    """Return what a plain matrix product reaches here, in GFLOP/s, by precision."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.randn(side, side, dtype=dtype, device=device)
        times = []
        for _ in range(8):
            start = time.perf_counter()
            (a @ a)[0, 0].item()
            times.append(time.perf_counter() - start)
        found[name] = 2 * side**3 / min(times) / 1e9
    return found


def count_gflop(weights: str, size: int, batch: int) -> float:
    """Count the reference step's multiplications and additions, in GFLOP."""
    step, _ = build_step("reference", weights, size, 10)
    with FlopCounterMode(display=False) as counter:
        step(torch.rand(batch, 3, size, size))
    return float(counter.get_total_flops()) / 1e9


def measure_decoding(photos: list[Path], size: int, count: int = 200) -> float:
    """Return milliseconds that one process takes to decode and crop a photo."""
    stream = PhotoStream(photos, size, seed=0)
    start = time.perf_counter()
    for number in range(count):
        stream[number]
    return (time.perf_counter() - start) / count * 1e3


def measure_quality(weights: str, photos: list[Path], steps: int, size: int, batch: int, seed: int) -> dict[str, float]:
    """Train with both steps on the same photos in the same order, and judge both in float32 on held-out ones.

    Args:
        weights: VGG-19 weights, ``default`` or a file; real ones.
        photos: More than ``HELD_OUT`` photos, of which the first so many are held out.
        steps: Steps of each.
        size: Side of the crops in pixels.
        batch: Photos per step.
        seed: Of the first weights, the photo order and the crops.

    Returns:
        The losses on held-out photos, and ours divided by the reference's.
    """
    stream, held_out = PhotoStream(photos[HELD_OUT:], size, seed), PhotoStream(photos[:HELD_OUT], size, seed=99)
    examples = to_unit(collate([held_out[number] for number in range(HELD_OUT)]).photos).contiguous()
    losses = {}
    for kind in ("reference", "ours"):
        step, trained = build_step(kind, weights, size, steps, seed)
        for number in tqdm(range(steps), desc=kind, unit="step", disable=None, leave=False):
            samples = [stream[number * batch + index] for index in range(batch)]
            step(to_unit(collate(samples).photos).contiguous())
        judged = ReferenceNetwork()
        judged.load_from(trained.cpu())
        judge = build_reference_loss(weights, size)
        with torch.no_grad():
            found = [judge(judged(photo[None]), photo[None]).item() for photo in examples]
        losses[kind] = statistics.mean(found)
    return {**losses, "ratio": losses["ours"] / losses["reference"]}


def _parse(args: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train.bench",
        description="Measure the training step against the reference.",
        epilog="example: python -m train.bench --perceptual-weights vgg19.safetensors --photos folder",
    )
    add = parser.add_argument
    add("--perceptual-weights", help="VGG-19 weights; without, speed is measured with random ones")
    add("--photos", type=Path, help="folder of photos, to measure decoding and quality")
    add("--image-size", type=_side, default=256, help="side of the pictures (default: 256)")
    add("--batch-size", type=positive, default=4, help="pictures per step (default: 4)")
    add("--rounds", type=positive, default=5, help="counted steps of each (default: 5)")
    add("--endurance", type=int, default=0, help="further steps of ours, to see memory grow (default: 0)")
    add("--quality", action="store_true", help="also train with both, and compare the losses")
    add("--quality-steps", type=positive, default=200, help="steps of each training (default: 200)")
    add("--quality-size", type=_side, default=128, help="side of its pictures (default: 128)")
    add("--seeds", type=positive, default=3, help="trainings of each kind (default: 3)")
    add("--output", type=Path, help="JSON file for the figures")
    add("--overwrite", action="store_true", help="replace that file if it exists")
    options = parser.parse_args(args)
    if options.quality and not (options.perceptual_weights and options.photos):
        parser.error("--quality needs real photos and weights: give --photos and --perceptual-weights")
    return options


def _side(text: str) -> int:
    if not text.isdecimal() or int(text) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {SMALLEST_SIDE} up")
    return int(text)


def check(options: argparse.Namespace) -> list[Path]:
    """Find out before any measurement whether all that is named can be read and written; return the photos.

    Raises:
        ImageError: If there are no photos where they were said to be.
        PerceptualWeightsError: If the weights are absent or do not fit.
        OutputError: If the figures cannot be written.
        TrainError: If there are too few photos to hold some out.
    """
    if options.endurance < 0:
        raise TrainError(f"--endurance is {options.endurance}; it must be at least 0")
    if options.output:
        require_absent([options.output], options.overwrite)
        if options.output.is_dir():
            raise TrainError(f"'{options.output}' is a folder; name a file in it with --output")
        make_folder(options.output.parent)
    photos = list_images(options.photos) if options.photos else []
    if options.quality and len(photos) <= HELD_OUT:
        raise TrainError(
            f"'{options.photos}' holds {len(photos)} photos, of which --quality holds {HELD_OUT} out; name a folder of "
            "more with --photos"
        )
    if options.perceptual_weights:
        VGGFeatures("vgg19", [*CONTENT_LAYERS, *STYLE_LAYERS], options.perceptual_weights)
    return photos


def _print_speed(speed: dict[str, Any], ceiling: dict[str, float], gflop: float) -> None:
    print(f"batch {speed['batch']} at {speed['size']} px, {gflop:.0f} GFLOP per reference step")
    print(f"{'':12}{'s / step':>10}{'pictures / s':>14}{'GFLOP / s':>11}{'of product':>12}{'peak MB':>9}")
    for kind, precision in (("reference", "float32"), ("ours", "bfloat16")):
        seconds = speed["seconds_per_step"][kind]
        rate = gflop / seconds
        print(
            f"{kind:12}{seconds:10.3f}{speed['pictures_per_second'][kind]:14.2f}{rate:11.0f}"
            f"{rate / ceiling[precision]:11.0%} {speed['peak_mb'][kind]:9.0f}"
        )
    print(f"matrix product: float32 {ceiling['float32']:.0f} GFLOP/s, bfloat16 {ceiling['bfloat16']:.0f} GFLOP/s")
    growth = speed["growth_mb"]
    print(f"ratio {speed['ratio']:.2f}; memory grew by {growth['resident_mb']:.0f} MB in {growth['steps']} steps")


def main(args: list[str] | None = None) -> int:
    """Measure, print, and keep the figures if asked; returns the exit code."""
    options = _parse(args)
    try:
        figures = measure(options, check(options))
        if options.output:
            write_whole(options.output, json.dumps(figures, indent=2) + "\n")
    except (ImageError, PerceptualWeightsError, OutputError, TrainError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: no figures were written", file=sys.stderr)
        return INTERRUPTED
    return 0


def measure(options: argparse.Namespace, photos: list[Path]) -> dict[str, Any]:
    """Measure what the command line asks for, and print it as it comes; returns the figures."""
    figures: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        weights = options.perceptual_weights or str(random_weights(Path(folder) / "random.pth"))
        figures["ceiling_gflops"] = measure_ceiling()
        figures["step_gflop"] = count_gflop(weights, options.image_size, options.batch_size)
        figures["speed"] = measure_speed(
            weights, options.image_size, options.batch_size, options.rounds, options.endurance
        )
    _print_speed(figures["speed"], figures["ceiling_gflops"], figures["step_gflop"])
    if photos:
        figures["decode_ms"] = measure_decoding(photos, options.image_size)
        print(f"decoding: {figures['decode_ms']:.1f} ms per photo in one process")
    if options.quality:
        figures["quality"] = []
        for seed in range(options.seeds):
            found = measure_quality(
                weights, photos, options.quality_steps, options.quality_size, options.batch_size, seed
            )
            figures["quality"].append(found)
            print(
                f"seed {seed}: held-out loss {found['reference']:.4f} reference, {found['ours']:.4f} ours, "
                f"ratio {found['ratio']:.4f}",
                flush=True,
            )
        print(f"mean ratio {statistics.mean(entry['ratio'] for entry in figures['quality']):.4f}")
    return figures
