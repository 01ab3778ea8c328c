"""A training that fits a time: its steps are measured, their number and their crops planned, and the plan is kept."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.optim.lr_scheduler import OneCycleLR

from data.photos import to_unit
from train.errors import TrainError
from train.fit.callbacks import StyleProgressBar
from train.fit.checkpoint import AtomicCheckpointIO
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining, should_compile
from train.fit.optimizer import make_optimizer
from train.fit.schedule import shorten

EARLY_SIZE = 128
"""Side in pixels of the crops of most steps, unless their size was given: a step then takes a quarter of the time."""

EARLY_SHARE = 0.75
"""Share of the steps with such crops; the last quarter learns the strokes of full-size crops."""

LEAST_LATE_SHARE = 0.1
"""Least share of steps with full-size crops, where time runs short."""

LEAST_STEPS = 10
"""Shortest training that is worth the name."""

END_SECONDS = 5.0
"""Time set aside for what follows the last step besides the validation: checkpoint, export and its check."""

ROUNDS = 3
"""Steps that are measured, after one that is not."""

LOOKS = 50
"""How often in a run its pace is compared with the plan."""

WINDOW = 10
"""Looks over which the pace is averaged: a fifth of the run, so that a preview or a slow moment changes little."""

PRIOR_SHARE = 0.02
"""Share of the time for which the measured pace counts as kept, when the first looks are taken."""

TOLERANCE = 0.03
"""Share of the time left by which a plan may miss it before the number of steps changes."""

SPARE_SHARE = 0.5
"""Share of steps by which a plan may grow, on a machine that gets faster."""


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds.

    Args:
        late: A step with full-size crops.
        early: A step with small crops; None where all crops have the same size.
        end: Everything after the last step.
    """

    late: float
    early: float | None = None
    end: float = END_SECONDS

    def seconds(self, first: int, last: int, early_steps: int) -> float:
        """Return the seconds of the steps from ``first`` to ``last`` - 1; those below ``early_steps`` are early."""
        small = max(0, min(last, early_steps) - first)
        return small * (self.early or 0.0) + (last - first - small) * self.late


@dataclass(frozen=True)
class Plan:
    """How long a training is.

    Args:
        steps: All steps.
        early_steps: Those with small crops, which come first.
    """

    steps: int
    early_steps: int = 0


def plan_steps(seconds: float, pace: Pace) -> Plan:
    """Plan a training that takes a time.

    Args:
        seconds: Time for all steps and the end.
        pace: How long they take.

    Returns:
        The plan; no steps where the time does not suffice for the end.
    """
    left = max(0.0, seconds - pace.end)
    if pace.early is None:
        return Plan(int(left / pace.late))
    mean = EARLY_SHARE * pace.early + (1 - EARLY_SHARE) * pace.late
    steps = int(left / mean)
    return Plan(steps, int(EARLY_SHARE * steps))


def adapt_plan(plan: Plan, first: Plan, pace: Pace, step: int, left: float, ahead: int) -> Plan:
    """Change the rest of a plan so that it fits the time that is left.

    As long as crops are small, full-size ones begin sooner or later. Where that does not suffice, or they have begun,
    there are fewer steps or more, so that the learning rate still falls to its end.

    Args:
        plan: The plan so far.
        first: The plan at the beginning; there are ``SPARE_SHARE`` more steps than in it at most.
        pace: How long things take now.
        step: Steps taken.
        left: Seconds left, the end included.
        ahead: Steps after that whose crops are being made already.

    Returns:
        The new plan.
    """
    left = max(0.0, left - pace.end)
    # Crops that are being made keep their size; left out they may be.
    fixed = min(plan.steps, step + ahead)
    early = plan.early_steps
    if pace.early is not None and pace.late > pace.early and fixed < early:
        late = math.floor((left - (first.steps - step) * pace.early) / (pace.late - pace.early))
        least = math.ceil(LEAST_LATE_SHARE * first.steps)
        early = min(max(first.steps - late, fixed), max(first.steps - least, fixed))
        plan = Plan(first.steps, early)
    needed = pace.seconds(step, plan.steps, early)
    if abs(needed - left) <= TOLERANCE * left:
        return plan
    if pace.early is not None and needed > left and fixed < early:
        # The length with which the least share of full-size crops fills the time.
        mean = (1 - LEAST_LATE_SHARE) * pace.early + LEAST_LATE_SHARE * pace.late
        early = max(fixed, int((1 - LEAST_LATE_SHARE) * (left + step * pace.early) / mean))
    small = max(0, early - step)
    rest = left - pace.seconds(step, step + small, early)
    steps = step + small + math.floor(rest / (pace.late if rest >= 0 or pace.early is None else pace.early))
    steps = max(step + 1, min(steps, count_most(first.steps)))
    return Plan(steps, min(early, steps))


