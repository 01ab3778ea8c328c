"""Time to quality: in what fraction of the reference's time our training reaches the same validation loss.

The reference is trained once: float32, not compiled, from random weights, with full-size crops. Ours is what
``python -m train fit`` does, with small crops first as ``--minutes`` plans them. As a training has its whole
learning-rate cycle, each length is a training of its own; lengths double until one reaches the reference's loss.

A training's time runs from reading the frozen network and the painting to the last step, decoding of photos included;
previews and checkpoints are left out of both. Compilation is timed apart, as on a machine that has compiled nothing
yet. The validation loss is computed afterwards, by the same function for both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from torch import Tensor
from tqdm import tqdm

from data.images import encode, from_array
from data.photos import HeldOutPhotos, collate, read_style, to_uint8, to_unit
from models.losses import LossConfig, PerceptualLoss
from models.names import STYLE_SIZE
from models.network import NetworkConfig, StyleNetwork
from models.start import START_FILE, is_start_file, read_start_config
from models.style_file import load_style
from models.vgg import VGGFeatures
from train.bench.command import HELD_OUT
from train.bench.reference import build_reference_step, draw_painting
from train.compute.device import choose_device
from train.compute.memory import keep_freed_memory
from train.compute.precision import best_precision, name_precision
from train.errors import TrainError
from train.fit.checkpoint import raise_interrupts
from train.fit.command import TRAINER_DEFAULTS
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining, should_compile
from train.fit.origin import RANDOM, Origin, choose_origin, find_origin_file
from train.fit.timing import EARLY_SHARE, EARLY_SIZE, LEAST_STEPS, ROUNDS, measure_step
from train.parser import quiet_libraries

DEFAULT_STYLE = "wave"
"""Kept style that ours starts from where there is no shared start."""


@dataclass(frozen=True)
class TimedTraining:
    """How long a training took, and how good it is.

    Args:
        steps: Its length.
        prepare_seconds: Reading the frozen network, the painting and what it starts from.
        compile_seconds: Compiling; 0 where it does not pay.
        step_seconds: All steps, their photos included.
        loss: Validation loss at the end.
    """

    steps: int
    prepare_seconds: float
    compile_seconds: float
    step_seconds: float
    loss: float

    @property
    def seconds(self) -> float:
        """Everything, in seconds."""
        return self.seconds_without_compiling + self.compile_seconds

    @property
    def seconds_without_compiling(self) -> float:
        """Everything but compiling, in seconds."""
        return self.prepare_seconds + self.step_seconds


@dataclass(frozen=True)
class TimeToQuality:
    """The reference's training, and ours of lengths that double.

    Args:
        reference: The reference's.
        ours: The shortest first; only the last may reach the reference's loss.
    """

    reference: TimedTraining
    ours: list[TimedTraining]

    @property
    def is_reached(self) -> bool:
        """Whether ours reached the reference's loss."""
        return self.ours[-1].loss <= self.reference.loss

    @property
    def fraction(self) -> float:
        """Time of our last training, divided by the reference's."""
        return self.ours[-1].seconds / self.reference.seconds

    @property
    def fraction_without_compiling(self) -> float:
        """The same without the time that compiling takes."""
        return self.ours[-1].seconds_without_compiling / self.reference.seconds

    def to_json(self) -> dict[str, Any]:
        """Return all figures; the fractions are None where the loss was not reached."""
        reached = self.is_reached
        return {
            **asdict(self),
            "fraction": self.fraction if reached else None,
            "fraction_without_compiling": self.fraction_without_compiling if reached else None,
        }


@dataclass(frozen=True)
class Task:
    """What both are trained for.

    Args:
        weights: VGG-19's weights, ``default`` or a file.
        painting: A picture file.
        photos: Folder of photos, of which ``HELD_OUT`` are held out.
        size: Side of the crops in pixels.
        batch: Photos per step.
        origin: What ours starts from.
        seed: Of the random weights, the photos' order and their crops.
    """

    weights: str
    painting: Path
    photos: Path
    size: int
    batch: int
    origin: Origin
    seed: int = 0

    def read_photos(self, early_steps: int = 0) -> PhotoData:
        """List the photos; the first steps may have small crops."""
        data = PhotoData(
            str(self.photos),
            held_out=HELD_OUT,
            image_size=self.size,
            early_size=EARLY_SIZE if early_steps else None,
            early_steps=early_steps,
            batch_size=self.batch,
            seed=self.seed,
        )
        data.setup("fit")
        return data


