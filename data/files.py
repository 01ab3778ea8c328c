"""Put finished files and folders in place by renaming, so that nobody ever sees half of one; standard library only."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path


class OutputError(OSError):
    """Nothing can be written where it was asked for; the message is one sentence for the user."""


def make_folder(folder: Path, flag: str = "--output") -> None:
    """Create a folder and write a file into it for a moment, so that no work is done for one that takes none.

    Args:
        folder: The folder; its parents are created, too.
        flag: What names it on the command line.

    Raises:
        OutputError: If there is a file of that name, or the folder cannot be created or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file, and a folder is needed; choose another {flag}")
    probe = _temporary(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise OutputError(
            f"folder '{folder}' cannot be written to ({error.strerror or error}); choose another {flag}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def require_absent(paths: Iterable[Path], overwrite: bool, flag: str = "--output") -> None:
    """Refuse to write over what is there.

    Args:
        paths: The files that will be written.
        overwrite: Whether they may be replaced.
        flag: What names them, or their folder, on the command line.

    Raises:
        OutputError: Naming the first that exists.
    """
    found = next((path for path in paths if path.exists()), None)
    if found is not None and not overwrite:
        raise OutputError(f"'{found}' exists; choose another {flag}, or say --overwrite")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it and rename it.

    Args:
        path: Where to; an existing file is replaced, and kept if anything fails.
        content: What it holds; text becomes UTF-8.

    Raises:
        OutputError: If it cannot be written.
    """
    partial = _temporary(path)
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    except OSError as error:
        remedy = "make room, or choose a place that you may write to and that has room"
        raise OutputError(f"'{path}' cannot be written ({error.strerror or error}); {remedy}") from error
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
