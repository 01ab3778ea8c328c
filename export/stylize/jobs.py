"""Which picture each photo becomes, settled and checked before any work starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.files import require_absent
from data.images import ImageError, check_writable_format, list_images
from export.errors import ExportError


@dataclass(frozen=True)
class Job:
    """One photo file and the picture file that it becomes."""

    photo: Path
    output: Path


def plan(model: Path, photos: Sequence[Path], output: str | None, overwrite: bool = False) -> tuple[list[Job], bool]:
    """Decide what is written where.

    A folder's photos keep their sub-folders and names below the output folder; a format that is only read (``a.bmp``)
    becomes PNG (``a.bmp.png``). What an output folder inside a photo folder holds is not stylized again.

    Args:
        model: The ONNX file; its name is part of the default output's.
        photos: Photo files and folders.
        output: A picture file, or a folder if it exists as one, ends in a slash, or several photos are given; None for
            ``<photo>-<model>.<ending>`` beside a single photo.
        overwrite: Whether pictures that exist may be replaced; photos themselves never are.

    Returns:
        The jobs, and whether they go to a folder.

    Raises:
        ExportError: If a photo is absent, an output is missing, exists, or would be written twice or over a photo.
        OutputError: If an output is the model.
        ImageError: If a folder holds no photo, or the output's ending is not a format that can be written.
    """
    for photo in photos:
        if not photo.exists():
            raise ExportError(f"photo '{photo}' does not exist; name a JPEG or PNG file, or a folder of them")
    several = len(photos) > 1 or photos[0].is_dir()
    if output is None:
        if several:
            raise ExportError("several photos need an output folder; name one with --output pictures/")
        jobs = [Job(photos[0], photos[0].with_name(f"{photos[0].stem}-{model.stem}{writable_name(photos[0]).suffix}"))]
    elif several or output.endswith(("/", os.sep)) or Path(output).is_dir():
        several = True
        jobs = _plan_folder(photos, Path(output))
    else:
        jobs = [Job(photos[0], Path(output))]
        _check_file(jobs[0].output)
    require_absent([job.output for job in jobs], True, inputs=[model])
    _check_outputs(jobs, overwrite)
    return jobs, several


def writable_name(photo: Path) -> Path:
    """Return a photo's name, with ``.png`` added where its own format is only read."""
    try:
        check_writable_format(photo)
    except ImageError:
        return Path(f"{photo.name}.png")
    return Path(photo.name)


def _check_file(output: Path) -> None:
    check_writable_format(output)
    if not output.parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another --output")


def _plan_folder(photos: Sequence[Path], folder: Path) -> list[Job]:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"output '{folder}' is a file, and several photos need a folder; name one with --output")
    jobs = []
    for photo in photos:
        for found in list_images(photo) if photo.is_dir() else [photo]:
            if photo.is_dir() and _is_earlier_output(found, photo, folder):
                continue
            inside = found.relative_to(photo).parent if photo.is_dir() else Path()
            jobs.append(Job(found, folder / inside / writable_name(found)))
    if not jobs:
        raise ExportError(f"all photos lie in the output folder '{folder}'; choose another --output")
    return jobs


def _is_earlier_output(found: Path, photos: Path, folder: Path) -> bool:
    below = folder.resolve()
    return photos.resolve() in below.parents and below in found.resolve().parents


def _check_outputs(jobs: Sequence[Job], overwrite: bool) -> None:
    originals = {_identity(job.photo) for job in jobs}
    sources: dict[Path, Path] = {}
    existing = []
    for job in jobs:
        other = sources.setdefault(job.output, job.photo)
        if other is not job.photo:
            raise ExportError(f"'{other}' and '{job.photo}' would both become '{job.output}'; stylize them one by one")
        if not job.output.exists():
            continue
        if _identity(job.output) in originals:
            raise ExportError(f"output '{job.output}' is a photo that is read; choose another --output")
        existing.append(job.output)
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise ExportError(f"'{existing[0]}'{more} would be overwritten; pass --overwrite or choose another --output")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