class ValidationLoss:
    """The loss on held-out photos, in float32, without the terms of trainings: that of ``python -m train validate``.

    Args:
        weights: VGG-19's weights, ``default`` or a file.
        painting: RGB in [0, 1], shape (1, 3, H, W).
        photos: The held-out photos, of which the central squares are taken.
        size: Side of the squares in pixels.
    """

    def __init__(self, weights: str, painting: Tensor, photos: Sequence[Path], size: int) -> None:
        self._device = choose_device()
        config = LossConfig().without_training_terms()
        self._loss = PerceptualLoss(VGGFeatures("vgg19", config.layers, weights), config)
        self._loss.set_style([painting])
        self._loss.to(self._device)
        squares = HeldOutPhotos(photos, size)
        self._photos = [collate([squares[index]]).photos for index in range(len(squares))]

    @torch.no_grad()
    def __call__(self, network: StyleNetwork) -> float:
        """Return the mean loss over the photos; the network is moved to the device."""
        network.to(self._device)
        losses: list[float] = []
        for square in self._photos:
            photo = to_unit(square).to(self._device)
            losses.append(self._loss(network(photo), self._loss.describe_content(photo)).total.item())
        return statistics.mean(losses)


def choose_start(given: str | None, start: Path = START_FILE) -> Origin:
    """Choose what ours starts from: the default start of every training, or a kept style where there is none.

    Args:
        given: What ``--start-from`` names; None for the default.
        start: The shared start's file.

    Raises:
        ModelFileError: If it is absent or cannot be read.
        TrainError: If its network is not the default one, which the reference trains.
    """
    default = NetworkConfig()
    if given is None and not start.is_file():
        origin = choose_origin(DEFAULT_STYLE, default.to_dict(), start)
        origin = origin._replace(description=f"from {DEFAULT_STYLE} (the shared start {start.name} is not there)")
    else:
        origin = choose_origin(given, default.to_dict(), start)
    if origin.start_from != RANDOM:
        path = find_origin_file(origin.start_from)
        found = read_start_config(path) if is_start_file(path) else load_style(path)[0].config
        if found.bare != default.bare:
            raise TrainError(
                f"'{path}' holds a network of {found.to_dict()}, and the bench trains {default.to_dict()}; "
                "name a start of that architecture with --start-from"
            )
    return origin


def count_early_steps(steps: int, size: int) -> int:
    """Return how many steps of ours have small crops: none where full-size crops are as small."""
    return int(EARLY_SHARE * steps) if size > EARLY_SIZE else 0


def train_reference(task: Task, steps: int, validate: Callable[[StyleNetwork], float]) -> TimedTraining:
    """Train the reference, on the same photos in the same order as ours.

    Args:
        task: What for.
        steps: How long.
        validate: Computes the validation loss.
    """
    data = task.read_photos()
    # It is not run: the photos take from it how many steps there are, and where they are to go.
    data.trainer = _build_trainer(steps)
    begin = time.perf_counter()
    step, network = build_reference_step(task.weights, read_style(task.painting, STYLE_SIZE), steps, task.seed)
    prepared = time.perf_counter()
    loss = torch.zeros(())
    for batch in tqdm(data.train_dataloader(), "reference", steps, unit="step", disable=None, leave=False):
        loss = step(to_unit(batch.photos).contiguous())
    # A GPU works asynchronously; reading a value waits for it.
    float(loss)
    end = time.perf_counter()
    return TimedTraining(steps, prepared - begin, 0.0, end - prepared, validate(network.to_style()))


def train_ours(task: Task, steps: int, validate: Callable[[StyleNetwork], float]) -> TimedTraining:
    """Train as ``python -m train fit`` does; arguments and result are those of ``train_reference``."""
    keep_freed_memory()
    data = task.read_photos(count_early_steps(steps, task.size))
    with tqdm(desc=f"ours, {steps} steps", total=steps, unit="step", disable=None, leave=False) as bar:
        trainer = _build_trainer(steps, LambdaCallback(on_train_batch_end=lambda *_: bar.update()))
        torch.manual_seed(task.seed)
        begin = time.perf_counter()
        model = StyleTraining(
            str(task.painting),
            perceptual_weights=task.weights,
            start_from=task.origin.start_from,
            seed=task.seed,
        )
        model.prepare()
        prepared = time.perf_counter()
        compiling = compile_ahead(trainer, model, data) if should_compile(model.compile_mode, steps) else 0.0
        start = time.perf_counter()
        with raise_interrupts():
            trainer.fit(model, datamodule=data)
        end = time.perf_counter()
    return TimedTraining(steps, prepared - begin, compiling, end - start, validate(model.network))


def compile_ahead(trainer: pl.Trainer, model: StyleTraining, data: PhotoData) -> float:
    """Compile for all crops of a training, without changing a weight, and return the seconds that it took."""
    model.compile_network()
    seconds = 0.0
    # The caches on the disk would make every compilation but the machine's first look cheap.
    patch = torch.compiler.config.patch(force_disable_caches=True)  # type: ignore[attr-defined]
    with patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*force disabled.*")
        for size in filter(None, (data.early_size, data.image_size)):
            begin = time.perf_counter()
            step = measure_step(trainer, model, data.batch_size, size)
            seconds += time.perf_counter() - begin - (ROUNDS + 1) * step
    return seconds


