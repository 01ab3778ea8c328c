"""Checkpoints that survive a kill at any moment, and Ctrl-C that loses nothing."""

from __future__ import annotations

import contextlib
import hashlib
import io
import signal
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from data.files import write_whole
from models.archive import load_archive
from train.cli import USER_ERRORS
from train.errors import TrainError, require_at_least

CHECKSUM = "checksum"
"""Name of a checkpoint's entry that holds the SHA-256 of all others."""


@contextlib.contextmanager
def raise_interrupts() -> Iterator[None]:
    """Make Ctrl-C a ``KeyboardInterrupt`` for the code that runs a trainer, and restore its and SIGTERM's handlers.

    Lightning exits with code 1 in its place, and ignores the signal from then on.

    Raises:
        KeyboardInterrupt: After Ctrl-C, whether the step was finished first or not.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    # With SIGTERM Lightning leaves with code 0, as if the training were finished.
    except (Interrupted, SIGTERMException):
        raise KeyboardInterrupt from None
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextlib.contextmanager
def explain_misfit(path: str | None, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Turn what libraries raise while they restore a state that is not a training's into one sentence.

    Args:
        path: The checkpoint that is restored; None for none.
        has_begun: Tells whether all of it was restored, and the work has begun.

    Raises:
        TrainError: If the block fails before that.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        if path is None or has_begun() or isinstance(error, USER_ERRORS):
            raise
        raise TrainError(
            f"checkpoint '{path}' does not fit: what it holds cannot be restored ({type(error).__name__}); go on from "
            "a copy of it, or start anew with --overwrite true"
        ) from error


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
        # In memory first: of a full disk torch.save says only that its archive has an unexpected position.
        content = io.BytesIO()
        torch.save({**checkpoint, CHECKSUM: compute_checksum(checkpoint)}, content)
        write_whole(target, content.getbuffer(), target.with_name(target.name + ".tmp"))

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, always with ``weights_only=True``: no checkpoint of this trainer needs more.

        Raises:
            TrainError: If there is no such file, it is not a checkpoint of this trainer, or it is not as it was
                written.
        """
        if not Path(path).is_file():
            raise TrainError(f"checkpoint '{path}' does not exist; name the last.ckpt of a run folder")
        try:
            loaded: dict[str, Any] = load_archive(Path(path))
        except Exception as error:  # torch.load raises whatever its pickle and its archive reader raise
            raise TrainError(
                f"checkpoint '{path}' cannot be read: it is damaged, or another program wrote it; name the last.ckpt "
                "of a run folder"
            ) from error
        if not isinstance(loaded, dict) or "random_state" not in loaded:
            raise TrainError(f"'{path}' is not a checkpoint of this trainer; name the last.ckpt of a run folder")
        # Versions up to 0.2.0 wrote no checksum; the archive has one of each of its records.
        written = loaded.pop(CHECKSUM, None)
        intact = _is_archive_intact(Path(path)) if written is None else written == compute_checksum(loaded)
        if not intact or not _is_complete(loaded):
            raise TrainError(
                f"checkpoint '{path}' is damaged: it is not as it was written; go on from a copy of it, or start anew "
                "with --overwrite true"
            )
        return loaded


def compute_checksum(checkpoint: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of all that a checkpoint holds, its tensors of any device and its plain values."""
    digest = hashlib.sha256()
    _add(digest, {name: value for name, value in checkpoint.items() if name != CHECKSUM})
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        data = value.detach().cpu().contiguous()
        digest.update(f"tensor {data.dtype} {tuple(data.shape)}\n".encode())
        digest.update(data.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        digest.update(f"mapping {len(value)}\n".encode())
        for name, part in value.items():
            _add(digest, name)
            _add(digest, part)
    elif isinstance(value, list | tuple):
        digest.update(f"sequence {len(value)}\n".encode())
        for part in value:
            _add(digest, part)
    else:
        # repr gives every bit of a float back; of a set, the order may be another.
        text = repr(sorted(map(repr, value)) if isinstance(value, set | frozenset) else value)
        digest.update(f"value {len(text)} {text}\n".encode(errors="backslashreplace"))


def _is_archive_intact(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return False


def _is_complete(loaded: Mapping[str, Any]) -> bool:
    """Tell whether the entries that Lightning reads are there, and of their kinds."""
    kinds = {
        "state_dict": Mapping,
        "global_step": int,
        "epoch": int,
        "loops": Mapping,
        "callbacks": Mapping,
        "optimizer_states": list,
        "lr_schedulers": list,
        "pytorch-lightning_version": str,
    }
    return all(isinstance(loaded.get(name), kind) for name, kind in kinds.items()) and all(
        isinstance(value, torch.Tensor) for value in loaded["state_dict"].values()
    )


def require_same(saved: Mapping[str, Any], now: Mapping[str, Any], names: Mapping[str, str], inputs: str) -> None:
    """Refuse to go on from a checkpoint with other settings than it was made with, as far as it tells them.

    Args:
        saved: Settings in the checkpoint.
        now: Those of this run.
        names: What a setting is called where that is not ``--model.`` and its name.
        inputs: What the settings tell of beside ``config.yaml``: ``config.yaml and photos``.

    Raises:
        TrainError: Naming the first one that differs.
    """
    for key, value in saved.items():
        if now.get(key) != value:
            name = names.get(key, f"--model.{key}")
            raise TrainError(
                f"the checkpoint was made with another {name} ({value}, now {now.get(key)}); resume "
                f"with the run's own {inputs}, or start a new run"
            )


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
        begun: Whether training or validating has begun, all state being restored.
    """

    def __init__(self, every_n_steps: int = 100) -> None:
        require_at_least(1, checkpoint__every_n_steps=every_n_steps)
        self.every_n_steps = every_n_steps
        self.path = Path("last.ckpt")
        self.saved_step: int | None = None
        self.begun = False
        self._asked_to_stop = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Handle Ctrl-C and SIGTERM: the step under way is finished first, so that a complete state is saved."""
        self.begun = True
        resumed = trainer.ckpt_path is not None and Path(trainer.ckpt_path).resolve() == self.path.resolve()
        self.saved_step = trainer.global_step if resumed else None
        # Of several processes each would hear the signal at another step, and wait for the others forever.
        if trainer.world_size == 1:
            # Lightning gives back the handlers of before the training, or where it fails ``raise_interrupts``.
            signal.signal(signal.SIGINT, self._ask_to_stop)
            signal.signal(signal.SIGTERM, self._ask_to_stop)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that a validation without training has begun."""
        self.begun = True

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

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save once more where Lightning ended before the last step, as ``--trainer.max_time`` makes it."""
        step = trainer.global_step
        if step and self.saved_step != step:
            trainer.save_checkpoint(self.path)
            self.saved_step = step
        if step < trainer.max_steps and trainer.is_global_zero:
            print(
                f"\nended at step {step} of {trainer.max_steps}, before the learning rate fell to its end; go on with "
                f"--ckpt_path last, and a longer --trainer.max_time or null",
                flush=True,
            )
