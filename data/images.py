"""Picture files in and out: decoding, encoding, scaling, and arrays of bytes; knows Pillow and NumPy, never torch.

A decoded picture is upright 8-bit RGB in sRGB whatever the file held: the colors of an embedded profile, such as the
Display P3 of phones, are converted. Metadata, such as a phone's position, is dropped.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError
from PIL.Image import Resampling

from data import heif
from data.files import OutputError, write_whole

Picture = NDArray[np.uint8]
"""A decoded picture as an array: RGB, values of 0 to 255, shape (H, W, 3)."""

SORTED_ENTRIES = 10_000
"""Entries of one folder that are read and sorted at a time."""

MAX_PIXELS = 200_000_000
"""Largest picture that is decoded unless told otherwise: 600 MB as RGB, above any camera's."""

MAX_SIDE = 1_000_000
"""Longest side that is decoded, in pixels: each row takes memory of its own, however short it is."""

MAX_BYTES = 8 * MAX_PIXELS
"""Memory that decoding may take, in bytes: that of an RGB picture of ``MAX_PIXELS``, decoded and copied."""

MAX_SCANS = 100
"""Scans that a JPEG may have. Each is computed on the whole picture; encoders write about ten."""

MAX_READS = 2_000_000
"""Parts that a file may be read in, such as the chunks of a PNG or the runs of a BMP: some seconds' worth."""

MAX_SLOW_PIXELS = 2_000_000
"""Largest picture of the encodings that Pillow decodes in Python, at up to a second per million pixels."""

# Pillow's other readers are left out: some run programs (EPS runs Ghostscript), none is needed for photos.
_READABLE = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_WRITABLE = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".jfif": "JPEG",  # As browsers on Windows save it.
}
_BOXED = ("AVIF", "HEIF")
EXTENSIONS = frozenset({*_WRITABLE, ".bmp", ".gif", ".ppm", ".hif"})
"""Endings of the files that ``list_images`` finds, in lower case."""

WRITABLE = tuple(dict.fromkeys(_WRITABLE.values()))
"""Formats that pictures are written in."""

_LONGEST = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 32_768}  # Sides, in pixels, that encoders take and readers open.
_LARGE = 2**26  # Pixels, below the number at which Pillow warns.
_SRGB = ("sRGB", "sRGB IEC61966-2.1", "sRGB built-in")  # Names of its profile; others of it change next to nothing.
_SLOW = {"ppm_plain": "numbers written as text", "bmp_rle": "run lengths"}
# Bytes per pixel that Pillow keeps, and at most while a picture is turned into RGB; 4 and 8 for the modes not listed.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_CONVERTED = {"1": 5, "L": 5, "I": 10, "F": 10}
_TRANSPARENT = 13
# More, for what the decoders of these keep: their own picture, for AVIF of 10 bits, and its copy in RGB.
_KEPT = {"WEBP": 8, "AVIF": 12, "HEIF": 8}
_ROWS = 256  # Rows of deep gray that are converted at a time.
# What may follow 0xFF, but not inside the data of a scan: a marker (ITU T.81, B.1.1).
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_pillow_limit = threading.Lock()
_standard_error = threading.Lock()


class ImageError(ValueError):
    """A picture or a folder of pictures cannot be used; the message is one sentence for the user."""


def list_images(folder: Path, remedy: str = "name a folder of JPEG or PNG files") -> list[Path]:
    """Find every picture file in a folder and the folders below it.

    Hidden files and folders are skipped; linked folders are read, once however many links lead to them.

    Args:
        folder: Where to look.
        remedy: What to do about a folder that is absent or empty, for the error's end.

    Returns:
        Paths that begin with ``folder``, sorted by their POSIX path relative to it.

    Raises:
        ImageError: If the folder is absent, cannot be read, or holds no picture file.
    """
    return [folder / name for name in sorted(_walk(folder, remedy))]


