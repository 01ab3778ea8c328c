"""Which picture each photo becomes, settled and checked before any work starts."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.files import require_absent
from data.images import EXTENSIONS, ImageError, check_writable_format, decode, walk_images
from export.errors import ExportError
from export.stylize.standard import NAME, STANDARD

_SHORT_ENDINGS = {"JPEG": ".jpg", "HEIF": ".heic"}


@dataclass(frozen=True)
class Job:
    """One photo file and the picture file that it becomes; ``STANDARD`` for standard input and standard output."""

    photo: Path
    output: Path


class FolderJobs:
    """The jobs of an output folder, looked up anew for each iteration, so that millions of photos take no memory.

    Args:
        photos: Photo files, and folders of them.
        folder: The output folder.
        kind: Format of all pictures, one of ``data.images.WRITABLE``; None for each photo's own.
    """

    def __init__(self, photos: Sequence[Path], folder: Path, kind: str | None = None) -> None:
        self.photos = tuple(photos)
        self.folder = folder
        self._kind = kind
        self._count = 0

    def __iter__(self) -> Iterator[Job]:
        """Yield every job; ImageError when a folder is met that cannot be read or holds no photo."""
        for _, job in self._number():
            yield job

    def __len__(self) -> int:
        """Return how many jobs ``check`` has found."""
        return self._count

    def check(self, models: Sequence[Path], may_exist: bool, watch: Callable[[], object] | None = None) -> None:
        """Look every job up once, and count them.

        Args:
            models: The ONNX files that are read.
            may_exist: Whether pictures may exist.
            watch: Called for every photo.

        Raises:
            ExportError: If there is none, or a picture would be written twice, over a photo, or exists and may not.
            OutputError: If a picture is a model.
            ImageError: If a folder cannot be read or holds no photo.
        """
        self._count = existing = 0
        first = self.folder
        for index, job in self._number():
            self._count += 1
            if watch:
                watch()
            rival = next(self._find_rivals(index, job), None)
            if rival is not None:
                raise ExportError(
                    f"'{job.photo}' and '{rival}' would both become '{job.output}'; stylize them one by one"
                )
            if job.output.exists():
                require_absent([job.output], True, inputs=models)
                if self._is_photo(job.output):
                    raise ExportError(f"output '{job.output}' is a photo that is read; choose another --output")
                first = first if existing else job.output
                existing += 1
        if not self._count:
            raise ExportError(f"all photos lie in the output folder '{self.folder}'; choose another --output")
        if existing and not may_exist:
            _refuse_existing(first, existing)

    def _number(self) -> Iterator[tuple[int, Job]]:
        """Yield every job with the index of what it came from."""
        for index, photo in enumerate(self.photos):
            if not photo.is_dir():
                yield index, Job(photo, self.folder / self._name(photo))
                continue
            holds_output = photo.resolve() in self._real_folder.parents
            for found in walk_images(photo):
                if not (holds_output and self._is_earlier_output(found)):
                    yield index, Job(found, self.folder / found.relative_to(photo).parent / self._name(found))

    def _name(self, photo: Path) -> Path:
        return writable_name(photo, self._kind)

    def _find_rivals(self, index: int, job: Job) -> Iterator[Path]:
        """Yield other photos that would become a job's picture; this looks for files and lists no folder."""
        inside = job.output.relative_to(self.folder)
        names = [inside]
        # Where another format is written, its ending is added: a.gif.png may come from a.gif.
        if inside.suffix == _ending(self._kind) and Path(inside.stem).suffix.lower() in EXTENSIONS:
            names.append(inside.with_suffix(""))
        for other, folder in self._folders:
            for found in (folder / name for name in names):
                read = self._name(found).name == inside.name and found.is_file()
                if read and (other != index or found != job.photo) and not self._is_earlier_output(found):
                    yield found
        yield from (self.photos[other] for other in self._files.get(inside, ()) if other != index)

    def _is_photo(self, path: Path) -> bool:
        """Return whether an existing picture is one of the photos, or lies in a folder of them."""
        real = path.resolve()
        # A folder of photos that holds the output folder holds the picture, too, which then is no photo.
        places = [path, *(place for place in real.parents if place not in self._real_folder.parents)]
        return any(_identity(place) in self._identities for place in places)

    def _is_earlier_output(self, found: Path) -> bool:
        return self._real_folder in found.resolve().parents

    @functools.cached_property
    def _real_folder(self) -> Path:
        return self.folder.resolve()

    @functools.cached_property
    def _folders(self) -> list[tuple[int, Path]]:
        return [(index, photo) for index, photo in enumerate(self.photos) if photo.is_dir()]

    @functools.cached_property
    def _files(self) -> dict[Path, list[int]]:
        """The indices of the photos that are files, by the names of their pictures."""
        found: dict[Path, list[int]] = {}
        for index, photo in enumerate(self.photos):
            if not photo.is_dir():
                found.setdefault(self._name(photo), []).append(index)
        return found

    @functools.cached_property
    def _identities(self) -> frozenset[tuple[int, int]]:
        return frozenset(_identity(photo) for photo in self.photos)