def count_most(steps: int) -> int:
    """Return to how many steps a plan may grow."""
    return math.ceil((1 + SPARE_SHARE) * steps)


def measure_step(trainer: pl.Trainer, model: StyleTraining, batch_size: int, size: int) -> float:
    """Measure a training step, without changing a weight.

    Args:
        trainer: Whose precision and device count.
        model: Prepared.
        batch_size: Photos per step.
        size: Side of the crops in pixels.

    Returns:
        Seconds, the median of some steps.
    """
    device = trainer.strategy.root_device
    model.to(device)
    model.network.to(memory_format=torch.channels_last)
    photos = to_unit(torch.randint(256, (batch_size, 3, size, size), dtype=torch.uint8)).to(device)
    # A rate of 0 leaves the weights as they are.
    optimizer = make_optimizer(model.optimizer, model.network.parameters(), 0.0)
    found = []
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        with trainer.strategy.precision_plugin.forward_context():
            terms = model.compute_terms(photos, 0)
        terms.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        # Reading a number waits for a GPU, which works asynchronously.
        float(terms.total.detach())
        found.append(time.perf_counter() - begin)
    optimizer.zero_grad(set_to_none=True)
    return statistics.median(found[1:])


def read_time(checkpoint: str) -> dict[str, Any]:
    """Read what a ``TimeKeeper`` wrote into a checkpoint.

    Raises:
        TrainError: If the file cannot be read, or its training had no time to keep.
    """
    found = AtomicCheckpointIO().load_checkpoint(checkpoint)["callbacks"].get(TimeKeeper.__qualname__)
    if found is None:
        raise TrainError(f"the run of '{checkpoint}' was begun without --minutes; go on without it, too")
    return dict(found)


class _Look(NamedTuple):
    """A moment: steps taken, the clock, and the seconds that the steps since the first look should have taken."""

    step: int
    seconds: float
    planned: float