def walk_images(folder: Path, remedy: str = "name a folder of JPEG or PNG files") -> Iterator[Path]:
    """Find the files that ``list_images`` finds one by one, so that millions of them take no memory.

    Args:
        folder: Where to look.
        remedy: What to do about a folder that is absent or empty, for the error's end.

    Yields:
        Paths that begin with ``folder``: those of one folder before those of the next, in the order of their names as
        long as a folder holds no more than ``SORTED_ENTRIES``.

    Raises:
        ImageError: When it is met: a folder that is absent, cannot be read, or, at the end, holds no picture file.
    """
    for name in _walk(folder, remedy):
        yield folder / name


def _walk(folder: Path, remedy: str) -> Iterator[str]:
    """Yield the pictures' POSIX paths relative to the folder."""
    if not folder.is_dir():
        raise ImageError(f"photo folder '{folder}' {'is a file' if folder.exists() else 'does not exist'}; {remedy}")
    found = False
    seen: set[tuple[int, int]] = set()
    # Folders in place come before links, so that a picture gets its own name rather than a link's.
    pending = deque([""])
    while pending:
        inside = pending.popleft()
        below: list[str] = []
        try:
            status = (folder / inside).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in _visible_entries(folder / inside):
                # Path.is_dir() is False for a link to nowhere or to itself, where an entry's is_dir() may raise.
                target = Path(entry.path) if entry.is_symlink() else entry
                if target.is_dir():
                    (pending.append if entry.is_symlink() else below.append)(f"{inside}{entry.name}/")
                elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS and target.is_file():  # noqa: PTH122
                    found = True
                    yield inside + entry.name
        except OSError as error:
            raise ImageError(f"photo folder '{folder / inside}' cannot be read ({_reason(error)}); {remedy}") from error
        pending.extendleft(reversed(below))
    if not found:
        raise ImageError(f"photo folder '{folder}' holds no picture; {remedy}")


def _visible_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        while some := list(islice(entries, SORTED_ENTRIES)):
            # Synology's disks keep a thumbnail of each photo in folders of the second name.
            shown = (entry for entry in some if not entry.name.startswith((".", "@eaDir")))
            yield from sorted(shown, key=lambda entry: entry.name)


def decode(
    source: Path | bytes, *, keep_alpha: bool = False, at_least: int | None = None, max_pixels: int = MAX_PIXELS
) -> PIL.Image.Image:
    """Read a picture file; of an animation, the first frame.

    Args:
        source: A JPEG, PNG, WebP, BMP, GIF, TIFF, PPM, AVIF or HEIC file, whatever its name ends in, or the content of
            one.
        keep_alpha: Keep transparency in place of laying the picture on white.
        at_least: Short side in pixels that suffices; larger pictures are reduced by an integer factor, which decodes
            JPEGs in a fraction of the time.
        max_pixels: Files whose headers state more are refused before decoding, as are those that would take more memory
            or time than ``MAX_SIDE``, ``MAX_BYTES``, ``MAX_SCANS``, ``MAX_READS`` and ``MAX_SLOW_PIXELS`` allow.

    Returns:
        An upright picture in memory, mode RGB, or RGBA where ``keep_alpha`` is set and a pixel is transparent; its
        ``format`` is the file's, such as ``"JPEG"``.

    Raises:
        ImageError: If the file is absent, too large, broken, or not a picture.
    """
    name, kind = "the picture", ""
    try:
        if isinstance(source, Path):
            name = f"picture '{source}'"
            kind = "" if source.is_file() else "is a folder or a pipe" if source.exists() else "does not exist"
        if not kind:
            raw: Any = io.FileIO(source) if isinstance(source, Path) else io.BytesIO(source)
            with _CountedFile(raw) as file:
                return _load(file, keep_alpha, at_least, max_pixels)
    except heif.CodecError as error:
        raise ImageError(f"{name} cannot be read: {error}") from error
    # Pillow's readers raise whatever a broken file makes their parsing raise.
    except Exception as error:
        remedy = "replace it, scale it down or save it anew as an 8-bit JPEG or PNG"
        raise ImageError(f"{name} cannot be read ({_reason(error)}); {remedy}") from error
    raise ImageError(f"{name} {kind}; name a JPEG or PNG file")


