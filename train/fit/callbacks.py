"""Callbacks that show how a run proceeds, and stop one that goes wrong."""

from __future__ import annotations

import csv
import io
import math
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from data.files import write_whole
from data.images import contact_sheet, encode, from_array
from data.photos import Failures, PhotoBatch, to_uint8, to_unit
from export.terminal import make_printable
from models.network import StyleNetwork
from models.strength import MOST_STRENGTH
from train.compute.precision import FLOAT32
from train.errors import TrainError, require_at_least
from train.fit.datamodule import PhotoData
from train.fit.module import TERMS
from train.fit.run_folder import RunFolder
from train.fit.schedule import LEARNING_RATE

CORRUPT_SHARE = 0.05
"""Largest share of photos that may be unreadable; a folder with more is probably the wrong one."""

FEW_CORRUPT = 3
"""Number of photos that may be unreadable in a small folder, if they are no more than half of it."""

SAMPLE_FOR_SHARE = 200
"""Number of photos from which the share of unreadable ones is computed before all were seen."""


PREVIEWED_STRENGTHS = (0.25, 0.5, 0.75, 1.0, MOST_STRENGTH)
"""Strengths that a sheet shows of a style with strength, one below the other."""


class LossGuard(Callback):
    """Write the losses to ``metrics.csv``, and stop a run whose loss becomes NaN or infinite, or never falls.

    The losses stay on the device and are fetched together, so that no step waits for them.

    Args:
        every_n_steps: Steps between two checks, each of which writes a row of ``metrics.csv``.
        patience: Steps within which the loss must have fallen by 2 %.

    Attributes:
        must_fall: Whether to stop a run whose loss never falls; off where it starts from a trained style.
    """

    FIELDS = ("step", *TERMS, "learning_rate")

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
        """Return the first loss, and whether it has fallen since."""
        return {"first_loss": self.first_loss, "has_fallen": self.has_fallen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the first loss, and whether it has fallen since."""
        self.first_loss = state_dict["first_loss"]
        self.has_fallen = state_dict["has_fallen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the table; drop rows that a killed run wrote after the checkpoint."""
        if self.path is None or not trainer.is_global_zero:
            return
        rows: list[dict[str, str]] = []
        # A checkpoint of another run goes on with none of this folder's rows.
        if self.path.exists() and RunFolder(self.path.parent).is_resumed(trainer.ckpt_path):
            with self.path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if _is_until(row, trainer.global_step)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = io.StringIO(newline="")
        # Columns that an older version wrote are dropped, and those that it did not write are empty.
        table = csv.DictWriter(text, self.FIELDS, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
        write_whole(self.path, text.getvalue())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect the losses of this step; check them every so many steps."""
        self._waiting.append(outputs["terms"])
        if trainer.global_step % self.every_n_steps == 0 or trainer.global_step == trainer.max_steps:
            self._look(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check before a checkpoint replaces an earlier one."""
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
    """Report each unreadable photo once, and stop a run that has too many."""

    def __init__(self) -> None:
        self.corrupt: set[str] = set()
        self.held_out: set[str] = set()
        self.seen = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the unreadable photos so far."""
        return {"corrupt": sorted(self.corrupt), "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the unreadable photos."""
        self.corrupt = set(state_dict["corrupt"])
        self.seen = state_dict["seen"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report unreadable held-out photos; all are read before the first step."""
        self._name(_photo_data(trainer).held_out_failures, self.held_out)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report unreadable held-out photos in a validation without training."""
        self._name(_photo_data(trainer).held_out_failures, self.held_out)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: PhotoBatch, batch_idx: int
    ) -> None:
        """Report the photos of this batch that could not be decoded."""
        photos = _photo_data(trainer)
        total = len(photos.training_paths)
        self.seen = min(self.seen + len(batch.photos), total)
        self._name(batch.failures, self.corrupt)
        known = self.seen if self.seen >= SAMPLE_FOR_SHARE else total
        if len(self.corrupt) > max(CORRUPT_SHARE * known, min(FEW_CORRUPT, known / 2)):
            raise TrainError(
                f"{len(self.corrupt)} of {known} photos in '{photos.photos}' cannot be read, more than "
                f"{CORRUPT_SHARE:.0%}; look at '{min(self.corrupt)}', and remove them, or name another folder with "
                "--data.photos"
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print how many photos were skipped in all."""
        count = len(self.corrupt) + len(self.held_out)
        if count and trainer.is_global_zero:
            print(f"photos that could not be read and were skipped: {count}", file=sys.stderr)

    def _name(self, failures: Failures, known: set[str]) -> None:
        for path, reason in failures:
            if path not in known:
                known.add(path)
                count = len(self.corrupt) + len(self.held_out)
                print(f"\nskipped ({count} so far): {make_printable(reason)}", file=sys.stderr, flush=True)


class Preview(Callback):
    """Draw a sheet of held-out photos above what the network makes of them now, at several strengths if it has them.

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
        """Draw every so many steps, and twice early in the run, so that the first result is soon seen."""
        step = trainer.global_step
        early = step in (self.every_n_steps // 10, self.every_n_steps // 2)
        if trainer.is_global_zero and (early or step % self.every_n_steps == 0 or step == trainer.max_steps):
            self._draw(trainer, pl_module)

    @torch.no_grad()
    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._photos is None:
            self._photos = to_unit(_photo_data(trainer).preview_photos(self.count).photos)
        rows = [[to_uint8(photo) for photo in self._photos]]
        network: StyleNetwork = pl_module.network  # type: ignore[assignment]
        for strength in PREVIEWED_STRENGTHS if network.config.strength else (1.0,):
            # One by one and not compiled: a sheet of another size must not make the training step compile anew.
            after = [network(photo[None].to(pl_module.device), strength=strength)[0] for photo in self._photos]
            rows.append([to_uint8(picture.clamp(0, 1).cpu()) for picture in after])
        sheet = contact_sheet(rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        encode(from_array(sheet), self.folder / f"step-{trainer.global_step:06d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("preview", sheet, trainer.global_step, dataformats="HWC")


class StyleProgressBar(TQDMProgressBar):
    """One bar for the whole run, with the losses beside it."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refresh rarely on a GPU, where reading a loss makes the step wait."""
        super().setup(trainer, pl_module, stage)
        if trainer.strategy.root_device.type != "cpu":
            self._refresh_rate = max(self._refresh_rate, 20)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Name the bar after what it counts."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description("training")
        self.show_length(trainer)

    def show_length(self, trainer: pl.Trainer) -> None:
        """Show the number of steps of the run, which may be less than there are photos for."""
        if trainer.max_steps > 0:
            self.train_progress_bar.total = trainer.max_steps

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the losses, without Lightning's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


def _is_until(row: dict[str, str], step: int) -> bool:
    """Tell whether a row of ``metrics.csv`` is of this step or an earlier one; a kill may have cut the last row."""
    written = row["step"] or ""
    return written.isdecimal() and len(written) < 20 and int(written) <= step


def _photo_data(trainer: pl.Trainer) -> PhotoData:
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(datamodule, PhotoData):
        raise TypeError("this callback works with PhotoData; pass it to trainer.fit as datamodule")
    return datamodule
