"""Write tensors into a ``.safetensors`` file, all or nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write a file under a temporary name beside it, make sure that it is on the disk, and rename it.

    Args:
        path: Where to; an existing file is replaced.
        tensors: Contiguous, on the CPU, by name.
        header: The file's metadata.

    Raises:
        OSError: If it cannot be written, with ``path`` as its file name; an existing file is kept.
    """
    partial = path.with_name(path.name + ".tmp")
    try:
        # Not save_file, whose files only their owner may read: a web server could not.
        with partial.open("wb") as file:
            file.write(save(dict(tensors), metadata=dict(header)))
            file.flush()
            # Some file systems find out only here that there is no room.
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        partial.unlink(missing_ok=True)