def encode(image: PIL.Image.Image, path: Path, quality: int = 95) -> None:
    """Encode a picture in memory, write the file whole under a temporary name and rename it.

    Args:
        image: Any mode; transparency is kept where the format has it and laid on white elsewhere, in JPEG.
        path: The file to write, in the format of its ending; an existing one is replaced.
        quality: Of JPEG and AVIF, whose colors keep their full resolution, of WebP and HEIC; 1 to 100.

    Raises:
        ImageError: If the ending or the quality is not accepted, or the file cannot be written.
    """
    content = encode_bytes(image, check_writable_format(path), quality, f"picture '{path}'")
    try:
        write_whole(path, content)
    except OutputError as error:
        raise ImageError(f"picture {error}") from error


def encode_bytes(image: PIL.Image.Image, kind: str, quality: int = 95, name: str = "the picture") -> memoryview:
    """Encode a picture as the content of a file.

    Args:
        image: As for ``encode``.
        kind: The format, one of ``WRITABLE``.
        quality: As for ``encode``.
        name: What the picture is called in errors.

    Raises:
        ImageError: If the quality is not accepted, or the format cannot hold the picture.
    """
    if not 1 <= quality <= 100:
        raise ImageError(f"quality is {quality} for {name}; choose one between 1 and 100")
    check_writable_size(image.size, kind, name)
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"quality": quality},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        # Phones show HEIC of reduced color only.
        "HEIF": {"quality": quality},
    }
    try:
        if kind in _BOXED:
            heif.require_codec(kind)
        # Pillow's encoders of JPEG and TIFF write to a file's descriptor, and miss that a full disk cut the file short.
        content = io.BytesIO()
        as_rgb(image, keep_alpha=kind != "JPEG").save(content, kind, **options.get(kind, {}))
        return content.getbuffer()
    except heif.CodecError as error:
        raise ImageError(f"{name} cannot be written: {error}") from error
    # Pillow's writers raise whatever comes up in them.
    except Exception as error:
        raise ImageError(f"{name} cannot be written ({_reason(error)}); choose another format or place") from error


def encode_gif(frames: Sequence[PIL.Image.Image], durations: Sequence[int]) -> bytes:
    """Encode an animation that repeats for ever.

    Args:
        frames: Pictures of one size.
        durations: How long each is shown, in milliseconds.

    Returns:
        A GIF file.
    """
    content = io.BytesIO()
    first, *more = frames
    first.save(content, "GIF", save_all=True, append_images=more, duration=list(durations), loop=0)
    return content.getvalue()


def check_writable_format(path: Path) -> str:
    """Return the format of a path's ending, such as ``"JPEG"``; ImageError if it cannot be written."""
    kind = _WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"picture '{path}' cannot be written; let its name end in one of {', '.join(_WRITABLE)}")
    try:
        if kind in _BOXED:
            heif.require_codec(kind)
    except heif.CodecError as error:
        raise ImageError(f"picture '{path}' cannot be written: {error}") from error
    return kind


def check_writable_size(size: tuple[int, int], kind: str, name: str = "the picture") -> None:
    """Raise ImageError if a picture of this width and height is too long for a format, one of ``WRITABLE``."""
    longest = _LONGEST.get(kind)
    if longest is not None and max(size) > longest:
        raise ImageError(
            f"{name} cannot be written ({size[0]} x {size[1]} pixels, and {kind} has sides of at most {longest}); "
            "choose PNG or TIFF, or scale it down"
        )


def as_rgb(image: PIL.Image.Image, keep_alpha: bool = False) -> PIL.Image.Image:
    """Convert any mode to RGB laid on white, or into RGBA if ``keep_alpha`` is set and a pixel is transparent.

    In 16-bit gray and in mode I, white is 65535. In mode F it is the first of 1, 255 and 65535 that no pixel exceeds,
    because files of all three kinds exist and do not say which they are.

    Raises:
        ValueError: If gray values exceed 65535 or are not a number.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        image = _shallow_gray(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    # Pillow has no direct way from premultiplied gray.
    image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB")
    if keep_alpha:
        return image
    sheet = PIL.Image.new("RGB", image.size, "white")
    sheet.paste(image, mask=alpha)
    return sheet


def whiten_hidden(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an RGBA picture's colors as RGB, white where it is wholly transparent and nobody sees what they are."""
    sheet = PIL.Image.new("RGB", image.size, "white")
    sheet.paste(image.convert("RGB"), mask=image.getchannel("A").point(lambda alpha: 255 if alpha else 0))
    return sheet


