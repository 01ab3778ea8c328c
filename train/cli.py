"""How the commands of this folder end: errors, a full disk and Ctrl-C become one sentence and an exit code.

``export.cli`` does the work; here the errors of models and training are added. No torch is imported.
"""

from __future__ import annotations

from collections.abc import Callable

from export import cli
from models.errors import ModelFileError
from train.errors import TrainError

USER_ERRORS: tuple[type[Exception], ...] = (*cli.USER_ERRORS, ModelFileError, TrainError)
"""Errors whose message is one sentence for the user; any other is a bug and keeps its traceback."""


def run_command(work: Callable[[], int | None], stopped: Callable[[], str] | str = "stopped") -> int:
    """Do a command's work as ``export.cli.run_command`` does, with the errors of models and training, too."""
    return cli.run_command(work, stopped, USER_ERRORS)
