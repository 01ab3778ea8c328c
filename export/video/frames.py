"""What a clip is made of, whatever holds it, and clips that are folders of frames: Pillow and NumPy only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import PIL.Image
from PIL.Image import Resampling

from data.images import Picture, as_rgb, decode, encode, from_array, list_images, to_array
from export.errors import ExportError

FRAME_NAME = "{:06d}.png"
"""Names of the frames that a video becomes, by their number, counted from 1."""

LAID_ON_WHITE = "frames are transparent in places, and are laid on white"
"""What is told about a clip with transparency."""


@dataclass(frozen=True)
class Frame:
    """One picture of a clip.

    Args:
        picture: RGB, uint8, shape (H, W, 3), upright.
        time: When it is shown, in seconds from the beginning of what is painted.
        duration: For how long, in seconds; 0 where the file does not say.
    """

    picture: Picture
    time: Fraction
    duration: Fraction


@dataclass(frozen=True)
class Sound:
    """A piece of sound as the file holds it.

    Args:
        track: Which of the clip's ``sounds`` it belongs to.
        packet: The encoded bytes with their time, ``av.Packet``.
    """

    track: int
    packet: Any


class Clip(Protocol):
    """Frames and sound to read, once and in their order.

    Attributes:
        width: Of every frame, in pixels.
        height: Of every frame, in pixels.
        rate: Frames per second, on the average.
        time_base: Seconds of which all times are multiples.
        count: About how many frames there are; None if the file does not say.
        sounds: The tracks of sound, streams of PyAV.
        paths: The files that are read.
        names: What the painted frames are called as files of their own; None for numbers.
        damaged: Parts of the files that could not be read so far.
        note: What of the clip is lost or laid on white, a sentence a line; empty if nothing is.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    count: int | None
    sounds: Sequence[Any]
    paths: Sequence[Path]
    names: Sequence[str] | None
    damaged: int
    note: str

    def __iter__(self) -> Iterator[Frame | Sound]: ...


class Sink(Protocol):
    """Where painted frames, and the sound, go."""

    def write(self, item: Frame | Sound) -> None:
        """Take the next frame or piece of sound."""

    def close(self) -> None:
        """Complete what was written."""


class FrameFolder:
    """A clip that is a folder of pictures, in the order of the numbers in their names: ``f2.png`` before ``f10.png``.

    Args:
        folder: Where the pictures are; those of the folders below it come, too.
        rate: Frames per second.
        max_size: Long side in pixels to which larger frames are scaled down; None keeps the size.
        start: Seconds to leave out at the beginning.
        duration: Seconds to read; None for all that follow.

    Raises:
        ImageError: If there are no pictures, or one cannot be read.
        ExportError: If none is left of them.
    """

    sounds: Sequence[Any] = ()
    damaged = 0

    def __init__(
        self,
        folder: Path,
        rate: Fraction,
        max_size: int | None = None,
        start: Fraction = Fraction(0),
        duration: Fraction | None = None,
    ) -> None:
        found = sorted(list_images(folder, "name a folder of frames, or a video"), key=_number_key)
        first = -int(-start * rate // 1)
        count = None if duration is None else -int(-duration * rate // 1)
        self.paths: Sequence[Path] = found[first:][:count]
        if not self.paths:
            raise ExportError(
                f"folder '{folder}' has {len(found)} frames, which end at {float(len(found) / rate):g} seconds; choose "
                "another --start or --duration"
            )
        self.names: Sequence[str] | None = [
            path.relative_to(folder).with_suffix(".png").as_posix() for path in self.paths
        ]
        self.rate = rate
        self.time_base = 1 / rate
        self.count: int | None = len(self.paths)
        photo = decode(self.paths[0], keep_alpha=True)
        self.note = LAID_ON_WHITE if photo.mode == "RGBA" else ""
        self._first = as_rgb(photo)
        self.width, self.height = fit_size(*self._first.size, max_size)

    def __iter__(self) -> Iterator[Frame | Sound]:
        """Read the pictures one by one; ExportError where one has not the first one's size."""
        for index, path in enumerate(self.paths):
            photo = self._first if index == 0 else decode(path)
            if photo.size != self._first.size:
                raise ExportError(
                    f"frame '{path}' has {photo.width} x {photo.height} pixels and '{self.paths[0]}' has "
                    f"{self._first.width} x {self._first.height}; frames of one size are needed"
                )
            yield Frame(to_array(_scale(photo, self.width, self.height)), index * self.time_base, self.time_base)


class FrameWriter:
    """Writes frames as PNG files into a folder, each whole; sound is left out.

    Args:
        folder: It exists.
        names: The files' names, in their order; None for ``000001.png`` and on.

    Raises:
        ExportError: If two frames have one name.
    """

    def __init__(self, folder: Path, names: Sequence[str] | None = None) -> None:
        # Where the system takes a.png for A.png, too.
        twice = [name for name, count in Counter(name.lower() for name in names or ()).items() if count > 1]
        if twice:
            raise ExportError(
                f"{len(twice)} of the painted frames would have the name of another, such as '{twice[0]}'; rename the "
                "frames, or let --output be a video"
            )
        self._folder = folder
        self._names = names
        self._written = 0

    def write(self, item: Frame | Sound) -> None:
        """Write a frame; ImageError if the system refuses."""
        if isinstance(item, Frame):
            name = FRAME_NAME.format(self._written + 1) if self._names is None else self._names[self._written]
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            encode(from_array(item.picture), target)
            self._written += 1

    def close(self) -> None:
        """Remove the later frames of an earlier, longer clip: those whose numbers follow without a gap."""
        number = self._written + 1
        while self._names is None and (later := self._folder / FRAME_NAME.format(number)).is_file():
            later.unlink()
            number += 1


def fit_size(width: int, height: int, max_size: int | None) -> tuple[int, int]:
    """Return the size of a frame scaled down to a long side, in even numbers of pixels, which video codecs need.

    Args:
        width: In pixels.
        height: In pixels.
        max_size: The long side in pixels; None, or one that is not exceeded, keeps the size as it is, odd or even.
    """
    if max_size is None or max(width, height) <= max_size:
        return width, height
    factor = max_size / max(width, height)
    return max(2, int(width * factor / 2) * 2), max(2, int(height * factor / 2) * 2)


def _scale(photo: PIL.Image.Image, width: int, height: int) -> PIL.Image.Image:
    return photo if photo.size == (width, height) else photo.resize((width, height), Resampling.LANCZOS)


def _number_key(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split("([0-9]+)", str(path))
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]
