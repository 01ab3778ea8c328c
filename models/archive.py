"""Files that ``torch.save`` writes, read within bounds: tensors and plain values only, of the size of the file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

MAX_EXPANSION = 2
"""How many times the size of its file the content may have; PyTorch does not compress."""


def load_archive(path: Path) -> Any:
    """Read what a ``.pth`` or ``.ckpt`` file holds, onto the CPU.

    Args:
        path: A file that ``torch.save`` wrote.

    Raises:
        ValueError: If the content was compressed to a fraction of its size, holds more than tensors and plain values,
            or is a TorchScript archive.
        Exception: Whatever ``torch.load`` raises for a file of another kind.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        size, content = path.stat().st_size, sum(member.file_size for member in members)
        if content > MAX_EXPANSION * size:
            raise ValueError(
                f"it holds {content:,} bytes compressed into {size:,}, and at most {MAX_EXPANSION} times its size is "
                "accepted"
            )
        if any(member.filename.partition("/")[2] == "constants.pkl" for member in members):
            raise ValueError("it is a TorchScript archive, where the state dict of a model is needed")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's message advises to read such a file without protection.
        if "weights_only" in str(error):
            raise ValueError("it holds more than tensors and plain values, or is damaged") from error
        raise