def to_array(image: PIL.Image.Image) -> Picture:
    """Copy a picture of any mode into an array of shape (H, W, 3), RGB."""
    return np.array(as_rgb(image), dtype=np.uint8)


def from_array(pixels: Picture) -> PIL.Image.Image:
    """Make a picture of uint8 RGB, shape (H, W, 3); ValueError if the array is something else."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are {pixels.dtype} of shape {pixels.shape}; pass uint8 of shape (H, W, 3)")
    return PIL.Image.fromarray(np.ascontiguousarray(pixels))


def to_planes(picture: Picture, white: float = 1) -> NDArray[np.float32]:
    """Turn a picture of uint8, shape (H, W, 3), into planes of float32, shape (3, H, W).

    Args:
        picture: Values of 0 to 255.
        white: What 255 becomes: 1 for values in [0, 1], 255 for the exported model's contract.
    """
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32)
    return planes if white == 255 else planes / np.float32(255 / white)


def from_planes(planes: NDArray[np.floating[Any]]) -> Picture:
    """Turn planes of 0 to 255, shape (3, H, W), into a picture of uint8, shape (H, W, 3); ValueError on a NaN."""
    return round_to_bytes(planes).transpose(1, 2, 0)


def round_to_bytes(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Round values of any shape to the nearest byte, clamped to 0 to 255; ValueError on a NaN."""
    if np.isnan(values).any():
        raise ValueError("a pixel's value is not a number; what computed it overflowed")
    rounded: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def scale_short_side(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    """Scale a picture until its short side has ``size`` pixels (Lanczos); ImageError above ``MAX_PIXELS``."""
    return _scale(image, size / min(image.size))


def fit_within(image: PIL.Image.Image, max_side: int) -> PIL.Image.Image:
    """Scale a picture down until no side exceeds ``max_side`` pixels (Lanczos); a smaller one is returned as is."""
    return image if max(image.size) <= max_side else _scale(image, max_side / max(image.size))


def contact_sheet(rows: Sequence[Sequence[NDArray[np.uint8]]], gap: int = 4) -> NDArray[np.uint8]:
    """Lay pictures out on a white sheet, rows as high and columns as wide as their largest picture.

    Args:
        rows: Pictures of shape (H, W, 3), row by row; sizes may differ and rows may be of different length.
        gap: White pixels between neighboring cells.

    Returns:
        Shape (H, W, 3); a smaller picture stands in the upper left corner of its cell.
    """
    widths = [max(picture.shape[1] for picture in column if picture is not None) for column in zip_longest(*rows)]
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    lefts = [sum(widths[:column]) + gap * column for column in range(len(widths) + 1)]
    tops = [sum(heights[:row]) + gap * row for row in range(len(heights) + 1)]
    sheet = np.full((tops[-1] - gap, lefts[-1] - gap, 3), 255, np.uint8)
    for row, top in zip(rows, tops, strict=False):
        for picture, left in zip(row, lefts, strict=False):
            sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


@contextlib.contextmanager
def _without_pillow_limit(stand_in: int | None = None) -> Iterator[None]:
    # Pillow's limit is one number for the whole process, and would warn or raise before ours can.
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, stand_in
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def without_native_lines() -> Iterator[None]:
    """Drop what libraries in C print on standard error within a block, where Python's own streams do not reach."""
    with _standard_error:
        try:
            kept = os.dup(2)
        except OSError:
            # It is closed, and nothing is printed.
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class _CountedFile(io.BufferedReader):
    """A file that counts what is asked of it, because Pillow reads files of many parts one by one in Python."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise ValueError(f"it is made of too many parts, read in more than the {MAX_READS:,} steps accepted")
        return super().read(size)


def _load(file: _CountedFile, keep_alpha: bool, at_least: int | None, max_pixels: int) -> PIL.Image.Image:
    head = file.peek(64)[:64]
    boxed = heif.find_kind(head)
    if boxed is not None:
        heif.require_codec(boxed)
        size = file.seek(0, os.SEEK_END)
        if size > heif.MAX_CONTENT:
            raise ValueError(f"{size:,} bytes of {boxed}, and at most {heif.MAX_CONTENT:,} accepted")
        file.seek(0)
    # The readers of GIF and WebP allocate a frame before its size can be asked for, so they keep a limit of Pillow's.
    with _without_pillow_limit(max_pixels if head[:4] in {b"GIF8", b"RIFF"} else None):
        image: PIL.Image.Image = PIL.Image.open(file, formats=(boxed,) if boxed else _READABLE)
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ValueError(
            f"{image.width} x {image.height} pixels, {pixels:,} in all, and at most {max_pixels:,} accepted"
        )
    _check_cost(image, file, at_least)
    with _without_pillow_limit() if pixels > _LARGE else contextlib.nullcontext():
        if _codec(image) == "ppm":
            image = _load_ppm(image, file)
        else:
            # libtiff prints what is wrong with a file, beside what Pillow raises.
            with without_native_lines() if image.format == "TIFF" else contextlib.nullcontext():
                image.load()
    # Broken metadata, or below a broken profile, is not a reason to refuse intact pixels.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    profile = image.info.get("icc_profile", b"")
    picture = _inks_to_srgb(image, profile) or as_rgb(image, keep_alpha)
    factor = 1 if at_least is None else min(picture.size) // at_least
    if factor > 1:
        picture = picture.reduce(factor)
    elif picture is image:
        # The reader's own object would keep its file and its decoder.
        picture = picture.copy()
    with contextlib.suppress(Exception):
        _convert_to_srgb(picture, profile)
    picture.info = {}
    # A JPEG that holds further pictures, such as a preview, is a JPEG to whoever took it.
    picture.format = "JPEG" if image.format == "MPO" else image.format
    return picture


def _convert_to_srgb(picture: PIL.Image.Image, profile: bytes) -> None:
    """Convert in place a picture of mode RGB or RGBA whose colors are those of an ICC profile, unless it is sRGB's."""
    if not profile:
        return
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    # Inks are sRGB by now, and the profiles of grays are left aside: their pictures have become RGB without them.
    if source.profile.xcolor_space.strip() == "RGB" and source.profile.profile_description not in _SRGB:
        ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), inPlace=True)


