"""Lightning's parser with one-sentence errors, and libraries that print less; for fit, start and distill."""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from train.config_parser import SentenceParser


class StyleArgumentParser(SentenceParser, LightningArgumentParser):
    """Lightning's parser, whose complaint is one sentence in place of a page of usage.

    Args:
        args: Those of the base class.
        example: A whole command, told where a required flag is missing.
        options: Those of the base class.
    """

    def __init__(self, *args: Any, example: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.example = example

    def spell(self, name: str) -> str:
        """Return the flag of a setting, such as ``fit.trainer.max_steps``: without the subcommand."""
        return f"--{re.sub('^(fit|validate)[.]', '', name)}"


def quiet_libraries() -> None:
    """Switch off warnings of libraries that a user can do nothing about."""
    # Lightning gives advice that does not fit here: the loader has the workers that the decoding needs.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")
    warnings.filterwarnings("ignore", message=".*args parameter is intended.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    # Lightning uses deprecated names of its own libraries; the user can do nothing about it.
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="pytorch_lightning.*")
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
