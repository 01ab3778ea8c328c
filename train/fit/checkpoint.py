"""Checkpoints that survive a kill at any moment, and Ctrl-C that loses nothing."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins import TorchCheckpointIO

from train.errors import TrainError, require_at_least


@contextlib.contextmanager
def raise_interrupts() -> Iterator[None]:
    """Make Ctrl-C a ``KeyboardInterrupt`` for the code that runs a trainer, and restore the signal's handler.

    Lightning exits with code 1 in its place, and ignores the signal from then on.

    Raises:
        KeyboardInterrupt: After Ctrl-C, whether the step was finished first or not.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except Interrupted:
        raise KeyboardInterrupt from None
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


def find_checkpoint(given: str | None, latest: Path) -> str | None:
    """Resolve ``--ckpt_path``: ``last`` means the checkpoint in the run's folder.

    Args:
        given: What was typed, if anything.
        latest: ``last.ckpt`` of the run.

    Returns:
        The path of a file, or None if none was asked for.

    Raises:
        TrainError: If there is no such file, or for ``best`` and other words of Lightning's for checkpoints that are
            not kept here.
    """
    if given == "last":
        if not latest.is_file():
            raise TrainError(f"'{latest.parent}' holds no last.ckpt; name a checkpoint, or leave --ckpt_path out")
        return str(latest)
    if given in {"best", "hpc"} or str(given).startswith("registry"):
        raise TrainError(f"--ckpt_path is '{given}', but only the latest is kept; say --ckpt_path last, or name a file")
    if given is not None and "://" not in given and not Path(given).exists():
        raise TrainError(f"checkpoint '{given}' does not exist; say --ckpt_path last, or name a file")
    return given


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint under a temporary name, flush it to the disk, and rename it; read only plain tensors."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Replace ``path`` in one step: at any moment it is the old checkpoint or the new one, whole."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".tmp")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, always with ``weights_only=True``: no checkpoint of this trainer needs more.

        Raises:
            TrainError: If there is no such file, or it is not a checkpoint of this trainer.
        """
        if not Path(path).is_file():
            raise TrainError(f"checkpoint '{path}' does not exist; name the last.ckpt of a run folder")
        try:
            loaded: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        except Exception as error:  # torch.load raises whatever its pickle and its archive reader raise
            raise TrainError(
                f"checkpoint '{path}' cannot be read: it is damaged, or another program wrote it; name the last.ckpt "
                "of a run folder"
            ) from error
        if not isinstance(loaded, dict) or "random_state" not in loaded:
            raise TrainError(f"'{path}' is not a checkpoint of this trainer; name the last.ckpt of a run folder")
        return loaded


class Interrupted(Exception):  # noqa: N818  (not an error: the user asked for it)
    """Ctrl-C was pressed, and the checkpoint of the step that was under way is written."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}")


class LatestCheckpoint(Checkpoint):
    """Keep the latest state in one file, and save it once more at the end and on Ctrl-C.

    Args:
        every_n_steps: Steps between two checkpoints.

    Attributes:
        path: The file.
        saved_step: Step of the state that it holds; None as long as this run has none.
    """

    def __init__(self, every_n_steps: int = 100) -> None:
        require_at_least(1, checkpoint__every_n_steps=every_n_steps)
        self.every_n_steps = every_n_steps
        self.path = Path("last.ckpt")
        self.saved_step: int | None = None
        self._asked_to_stop = False
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Handle Ctrl-C: the step under way is finished first, so that a complete state is saved."""
        resumed = trainer.ckpt_path is not None and Path(trainer.ckpt_path).resolve() == self.path.resolve()
        self.saved_step = trainer.global_step if resumed else None
        # Of several processes each would hear the signal at another step, and wait for the others forever.
        if trainer.world_size == 1:
            self._previous = signal.signal(signal.SIGINT, self._ask_to_stop)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self._asked_to_stop:
            raise KeyboardInterrupt
        self._asked_to_stop = True
        print("\nstopping after this step; press Ctrl-C again to stop at once", flush=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time."""
        step = trainer.global_step
        if self._asked_to_stop or step % self.every_n_steps == 0 or step == trainer.max_steps:
            trainer.save_checkpoint(self.path)
            self.saved_step = step
        if self._asked_to_stop and step < trainer.max_steps:
            raise Interrupted(step)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give Ctrl-C back."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
