"""Write files and folders under temporary names and rename them when they are complete; standard library only."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


class OutputError(OSError):
    """Nothing can be written where it was asked for; the message is one sentence for the user."""


def make_folder(folder: Path, flag: str = "--output") -> None:
    """Create a folder and try to write a file into it, so that no work is done for a folder that cannot be written to.

    Args:
        folder: The folder; its parents are created, too.
        flag: The flag that names it on the command line.

    Raises:
        OutputError: If there is a file of that name, or the folder cannot be created or written to.
    """
    probe = _temporary(folder / "probe")
    made: list[Path] = []
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file, and a folder is needed; choose another {flag}")
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OutputError:
        raise
    except OSError as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise OutputError(
            f"folder '{folder}' cannot be written to ({error.strerror or error}); choose another {flag}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def try_folder(folder: Path, flag: str = "--output") -> None:
    """Make sure that a folder can be created and written to, as ``make_folder`` does, and leave no new one.

    Args:
        folder: The folder.
        flag: The flag that names it on the command line.

    Raises:
        OutputError: If it cannot.
    """
    absent = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder, flag)
    for place in absent:
        place.rmdir()


def require_absent(
    paths: Iterable[Path], overwrite: bool, flag: str = "--output", inputs: Iterable[Path | str | None] = ()
) -> None:
    """Refuse to overwrite existing files.

    Args:
        paths: The files that will be written.
        overwrite: Whether they may be replaced.
        flag: The flag that names them, or their folder, on the command line.
        inputs: Files that are read, which are never replaced; those that are None or absent do not count.

    Raises:
        OutputError: Naming the first that exists, or that is read.
    """
    existing = [path for path in paths if path.exists()]
    read = [Path(path) for path in inputs if path and Path(path).exists()]
    for path in existing:
        if any(path.samefile(other) for other in read):
            raise OutputError(f"'{path}' is also an input; choose another {flag}")
    found = next(iter(existing), None)
    if found is not None and not overwrite:
        raise OutputError(f"'{found}' exists; choose another {flag}, or pass --overwrite")


def require_only(folder: Path, written: Iterable[str], flag: str = "--output") -> None:
    """Make sure that nothing but what this program wrote is lost when a folder is replaced.

    Args:
        folder: The folder; symbolic links in it are not followed.
        written: Paths, relative to the folder, of all files that this program wrote there.
        flag: The flag that names the folder on the command line.

    Raises:
        OutputError: Naming a file of somebody else's, or a folder that cannot be listed.
    """
    known = {os.path.normpath(name) for name in written}

    def refuse(error: OSError) -> None:
        raise OutputError(f"'{error.filename}' cannot be listed ({error.strerror}); choose another {flag}") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for path in (Path(place, name) for name in sorted([*files, *links])):
            if os.path.relpath(path, folder) not in known:
                raise OutputError(
                    f"'{path}' was not written by this program, and '{folder}' would be replaced with all that is in "
                    f"it; move it away, or choose another {flag}"
                )


@contextlib.contextmanager
def stage_file(path: Path, partial: Path | None = None) -> Iterator[Path]:
    """Offer a temporary name beside a path; what the block wrote there takes the path when it ends.

    Args:
        path: The file to write; an existing one is replaced, and kept if anything fails.
        partial: The temporary name, where it is to be the same every time: what a killed process leaves is then
            written over. None for one that nobody else has.

    Yields:
        The temporary name; nothing of that name is left, whatever happens.

    Raises:
        OutputError: If the system refuses to write or to rename.
    """
    partial = partial or _temporary(path)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        _explain(error, partial, path)
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def stage_folder(output: Path) -> Iterator[Path]:
    """Create an empty folder beside a path; with what the block wrote into it, it takes the path when the block ends.

    Args:
        output: The folder to write; an existing one is replaced, and kept if anything fails. Of a symbolic link it
            is the folder that the link points to.

    Yields:
        The folder; it is removed if anything fails.

    Raises:
        OutputError: If the system refuses to write or to rename.
    """
    target = Path(os.path.realpath(output))
    here = Path.cwd()
    if target in {here, *here.parents}:
        raise OutputError(f"'{output}' is the folder that you are in, or holds it; go elsewhere, or choose another")
    partial = _temporary(target)
    try:
        partial.mkdir()
        yield partial
        _replace_folder(partial, target)
    except OSError as error:
        _explain(error, partial, output)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_whole(path: Path, content: bytes | memoryview | str, partial: Path | None = None) -> None:
    """Write a file under a temporary name beside it, make sure that all of it is on the disk, and rename it.

    Args:
        path: The file to write; an existing one is replaced, and kept if anything fails.
        content: Its content; text becomes UTF-8.
        partial: The temporary name, as in ``stage_file``.

    Raises:
        OutputError: If it cannot be written.
    """
    with stage_file(path, partial) as staged:
        data = content.encode() if isinstance(content, str) else content
        staged.write_bytes(data)
        # Some file systems find out only here that there is no room.
        with staged.open("rb+") as file:
            os.fsync(file.fileno())
        written = staged.stat().st_size
        if written != len(data):
            raise OSError(errno.ENOSPC, f"{written:,} of {len(data):,} bytes were written", str(staged))


def _replace_folder(finished: Path, output: Path) -> None:
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


def _explain(error: OSError, partial: Path, path: Path) -> None:
    """Raise OutputError with the path that the user knows, if the error is about that path or its temporary name."""
    # A copy that fails names its original first.
    named = [Path(name) for name in (error.filename, error.filename2) if name is not None]
    ours = not named or any(name == path or name.is_relative_to(partial) for name in named)
    if isinstance(error, OutputError) or not ours:
        return
    remedy = "make room, or choose a place that you may write to and that has room"
    raise OutputError(f"'{path}' cannot be written ({error.strerror or error}); {remedy}") from error


def _temporary(path: Path) -> Path:
    # Without the path's own name, which may be as long as the file system allows.
    return path.with_name(f".{secrets.token_hex(8)}.tmp")