def _build_trainer(steps: int, *callbacks: pl.Callback) -> pl.Trainer:
    device = choose_device()
    return pl.Trainer(
        **{
            **TRAINER_DEFAULTS,
            "accelerator": device.type,
            "devices": 1,
            "precision": best_precision(device.type),
            "max_steps": steps,
            "limit_val_batches": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "callbacks": list(callbacks),
        }
    )


def double_lengths(
    train: Callable[[int], TimedTraining], target: TimedTraining, first: int = LEAST_STEPS
) -> list[TimedTraining]:
    """Train for lengths that double, until one reaches a loss, or takes longer than the training that reached it.

    Args:
        train: From a number of steps to the training.
        target: The training whose loss is to be reached.
        first: The first length.

    Returns:
        All trainings, the shortest first.
    """
    found: list[TimedTraining] = []
    steps = first
    while True:
        found.append(train(steps))
        if found[-1].loss <= target.loss or found[-1].seconds >= target.seconds:
            return found
        steps *= 2


def measure_time_to_quality(
    task: Task, reference_steps: int, announce: Callable[[str], None] = lambda stage: None
) -> TimeToQuality:
    """Train the reference, then ours until it is as good, and print each training as it ends.

    Args:
        task: What for.
        reference_steps: Length of the reference's training.
        announce: Called with the name of each training that begins.
    """
    quiet_libraries()
    device = choose_device()
    held_out = task.read_photos().held_out_paths
    validate = ValidationLoss(task.weights, read_style(task.painting, STYLE_SIZE), held_out, task.size)
    announce("the reference's training")
    print(
        f"time to quality: the reference takes {reference_steps} steps of {task.batch} photos at {task.size} px "
        f"towards '{task.painting.name}', from random weights, in float32 on {device.type}",
        flush=True,
    )
    reference = train_reference(task, reference_steps, validate)
    print(f"{'reference:':10} {describe(reference)}", flush=True)
    small = f", three quarters of its steps at {EARLY_SIZE} px" if task.size > EARLY_SIZE else ""
    print(
        f"ours starts {task.origin.description}, in {name_precision('auto', device)}{small}: trainings of "
        f"{LEAST_STEPS}, {2 * LEAST_STEPS}, {4 * LEAST_STEPS} ... steps, until one is as good or takes as long",
        flush=True,
    )

    def train(steps: int) -> TimedTraining:
        announce(f"our training of {steps} steps")
        found = train_ours(task, steps, validate)
        print(f"{'ours:':10} {describe(found)}", flush=True)
        return found

    return TimeToQuality(reference, double_lengths(train, reference))


def draw_painting_file(folder: Path) -> Path:
    """Draw the painting that the bench trains towards unless another one is given; returns the file."""
    path = folder / "drawn.png"
    encode(from_array(to_uint8(draw_painting(STYLE_SIZE)[0])), path)
    return path


def describe(training: TimedTraining) -> str:
    """Return a training in one line."""
    compiling = f", compiling {training.compile_seconds:.1f} s" if training.compile_seconds else ""
    return (
        f"{training.steps} steps, validation loss {training.loss:.4f}, {training.seconds:.1f} s "
        f"(preparing {training.prepare_seconds:.1f} s{compiling})"
    )


def describe_result(found: TimeToQuality) -> str:
    """Return the result in one sentence."""
    reference, ours = found.reference, found.ours[-1]
    if not found.is_reached:
        return (
            f"ours did not reach the reference's validation loss in the reference's time, {reference.seconds:.1f} s: "
            f"{ours.loss:.4f} after {ours.steps} steps and {ours.seconds:.1f} s, {reference.loss:.4f} needed"
        )
    compiled = f", {found.fraction_without_compiling:.1%} without compiling" if ours.compile_seconds else ""
    return (
        f"ours reaches the reference's validation loss in {found.fraction:.1%} of its time{compiled}: {ours.steps} "
        f"steps and {ours.seconds:.1f} s against {reference.steps} steps and {reference.seconds:.1f} s"
    )


def run(
    weights: str,
    photos: Path,
    painting: Path | None,
    origin: Origin,
    size: int,
    batch: int,
    reference_steps: int,
    announce: Callable[[str], None],
) -> dict[str, Any]:
    """Measure the time to quality, print the result, and return the figures.

    Args:
        weights: VGG-19's weights, ``default`` or a file; real ones.
        photos: Folder of photos.
        painting: A picture file; None for the painting that the bench draws.
        origin: What ours starts from.
        size: Side of the crops in pixels.
        batch: Photos per step.
        reference_steps: Length of the reference's training.
        announce: Called with the name of each training that begins.

    Returns:
        All trainings, and the fractions.
    """
    with tempfile.TemporaryDirectory() as folder:
        if painting is None:
            painting = draw_painting_file(Path(folder))
            print("time to quality: no --painting is given, so that the bench draws one", flush=True)
        task = Task(weights, painting, photos, size, batch, origin)
        found = measure_time_to_quality(task, reference_steps, announce)
    print(describe_result(found), flush=True)
    return {"painting": painting.name, "size": size, "batch": batch, "origin": origin.description, **found.to_json()}
