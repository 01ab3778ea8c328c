"""The folder that a run leaves behind, ``runs/<name>/``, and who may write to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from train.errors import TrainError


@dataclass(frozen=True)
class RunFolder:
    """Where each product of a run lies.

    Args:
        path: ``runs/<name>``.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The whole configuration, ready to be run again."""
        return self.path / "config.yaml"

    @property
    def checkpoint(self) -> Path:
        """The latest state, to resume from."""
        return self.path / "last.ckpt"

    @property
    def weights(self) -> Path:
        """The trained network, with its card in the header."""
        return self.path / "style.safetensors"

    @property
    def onnx(self) -> Path:
        """The exported network."""
        return self.path / "style.onnx"

    @property
    def previews(self) -> Path:
        """Before-and-after sheets, one for every so many steps."""
        return self.path / "previews"

    @property
    def metrics(self) -> Path:
        """The losses as a table, one row for every so many steps."""
        return self.path / "metrics.csv"

    def list_events(self) -> list[Path]:
        """List TensorBoard's files."""
        return sorted((self.path / "tensorboard").glob("events.*"))

    def require_free(self) -> None:
        """Make sure that no earlier run lies here, before anything is computed.

        Raises:
            TrainError: If one does.
        """
        found = next((file for file in (self.weights, self.checkpoint) if file.exists()), None)
        if found is not None:
            resume = f"continue it with --ckpt_path {self.checkpoint}, " if self.checkpoint.exists() else ""
            raise TrainError(
                f"'{self.path}' already holds a run; {resume}choose another --name, or say --overwrite true"
            )

    def clear(self) -> None:
        """Remove the files of an earlier run that this one will write again."""
        for file in (self.checkpoint, self.weights, self.onnx, *self.previews.glob("*.png"), *self.list_events()):
            file.unlink(missing_ok=True)


def describe_file(path: Path) -> str:
    """Name a file so that another person can tell whether theirs is the same: its name and SHA-256."""
    with path.open("rb") as file:
        return f"{path.name}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