class TimeKeeper(Callback):
    """Plan a training for a time, and keep it.

    Args:
        minutes: The time, from the command's beginning to the exported style.
        clock: Seconds, as ``time.perf_counter`` returns them.

    Attributes:
        plan: What is planned now; None before.
        pace: As it was measured.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total = 60 * minutes
        self.plan: Plan | None = None
        self.pace = Pace(1.0)
        self._clock = clock
        self._begin = clock()
        self._earlier = 0.0
        self._first_steps = 0
        self._looks: deque[_Look] = deque(maxlen=WINDOW + 1)

    @property
    def spent(self) -> float:
        """Seconds spent so far, those of the run that is resumed included."""
        return self._earlier + self._clock() - self._begin

    def begin(
        self, trainer: pl.Trainer, model: StyleTraining, photos: PhotoData, earlier: dict[str, Any] | None
    ) -> None:
        """Make the plan, or take that of a checkpoint, and set trainer and photos to it.

        Args:
            trainer: Before it begins.
            model: Prepared; it is compiled here where that pays.
            photos: Set up.
            earlier: What ``state_dict`` returned for the checkpoint that is resumed; None for a new training.

        Raises:
            TrainError: If the time is too short, or several processes train.
        """
        if trainer.world_size > 1:
            raise TrainError("--minutes measures one process; leave it out, or say --trainer.devices 1")
        if earlier is not None:
            self.load_state_dict(earlier)
        else:
            self._measure(trainer, model, photos)
        photos.spare_steps = count_most(self._first_steps) - self._require_plan().steps
        self._apply(trainer, photos)

    def _measure(self, trainer: pl.Trainer, model: StyleTraining, photos: PhotoData) -> None:
        batch, held_out = photos.batch_size, len(photos.held_out_paths)

        def measure() -> Pace:
            late = measure_step(trainer, model, batch, photos.image_size)
            early = measure_step(trainer, model, batch, photos.early_size) if photos.early_size else None
            # A validation has no backward pass, half of a step or more.
            return Pace(late, early, END_SECONDS + 0.5 * late * math.ceil(held_out / batch))

        self.pace = measure()
        plan = plan_steps(self.total - self.spent, self.pace)
        if should_compile(model.compile_mode, plan.steps):
            end = self.pace.end
            model.compile_network()
            self.pace = replace(measure(), end=end)
            plan = plan_steps(self.total - self.spent, self.pace)
        if plan.steps < LEAST_STEPS:
            needed = self.spent + self.pace.end + LEAST_STEPS * self.pace.late
            raise TrainError(
                f"--minutes is {self.total / 60:g}, which leaves {plan.steps} steps; give at least "
                f"{math.ceil(needed / 6) / 10:g}, or smaller crops with --data.image_size"
            )
        self.plan, self._first_steps = plan, plan.steps

    def describe(self, photos: PhotoData) -> str:
        """Say what will be done, for the run's first line."""
        plan, pace = self._require_plan(), self.pace
        if pace.early is None:
            sizes = f"at {photos.image_size} px, {pace.late:.2g} s each"
        else:
            sizes = (
                f"the first {plan.early_steps} at {photos.early_size} px, {pace.early:.2g} s each, the others at "
                f"{photos.image_size} px, {pace.late:.2g} s each"
            )
        return f"{self.total / 60:g} minutes, of which {self.spent / 60:.1f} are over: {plan.steps} steps, {sizes}"

    def state_dict(self) -> dict[str, Any]:
        """Return the plan, the pace and the time spent."""
        plan, pace = self._require_plan(), self.pace
        return {
            "steps": plan.steps,
            "first_steps": self._first_steps,
            "early_steps": plan.early_steps,
            "late_seconds": pace.late,
            "early_seconds": pace.early,
            "end_seconds": pace.end,
            "spent": self.spent,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them; the time between two runs does not count."""
        self.plan = Plan(state_dict["steps"], state_dict["early_steps"])
        self.pace = Pace(state_dict["late_seconds"], state_dict["early_seconds"], state_dict["end_seconds"])
        self._first_steps = state_dict["first_steps"]
        self._earlier = state_dict["spent"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare the pace with the plan every so many steps."""
        plan, step = self._require_plan(), trainer.global_step
        planned = self._looks[-1].planned if self._looks else 0.0
        if self._looks:
            last = self._looks[-1].step
            if step - last < max(1, plan.steps // LOOKS) or step >= plan.steps:
                return
            planned += self.pace.seconds(last, step, plan.early_steps)
        # The first look comes after the first step, in which processes that decode photos are started.
        self._looks.append(_Look(step, self._clock(), planned))
        since, now = self._looks[0], self._looks[-1]
        if since is now:
            return
        # As if the plan had been kept for a moment before, so that one slow step at the beginning does not count much.
        before = PRIOR_SHARE * self.total
        factor = (now.seconds - since.seconds + before) / (now.planned - since.planned + before)
        pace = Pace(
            factor * self.pace.late,
            None if self.pace.early is None else factor * self.pace.early,
            factor * self.pace.end,
        )
        photos: PhotoData = trainer.datamodule  # type: ignore[attr-defined]
        first = Plan(self._first_steps)
        self.plan = adapt_plan(plan, first, pace, step, self.total - self.spent, photos.steps_ahead)
        if self.plan != plan:
            self._apply(trainer, photos)

    def _apply(self, trainer: pl.Trainer, photos: PhotoData) -> None:
        plan = self._require_plan()
        photos.early_steps = plan.early_steps
        # A trainer's length is fixed by its constructor; nothing else of its loop has been told it before it begins.
        trainer.fit_loop.epoch_loop.max_steps = plan.steps
        # One validation, at the end.
        trainer.val_check_interval = trainer.val_check_batch = plan.steps
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, StyleProgressBar) and trainer.training:
                callback.show_length(trainer)
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, OneCycleLR):
                shorten(config.scheduler, plan.steps)

    def _require_plan(self) -> Plan:
        if self.plan is None:
            raise RuntimeError("begin was not called before the training")
        return self.plan