def plan(
    model: Path,
    photos: Sequence[Path],
    output: str | None,
    may_exist: bool = False,
    watch: Callable[[], object] | None = None,
    models: Sequence[Path] | None = None,
    kind: str | None = None,
) -> tuple[list[Job] | FolderJobs, bool]:
    """Decide what is written where.

    A folder's photos keep their sub-folders and names below the output folder; a format that is only read (``a.bmp``)
    becomes PNG (``a.bmp.png``), and one that is not ``kind`` gets its ending (``a.jpg.png``), so that ``a.jpg`` and
    ``a.png`` stay two pictures. What an output folder inside a photo folder holds is not stylized again.

    Args:
        model: The ONNX file; its name is part of the default output's.
        photos: Photo files and folders, or ``STANDARD`` alone.
        output: A picture file, or a folder if it exists as one, ends in a slash, or several photos are given; ``-`` for
            standard output; None for ``<photo>-<model>.<ending>`` beside a single photo, and for standard output if the
            photo comes from standard input.
        may_exist: Whether pictures may exist; photos themselves are never replaced.
        watch: Called for every photo that is found, where there may be many.
        models: The ONNX files that are read; None for the model alone.
        kind: Format of the pictures, one of ``data.images.WRITABLE``, where no output's ending names it; None for that
            of each photo.

    Returns:
        The jobs, and whether they go to a folder.

    Raises:
        ExportError: If a photo is absent, an output is missing, exists, or would be written twice or over a photo.
        OutputError: If an output is a model.
        ImageError: If a folder holds no photo, or the output's ending is not a format that can be written.
    """
    models = [model] if models is None else models
    for photo in photos:
        if photo is not STANDARD and not photo.exists():
            raise ExportError(f"photo '{photo}' does not exist; name a JPEG or PNG file, or a folder of them")
    standard = any(photo is STANDARD for photo in photos)
    several = len(photos) > 1 or (not standard and photos[0].is_dir())
    if several and (standard or output == NAME):
        raise ExportError("standard input and standard output take one photo; leave out '-' or the other photos")
    if output == NAME or (output is None and standard):
        return [Job(photos[0], STANDARD)], False
    if output is None and several:
        raise ExportError("several photos need an output folder; name one with --output pictures/")
    slash = output is not None and output.endswith(("/", os.sep))
    if output is not None and (several or slash or Path(output).is_dir()):
        if standard:
            raise ExportError(f"a photo from standard input has no name in '{output}'; name a file with --output")
        jobs = FolderJobs(photos, Path(output), kind)
        if jobs.folder.exists() and not jobs.folder.is_dir():
            raise ExportError(f"output '{output}' is a file, and several photos need a folder; name one with --output")
        if jobs.folder.suffix.lower() in EXTENSIONS and not slash and not jobs.folder.exists():
            raise ExportError(
                f"output '{output}' is named like a picture, and several photos need a folder; name one, as in "
                "--output painted/, and choose a format with --format"
            )
        if kind is not None:
            check_writable_format(jobs.folder / f"*{_ending(kind)}")
        jobs.check(models, may_exist, watch)
        return jobs, True
    if output is not None and kind is not None:
        raise ExportError(
            "--format is for folders and standard output; leave it out, and let the name of --output end in the format"
        )
    job = Job(photos[0], _name_beside(photos[0], model, kind) if output is None else Path(output))
    _check_file(job, models, may_exist)
    return [job], False


def writable_name(photo: Path, kind: str | None = None) -> Path:
    """Return a photo's name, with an ending added where its own is not of the format that is written.

    Args:
        photo: The photo.
        kind: The format, one of ``data.images.WRITABLE``; None for the photo's own, or PNG where that is only read.
    """
    try:
        own = check_writable_format(photo)
    except ImageError:
        own = None
    return Path(photo.name if own and kind in (None, own) else f"{photo.name}{_ending(kind)}")


def is_whole(picture: Path) -> bool:
    """Return whether a picture exists and can be read to its end."""
    try:
        decode(picture)
    except ImageError:
        return False
    return True


def _name_beside(photo: Path, model: Path, kind: str | None) -> Path:
    return photo.with_name(f"{photo.stem}-{model.stem}{writable_name(photo, kind).suffix}")


def _ending(kind: str | None) -> str:
    kind = kind or "PNG"
    return _SHORT_ENDINGS.get(kind, f".{kind.lower()}")


def _check_file(job: Job, models: Sequence[Path], may_exist: bool) -> None:
    """Raise if a single photo's picture may not be written where it is asked for."""
    check_writable_format(job.output)
    if not job.output.parent.is_dir():
        raise ExportError(f"folder '{job.output.parent}' does not exist; create it or choose another --output")
    require_absent([job.output], True, inputs=models)
    if job.output.exists():
        if job.photo is not STANDARD and job.output.samefile(job.photo):
            raise ExportError(f"output '{job.output}' is a photo that is read; choose another --output")
        if not may_exist:
            _refuse_existing(job.output, 1)


def _refuse_existing(first: Path, count: int) -> None:
    more = f" and {count - 1} more" if count > 1 else ""
    raise ExportError(
        f"'{first}'{more} would be overwritten; pass --resume to keep it, --overwrite, or choose another --output"
    )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
