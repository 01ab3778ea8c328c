"""What the commands of this folder share beyond ``export.cli``: their parser, their errors, quiet libraries.

Lightning and jsonargparse are imported by functions, so that ``--help`` of a command that needs neither is quick.
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
