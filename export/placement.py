"""Put finished files and folders in place by renaming, so that nobody ever sees half of one; standard library only."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it and rename it.

    Args:
        path: Where to; an existing file is replaced, and kept if anything fails.
        content: What it holds; text becomes UTF-8.

    Raises:
        OSError: If it cannot be written.
    """
    partial = _temporary(path)
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def replace_folder(finished: Path, output: Path) -> None:
    """Rename a finished folder to where it belongs.

    Args:
        finished: The folder, on the same disk.
        output: Where to; an existing folder is replaced, and kept if anything fails.

    Raises:
        OSError: If it cannot be renamed.
    """
    if not output.exists():
        finished.rename(output)
        return
    # Two renames rather than a deletion first, so that the folder is missing for a moment only.
    former = _temporary(output)
    output.rename(former)
    try:
        finished.rename(output)
    except BaseException:
        former.rename(output)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