def _inks_to_srgb(picture: PIL.Image.Image, profile: bytes) -> PIL.Image.Image | None:
    """Return a picture of mode CMYK as RGB by its ICC profile; None for other modes, and without a usable profile."""
    if picture.mode != "CMYK" or not profile:
        return None
    # Without its profile cyan would be as bright as on a screen, which no print is.
    with contextlib.suppress(Exception):
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return None


def _check_cost(image: PIL.Image.Image, file: _CountedFile, at_least: int | None) -> None:
    """Refuse a picture that is open but not decoded if its decoding would take too much memory or time."""
    width, height = image.size
    pixels = width * height
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"{width} x {height} pixels, and sides of at most {MAX_SIDE:,} accepted")
    codec = _codec(image)
    if codec in _SLOW and pixels > MAX_SLOW_PIXELS:
        raise ValueError(
            f"{width} x {height} pixels, {pixels:,} in all, and at most {MAX_SLOW_PIXELS:,} accepted as {_SLOW[codec]}"
        )
    kept, buffer = _KEPT.get(image.format or "", 0) * pixels, 0
    if image.format == "TIFF":
        buffer = _tiff_buffer(image)
    elif codec == "jpeg":
        _check_scans(file)
        if "progressive" in image.info:
            buffer = 2 * len(image.getbands()) * pixels
    # Other readers would take a thumbnail.
    if at_least is not None and codec == "jpeg":
        image.draft(None, (at_least, at_least))
        pixels = image.width * image.height
    converted = _TRANSPARENT if image.has_transparency_data else _CONVERTED.get(image.mode, 8)
    needed = kept + max(_STORED.get(image.mode, 4) * pixels + buffer, converted * pixels)
    if needed > MAX_BYTES:
        raise ValueError(
            f"{width} x {height} pixels of mode {image.mode} take {needed / 1e9:.2f} GB to decode, and at most "
            f"{MAX_BYTES / 1e9:.1f} GB accepted"
        )


