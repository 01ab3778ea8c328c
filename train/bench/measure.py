"""What the bench measures: seconds and memory of a training step, and what is learned, ours against the reference.

The two steps take turns in two processes, one waiting while the other computes, so that other load on the machine slows
both alike; the ratio is the median over pairs of steps.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.vgg import make_layers
from tqdm import tqdm

from data.images import list_images
from data.photos import PhotoStream, collate, read_style, to_unit
from models.losses import LossConfig
from models.names import STYLE_SIZE
from models.vgg import LAYOUTS, VGGFeatures
from train.bench.command import HELD_OUT, Progress
from train.bench.reference import ReferenceNetwork, build_reference_loss, build_reference_step, draw_painting
from train.compute.device import choose_device
from train.compute.memory import resident_mb
from train.compute.precision import name_precision
from train.errors import TrainError
from train.fit.optimizer import WeightOptimizer
from train.fit.step import Step, build_step

KINDS = ("reference", "ours")


def build(
    kind: str, weights: str, size: int, steps: int, seed: int = 0, optimizer: WeightOptimizer = "muon"
) -> tuple[Step, nn.Module]:
    """Build the reference step or ours, both towards the same painting, which a program draws.

    Args:
        kind: One of ``KINDS``.
        weights: VGG-19 weights, ``default`` or a file.
        size: Side of the pictures in pixels.
        steps: Length of the learning-rate cycle.
        seed: Of the first weights, the same for both kinds.
        optimizer: What moves our weights; the reference's are moved by Adam.

    Returns:
        The step and the network that it trains.
    """
    painting = draw_painting(size)
    if kind == "reference":
        return build_reference_step(weights, painting, steps, seed)
    return build_step(weights, painting, steps, seed, optimizer=optimizer)


def random_weights(path: Path) -> Path:
    """Write random VGG-19 weights: the time of a step does not depend on their values."""
    layers = make_layers(list(LAYOUTS["vgg19"]))
    torch.save({f"features.{name}": value for name, value in layers.state_dict().items()}, path)
    return path


def _serve(kind: str, weights: str, size: int, batch: int, pipe: Connection) -> None:
    """Take one step for every message, in a process of its own."""
    step, _ = build(kind, weights, size, 10_000)
    photos = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(2))
    while pipe.recv():
        start = time.perf_counter()
        step(photos).item()
        pipe.send({"seconds": time.perf_counter() - start, **resident_mb()})


def measure_speed(weights: str, size: int, batch: int, rounds: int, endurance: int) -> dict[str, Any]:
    """Measure seconds and memory of both steps, which take turns.

    Args:
        weights: VGG-19 weights, a file.
        size: Side of the pictures in pixels.
        batch: Pictures per step.
        rounds: Measured steps of each, after two that are not counted.
        endurance: Further steps of ours, to see whether memory grows.

    Returns:
        Seconds per step, pictures per second, their ratio, and memory in MB.
    """
    context = mp.get_context("spawn")
    pipes: dict[str, Connection] = {}
    workers = []
    for kind in KINDS:
        pipes[kind], other = context.Pipe()
        worker = context.Process(target=_serve, args=(kind, weights, size, batch, other), daemon=True)
        worker.start()
        # The worker's end is closed here: otherwise recv would wait forever for a worker that has died.
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


def measure_ceiling(precisions: Sequence[str], side: int = 2048) -> dict[str, float]:
    """Measure a plain matrix product, the upper bound of a step's speed.

    Args:
        precisions: ``float32``, ``bfloat16``, or both. Hardware without bfloat16 emulates it in one thread, which takes
            minutes.
        side: Rows and columns of the matrices.

    Returns:
        GFLOP/s by precision.
    """
    device = choose_device()
    found = {}
    for name in precisions:
        a = torch.randn(side, side, dtype=getattr(torch, name), device=device)
        times = []
        for _ in range(8):
            start = time.perf_counter()
            (a @ a)[0, 0].item()
            times.append(time.perf_counter() - start)
        found[name] = 2 * side**3 / min(times) / 1e9
    return found


def count_gflop(weights: str, size: int, batch: int) -> float:
    """Count the reference step's multiplications and additions, in GFLOP."""
    step, _ = build("reference", weights, size, 10)
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
    """Train with both steps on the same photos in the same order, and compute both losses on held-out ones in float32.

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
    for kind in KINDS:
        # One optimizer for both: what is compared is what precision and compiled code do to the learning.
        step, trained = build(kind, weights, size, steps, seed, optimizer="adam")
        for number in tqdm(range(steps), desc=kind, unit="step", disable=None, leave=False):
            samples = [stream[number * batch + index] for index in range(batch)]
            step(to_unit(collate(samples).photos).contiguous())
        network = ReferenceNetwork()
        network.load_from(trained.cpu())
        loss = build_reference_loss(weights, draw_painting(size))
        with torch.no_grad():
            found = [loss(network(photo[None]), photo[None]).item() for photo in examples]
        losses[kind] = statistics.mean(found)
    return {**losses, "ratio": losses["ours"] / losses["reference"]}


def read_inputs(options: argparse.Namespace) -> list[Path]:
    """Read what the command line names before anything is measured; return the photos.

    Raises:
        ImageError: If there are no photos in the folder, or the painting cannot be read.
        ModelFileError: If the weights, or what ours starts from, are absent or do not fit.
        TrainError: If there are too few photos, or what ours starts from has another architecture.
    """
    photos = list_images(options.photos) if options.photos else []
    if (options.quality or options.time_to_quality) and len(photos) <= HELD_OUT:
        flag = "--quality" if options.quality else "--time-to-quality"
        raise TrainError(
            f"'{options.photos}' holds {len(photos)} photos, of which {flag} holds {HELD_OUT} out; name a folder of "
            "more with --photos"
        )
    if options.time_to_quality:
        # Here and below, so that the processes whose memory is measured do without Lightning.
        from train.bench.time_to_quality import choose_start

        choose_start(options.start_from)
        if options.painting:
            read_style(options.painting, STYLE_SIZE)
    if options.perceptual_weights:
        VGGFeatures("vgg19", LossConfig().layers, options.perceptual_weights)
    return photos


def measure(options: argparse.Namespace, photos: list[Path], progress: Progress) -> dict[str, Any]:
    """Measure what the command line asks for, and print each figure as soon as it is there.

    Args:
        options: The command line.
        photos: What ``read_inputs`` returned.
        progress: Kept up to date.

    Returns:
        The figures.
    """
    progress.begin("the speed")
    device = choose_device()
    precision = name_precision("auto", device)
    figures: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "precision": precision,
    }
    print(f"our step computes in {precision} on {device.type}, the reference in float32", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.perceptual_weights or str(random_weights(Path(folder) / "random.pth"))
        figures["ceiling_gflops"] = measure_ceiling(list(dict.fromkeys(("float32", precision))))
        print(f"matrix product: {describe_ceiling(figures['ceiling_gflops'])}", flush=True)
        figures["step_gflop"] = count_gflop(weights, options.image_size, options.batch_size)
        print(
            f"{figures['step_gflop']:.0f} GFLOP per reference step; taking steps of both "
            "(the first of ours compiles, which takes a minute or two)",
            flush=True,
        )
        figures["speed"] = measure_speed(
            weights, options.image_size, options.batch_size, options.rounds, options.endurance
        )
    print(describe_speed(figures))
    if photos:
        figures["decode_ms"] = measure_decoding(photos, options.image_size)
        print(f"decoding: {figures['decode_ms']:.1f} ms per photo in one process")
    if options.time_to_quality:
        from train.bench import time_to_quality

        # Before the comparison of what is learned, which makes this process keep its memory, and the reference faster.
        figures["time_to_quality"] = time_to_quality.run(
            options.perceptual_weights,
            options.photos,
            options.painting,
            time_to_quality.choose_start(options.start_from),
            options.image_size,
            options.batch_size,
            options.reference_steps,
            lambda stage: progress.begin(f"the time to quality ({stage})"),
        )
    if options.quality:
        figures["quality"] = []
        for seed in range(options.seeds):
            progress.begin(f"what is learned with seed {seed}")
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


def describe_ceiling(ceiling: dict[str, float]) -> str:
    """Return what the matrix product reached, by precision."""
    return ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in ceiling.items())


def describe_speed(figures: dict[str, Any]) -> str:
    """Return the speed of both steps as a table, each against the matrix product in its own precision."""
    speed, ceiling, gflop = figures["speed"], figures["ceiling_gflops"], figures["step_gflop"]
    lines = [f"batch {speed['batch']} at {speed['size']} px"]
    lines.append(f"{'':12}{'s / step':>10}{'photos / s':>14}{'GFLOP / s':>11}{'of product':>12}{'peak MB':>9}")
    for kind, precision in zip(KINDS, ("float32", figures["precision"]), strict=True):
        rate = gflop / speed["seconds_per_step"][kind]
        lines.append(
            f"{kind:12}{speed['seconds_per_step'][kind]:10.3f}{speed['pictures_per_second'][kind]:14.2f}{rate:11.0f}"
            f"{rate / ceiling[precision]:11.0%} {speed['peak_mb'][kind]:9.0f}"
        )
    growth = speed["growth_mb"]
    lines.append(
        f"ratio {speed['ratio']:.2f}; memory grew by {growth['resident_mb']:.0f} MB in {growth['steps']} steps"
    )
    return "\n".join(lines)
