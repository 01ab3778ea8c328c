"""How the commands of this folder end: errors, a full disk and Ctrl-C become one sentence and an exit code.

``export.cli`` does the work; here the errors of models and training are added. No torch is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export import cli
from models.errors import ModelFileError
from train.errors import TrainError

USER_ERRORS: tuple[type[Exception], ...] = (*cli.USER_ERRORS, ModelFileError, TrainError)
"""Errors whose message is one sentence for the user; any other is a bug and keeps its traceback."""


def run_command(work: Callable[[], int | None], stopped: Callable[[], str] | str = "stopped") -> int:
    """Do a command's work as ``export.cli.run_command`` does, with the errors of models and training, too."""
    return cli.run_command(work, stopped, USER_ERRORS)


@dataclass
class Progress:
    """How far a training that writes one file has come, for what is said after Ctrl-C.

    Args:
        product: What it writes at its end.
        checkpoint: Where its state is saved; None before the training begins.
        trained: Whether the last step is done.
    """

    product: str
    checkpoint: Path | None = None
    trained: bool = False

    def describe_stop(self) -> str:
        """Say what was written and how to go on."""
        if self.checkpoint is None or not (self.trained or self.checkpoint.exists()):
            return "stopped before the first checkpoint; there is nothing to go on from"
        when = f"before {self.product} was written" if self.trained else "in a step"
        return f"stopped {when}; go on with the same command and --ckpt_path last"
