"""Lay pictures of many styles on one photo, or of one style on many photos, out on one sheet."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import PIL.Image
from tqdm import tqdm

from data.files import make_folder, require_absent
from data.images import MAX_SIDE, check_writable_format, decode, encode, fit_within, from_array, list_images, to_array
from export.cli import CommandParser, integer, positive, run_command, threads
from export.contract import FILES
from export.errors import ExportError
from export.gallery.sheet import Cell, draw_sheet
from export.runtime.stylizer import Stylizer
from export.styles import choose_styles

Item = TypeVar("Item")

QUALITY = 90
"""Of a sheet in JPEG or WebP, 1 to 100."""

SMALLEST_SIZE = 64
"""Shortest long side of a picture, in pixels, that leaves room for a label."""


def show_styles(photo: PIL.Image.Image, styles: Sequence[Path], threads: int | None = None) -> list[Cell]:
    """Repaint one photo in many styles.

    Args:
        photo: RGB, in the size that it is shown in.
        styles: Exported files.
        threads: CPU threads; None for one per core.

    Returns:
        The photo and the pictures, each with the style's name.

    Raises:
        ModelError: If a style cannot be loaded or fails on the photo.
    """
    cells = [Cell([photo], "photo")]
    for style in _watch(styles):
        stylizer = Stylizer(style, threads)
        cells.append(Cell([_repaint(stylizer, photo)], _name_style(stylizer)))
    return cells


def show_photos(photos: Sequence[PIL.Image.Image], stylizer: Stylizer) -> list[Cell]:
    """Repaint many photos in one style.

    Args:
        photos: RGB, in the sizes that they are shown in.
        stylizer: The style.

    Returns:
        For each photo, it and under it the picture.

    Raises:
        ModelError: If the style fails on a photo.
    """
    return [Cell([photo, _repaint(stylizer, photo)]) for photo in _watch(photos)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.gallery``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    parser = _parser()
    # Intermixed, so that names of styles may stand before, between and after the flags.
    options = parser.parse_intermixed_args(arguments)
    if options.photo is not None and options.style is not None:
        parser.error("--style goes with --photos; with --photo, name styles without a flag")
    if options.photos is not None and options.styles:
        parser.error(f"with --photos, the style is named by --style; add --style {options.styles[0]}")
    if options.photos is not None and options.style is None:
        parser.error("--photos needs a style; add --style NAME")
    return run_command(lambda: _write_sheet(options), f"stopped: '{options.output}' was not written")


def _write_sheet(options: argparse.Namespace) -> None:
    output: Path = options.output
    photos = [options.photo] if options.photos is None else _list_photos(options.photos)
    named = options.styles if options.photos is None else [options.style]
    _check_output(output, photos, options.overwrite, named)
    shown = [fit_within(decode(photo), options.size) for photo in photos]
    if options.photos is None:
        styles = choose_styles(options.styles)
        cells = show_styles(shown[0], styles, options.threads)
        sheet = draw_sheet(cells, options.size, options.columns)
        said = f"{len(styles)} {'style' if len(styles) == 1 else 'styles'} on '{options.photo}'"
    else:
        stylizer = Stylizer(choose_styles([options.style])[0], options.threads)
        name = _name_style(stylizer)
        sheet = draw_sheet(show_photos(shown, stylizer), options.size, options.columns, heading=name)
        said = f"'{name}' on {len(photos)} {'photo' if len(photos) == 1 else 'photos'}"
    encode(sheet, output, QUALITY)
    print(f"wrote '{output}' ({sheet.width} x {sheet.height} pixels): {said}")


def _repaint(stylizer: Stylizer, photo: PIL.Image.Image) -> PIL.Image.Image:
    return from_array(stylizer(to_array(photo)))


def _name_style(stylizer: Stylizer) -> str:
    # Files of a folder of variants are all named alike.
    if stylizer.path.name in FILES.values() and stylizer.card is not None:
        return stylizer.card.style
    return stylizer.path.stem


def _list_photos(paths: Sequence[Path]) -> list[Path]:
    return [photo for path in paths for photo in (list_images(path) if path.is_dir() else [path])]


def _check_output(output: Path, photos: Iterable[Path], overwrite: bool, styles: Iterable[str | Path]) -> None:
    """Raise, before any work, if the sheet may not be written there."""
    check_writable_format(output)
    if output.is_dir():
        raise ExportError(f"output '{output}' is a folder; name a file in it")
    if not output.parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another --output")
    make_folder(output.parent)
    if output.exists() and any(photo.exists() and photo.samefile(output) for photo in photos):
        raise ExportError(f"output '{output}' is a photo that is read; choose another --output")
    require_absent([output], overwrite, inputs=styles)


def _watch(items: Sequence[Item]) -> Iterable[Item]:
    # No bar where nobody watches it: in a log it would be noise.
    return tqdm(items, unit="picture", disable=None)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.gallery",
        description="Show all ready styles, or those that are named, on one photo, or one style on many photos,\n"
        "on one sheet.",
        usage="%(prog)s (--photo PHOTO [STYLE ...] | --photos PHOTO [PHOTO ...] --style STYLE) --output SHEET "
        "[options]",
        epilog="examples:\n  python -m export.gallery --photo photo.jpg --output sheet.jpg\n"
        "  python -m export.gallery --photo photo.jpg --output sheet.jpg wave runs/mine/style.onnx\n"
        "  python -m export.gallery --photos a.jpg b.jpg holiday/ --style wave --output wave.jpg",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "styles",
        nargs="*",
        metavar="STYLE",
        help="a ready style, as python -m export.styles lists them, or an .onnx file (default: all ready styles)",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--photo", type=Path, metavar="PHOTO", help="the photo that every style repaints")
    source.add_argument(
        "--photos", type=Path, nargs="+", metavar="PHOTO", help="photos, or folders of photos, that --style repaints"
    )
    parser.add_argument("--style", metavar="STYLE", help="a ready style or an .onnx file, for --photos")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="SHEET", help="the sheet, in the format of its ending"
    )
    parser.add_argument("--columns", type=positive, metavar="N", help="pictures in a row (default: by the shape)")
    parser.add_argument(
        "--size",
        type=integer(SMALLEST_SIZE, MAX_SIDE),
        default=360,
        metavar="PIXELS",
        help="long side of each picture, to which photos are scaled down first (default: %(default)s)",
    )
    parser.add_argument("--threads", type=threads, metavar="N", help="CPU threads (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace the sheet if it exists; never a photo")
    return parser
