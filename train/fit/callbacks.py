"""What the user sees of a run, and what stops one that goes wrong."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from data.images import contact_sheet, encode, from_array
from data.photos import Failures, PhotoBatch, to_uint8, to_unit
from train.compute.precision import FLOAT32
from train.errors import TrainError, require_at_least
from train.fit.datamodule import PhotoData
from train.fit.module import LEARNING_RATE
from train.fit.run_folder import RunFolder

CORRUPT_SHARE = 0.05
"""A folder of which more than this share cannot be read is not what the user believes it to be."""

SAMPLE_FOR_SHARE = 200
"""Photos after which the share of corrupt ones is believed, though the folder holds many more."""


class LossGuard(Callback):
    """Write the losses down, and stop a run whose loss is no number any more or never falls.

    The losses wait on the device and are fetched together, so that no step waits for them.

    Args:
        every_n_steps: Steps between two looks, and between two rows of ``metrics.csv``.
        patience: Steps within which the loss must have fallen by 2 %.

    Attributes:
        must_fall: Stop a run whose loss never falls; that of a finished style need not fall any further.
    """

    FIELDS = ("step", "loss", "content", "style", "tv", "grid", "learning_rate")

    def __init__(self, every_n_steps: int = 10, patience: int = 500) -> None:
        require_at_least(1, guard__every_n_steps=every_n_steps, guard__patience=patience)
        self.every_n_steps = every_n_steps
        self.patience = patience
        self.path: Path | None = None
        self.first_loss: float | None = None
        self.must_fall = True
        self.has_fallen = False
        self._waiting: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        """Return what the guard knows."""
        return {"first_loss": self.first_loss, "has_fallen": self.has_fallen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know it again."""
        self.first_loss = state_dict["first_loss"]
        self.has_fallen = state_dict["has_fallen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the table, or drop the rows beyond the checkpoint that a killed run had still written."""
        if self.path is None or not trainer.is_global_zero:
            return
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.global_step]
        with self.path.open("w", newline="") as file:
            table = csv.DictWriter(file, self.FIELDS)
            table.writeheader()
            table.writerows(rows)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect the losses of this step, and look at them when it is time."""
        self._waiting.append(outputs["terms"])
        if trainer.global_step % self.every_n_steps == 0 or trainer.global_step == trainer.max_steps:
            self._look(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look before a checkpoint replaces a good one."""
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        if not self._waiting:
            return
        terms = torch.stack(self._waiting).mean(0).tolist()
        self._waiting.clear()
        step, loss = trainer.global_step, terms[0]
        if not math.isfinite(loss):
            # A resumed run takes its learning rates from the checkpoint: only the precision can be another.
            saved = self.path is not None and RunFolder(self.path.parent).checkpoint.is_file()
            resume = "go on with --ckpt_path last --trainer.precision 32-true, or "
            raise TrainError(
                f"the loss is {loss} at step {step}; {resume if saved and trainer.precision != FLOAT32 else ''}"
                "start anew with a lower --model.learning_rate and --overwrite true"
            )
        if self.first_loss is None:
            self.first_loss = loss
        self.has_fallen = self.has_fallen or loss < 0.98 * self.first_loss
        if self.must_fall and step >= self.patience and not self.has_fallen:
            raise TrainError(
                f"the loss was {self.first_loss:.4g} at the start and is {loss:.4g} after {step} steps: it does "
                f"not fall; try another --model.learning_rate ({LEARNING_RATE:g} suits most styles) "
                "and look at the previews"
            )
        if self.path is not None and trainer.is_global_zero:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            with self.path.open("a", newline="") as file:
                csv.writer(file).writerow([step, *(f"{value:.6g}" for value in terms), f"{rate:.6g}"])


class PhotoHealth(Callback):
    """Name each photo that cannot be read, once, and stop when too many cannot."""

    def __init__(self) -> None:
        self.corrupt: set[str] = set()
        self.held_out: set[str] = set()
        self.seen = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the names found so far."""
        return {"corrupt": sorted(self.corrupt), "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know them again."""
        self.corrupt = set(state_dict["corrupt"])
        self.seen = state_dict["seen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Name the held-out photos that were left out; they are all read before the first step."""
        self._name(_photo_data(trainer).held_out_failures, self.held_out)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Name them where nothing is trained."""
        self._name(_photo_data(trainer).held_out_failures, self.held_out)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_idx: int
    ) -> None:
        """Look at what the decoding of this batch met with."""
        photos = _photo_data(trainer)
        total = len(photos.training_paths)
        self.seen = min(self.seen + len(batch.photos), total)
        self._name(batch.failures, self.corrupt)
        known = self.seen if self.seen >= SAMPLE_FOR_SHARE else total
        if len(self.corrupt) > CORRUPT_SHARE * known:
            raise TrainError(
                f"{len(self.corrupt)} of {known} photos in '{photos.photos}' cannot be read, more than "
                f"{CORRUPT_SHARE:.0%}; look at '{min(self.corrupt)}', and name a whole folder with --data.photos"
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how many were skipped in all."""
        count = len(self.corrupt) + len(self.held_out)
        if count and trainer.is_global_zero:
            print(f"photos that could not be read and were skipped: {count}", file=sys.stderr)

    def _name(self, failures: Failures, known: set[str]) -> None:
        for path, reason in failures:
            if path not in known:
                known.add(path)
                count = len(self.corrupt) + len(self.held_out)
                print(f"\nskipped ({count} so far): {reason}", file=sys.stderr, flush=True)


class Preview(Callback):
    """Draw a sheet of held-out photos, before above and after below, as the network paints them now.

    Args:
        every_n_steps: Steps between two sheets.
        count: Number of photos on a sheet.
    """

    def __init__(self, every_n_steps: int = 100, count: int = 4) -> None:
        require_at_least(1, preview__every_n_steps=every_n_steps, preview__count=count)
        self.every_n_steps = every_n_steps
        self.count = count
        self.folder = Path("previews")
        self._photos: Tensor | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw when it is time; the first sheet comes early, to show that something happens."""
        step = trainer.global_step
        early = step in (self.every_n_steps // 10, self.every_n_steps // 2)
        if trainer.is_global_zero and (early or step % self.every_n_steps == 0 or step == trainer.max_steps):
            self._draw(trainer, pl_module)

    @torch.no_grad()
    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._photos is None:
            self._photos = to_unit(_photo_data(trainer).preview_photos(self.count).photos)
        # One by one and not compiled: a sheet of another size must not make the training step compile anew.
        network = pl_module.network
        after = [network(photo[None].to(pl_module.device)).clamp(0, 1).cpu() for photo in self._photos]  # type: ignore[operator]
        rows = [[to_uint8(photo) for photo in self._photos], [to_uint8(picture[0]) for picture in after]]
        sheet = contact_sheet(rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        encode(from_array(sheet), self.folder / f"step-{trainer.global_step:06d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("preview", sheet, trainer.global_step, dataformats="HWC")


class StyleProgressBar(TQDMProgressBar):
    """One bar for the whole run: steps done, time left, and the losses apart."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refresh rarely on a GPU, where every look at a loss makes the step wait for it."""
        super().setup(trainer, pl_module, stage)
        if trainer.strategy.root_device.type != "cpu":
            self._refresh_rate = max(self._refresh_rate, 20)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Name the bar after what it counts."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description("training")

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the losses, without Lightning's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


def _photo_data(trainer: pl.Trainer) -> PhotoData:
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(datamodule, PhotoData):
        raise TypeError("this callback works with PhotoData; pass it to trainer.fit as datamodule")
    return datamodule