def _codec(image: PIL.Image.Image) -> str:
    # WebP has no tile before it is decoded.
    tiles: list[Any] = getattr(image, "tile", [])
    return str(tiles[0][0]) if tiles else ""


def _tiff_buffer(image: PIL.Image.Image) -> int:
    """Return the bytes of one strip or tile of a TIFF, which may be as large as the picture, or larger."""
    tags: Mapping[int, Any] = image.tag_v2  # type: ignore[attr-defined]
    rows = min(tags.get(TiffImagePlugin.ROWSPERSTRIP, image.height), image.height)
    area = tags.get(TiffImagePlugin.TILEWIDTH, image.width) * tags.get(TiffImagePlugin.TILELENGTH, rows)
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    return int(area * max(sum(bits), bits[0] * tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)) // 8)


def _check_scans(file: _CountedFile) -> None:
    position = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(position)
    # What looks like a scan may be part of metadata, so it is followed up only if there is much of it.
    if content.count(b"\xff\xda") <= MAX_SCANS:
        return
    start = scans = 0
    while found := _MARKER.search(content, start):
        start = found.end()
        scans += found[1] == b"\xda"
        if found[1] == b"\xd9":
            return
        if scans > MAX_SCANS:
            raise ValueError(f"more than {MAX_SCANS} scans, and at most that many accepted")
        if found[1] != b"\xd8":
            start += int.from_bytes(content[start : start + 2])


def _load_ppm(image: PIL.Image.Image, file: _CountedFile) -> PIL.Image.Image:
    """Decode a binary PPM whose white is not 255, which takes Pillow seconds per million pixels."""
    _, _, offset, (_, white) = image.tile[0]  # type: ignore[attr-defined]
    kind, bands = np.dtype(">u2" if white > 255 else "u1"), len(image.getbands())
    decoded = PIL.Image.new("L" if bands == 1 else "RGB", image.size)
    file.seek(offset)
    for top in range(0, image.height, _ROWS):
        shape = (min(_ROWS, image.height - top), image.width, bands)
        content = file.read(math.prod(shape) * kind.itemsize)
        if len(content) < math.prod(shape) * kind.itemsize:
            raise ValueError("the file is truncated")
        values = np.frombuffer(content, kind).reshape(shape).astype(np.float32)
        rounded = round_to_bytes(values * np.float32(255 / white))
        decoded.paste(PIL.Image.fromarray(rounded[..., 0] if bands == 1 else rounded), (0, top))
    return decoded


def _shallow_gray(image: PIL.Image.Image) -> PIL.Image.Image:
    whites = (1, 255, 65535) if image.mode == "F" else (65535,)
    # In strips, because the arrays of a whole picture would take several times its memory.
    strips = [(0, top, image.width, min(top + _ROWS, image.height)) for top in range(0, image.height, _ROWS)]
    most = np.max([np.asarray(image.crop(strip)).max() for strip in strips])
    white = next((white for white in whites if most <= white), None)
    if white is None:
        raise ValueError(f"gray values up to {most:g}, where at most 65535 is known to be white")
    key = image.info.get("transparency")
    gray = PIL.Image.new("LA" if isinstance(key, int) else "L", image.size)
    for strip in strips:
        values = np.asarray(image.crop(strip))
        part = PIL.Image.fromarray(round_to_bytes(values.astype(np.float32) * np.float32(255 / white)))
        if isinstance(key, int):
            part = PIL.Image.merge("LA", (part, PIL.Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))))
        gray.paste(part, strip[:2])
    return gray


def _scale(image: PIL.Image.Image, factor: float) -> PIL.Image.Image:
    width, height = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    if width * height > MAX_PIXELS:
        sizes = f"{image.width} x {image.height} pixels would become {width} x {height}"
        raise ImageError(f"a picture of {sizes}, where at most {MAX_PIXELS:,} in all are accepted; crop it first")
    return image if (width, height) == image.size else image.resize((width, height), Resampling.LANCZOS)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is not one of {', '.join((*_READABLE, *_BOXED))}, or is broken"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]
