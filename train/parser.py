"""Lightning's parser with one-sentence errors, and libraries that print less; for fit and distill."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from pytorch_lightning.cli import LightningArgumentParser

from train.yaml_bound import find_unbounded


class StyleArgumentParser(LightningArgumentParser):
    """Lightning's parser, whose complaint is one sentence in place of a page of usage."""

    def parse_args(self, args: Sequence[str] | None = None, *further: Any, **options: Any) -> Any:  # type: ignore[override]
        """Parse a command line as the base class does, if its values are of bounded size."""
        unbounded = find_unbounded(sys.argv[1:] if args is None else args)
        if unbounded is not None:
            self.error(unbounded)
        return super().parse_args(args, *further, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong and leave with exit code 2."""
        if os.environ.get("JSONARGPARSE_DEBUG"):
            super().error(message, ex)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)


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
