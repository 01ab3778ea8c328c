"""Lay one photo in many styles, strokes or strengths, or many photos in one style, out on one sheet."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import PIL.Image
from tqdm import tqdm

from data.files import make_folder, require_absent
from data.images import MAX_SIDE, check_writable_format, decode, encode, fit_within, from_array, list_images, to_array
from export.cli import CommandParser, integer, number_from, positive, read_strength, run_command, threads
from export.errors import ExportError
from export.runtime.stroke import LEAST, MOST
from export.runtime.stylizer import Stylizer
from export.sheet.grid import Cell, draw_sheet
from export.styles import choose_styles

SMALLEST_SIZE = 64
"""Shortest long side of a picture, in pixels, that leaves room for a label."""


@dataclass(frozen=True)
class Controls:
    """How a picture is painted, as for ``Stylizer``.

    Args:
        stroke: Size of the strokes; None for those of the style, which no label names.
        strength: Of the style; None for that of its training, which no label names.
        preserve_color: Whether the photo's own colors are kept.
    """

    stroke: float | None = None
    strength: float | None = None
    preserve_color: bool = False

    @property
    def label(self) -> str:
        """What is not as the style was trained: ", stroke 2, strength 0.5"."""
        named = {"stroke": self.stroke, "strength": self.strength}
        return "".join(f", {name} {value:g}" for name, value in named.items() if value is not None)

    def paint(self, stylizer: Stylizer, photo: PIL.Image.Image) -> PIL.Image.Image:
        """Repaint an RGB picture."""
        stroke = 1 if self.stroke is None else self.stroke
        strength = 1 if self.strength is None else self.strength
        pixels = stylizer(to_array(photo), strength=strength, preserve_color=self.preserve_color, stroke=stroke)
        return from_array(pixels)


def show_styles(
    photo: PIL.Image.Image,
    styles: Sequence[Path],
    threads: int | None = None,
    controls: Sequence[Controls] = (Controls(),),
    size: int = MAX_SIDE,
) -> list[Cell]:
    """Repaint one photo in many styles.

    Args:
        photo: RGB, in the size that it is painted in.
        styles: Exported files.
        threads: CPU threads; None for one per core.
        controls: How each style paints it, one picture each.
        size: Long side, in pixels, to which larger pictures are scaled down afterwards.

    Returns:
        The photo and the pictures, each with the style's name; where a style has several the photo and its pictures,
        labelled with their controls, for one style after the other.

    Raises:
        ModelError: If a style cannot be loaded, fails on the photo, or has no strength and is to be painted in one.
    """
    cells = [Cell([fit_within(photo, size)], "photo")]
    with _watch(len(styles) * len(controls)) as bar:
        for index, style in enumerate(styles):
            stylizer = Stylizer(style, threads)
            if len(controls) > 1 and index:
                cells.append(cells[0])
            for chosen in controls:
                cells.append(Cell([fit_within(chosen.paint(stylizer, photo), size)], stylizer.name + chosen.label))
                bar.update()
    return cells


def show_photos(
    photos: Sequence[PIL.Image.Image],
    stylizer: Stylizer,
    controls: Controls = Controls(),
    size: int = MAX_SIDE,
) -> list[Cell]:
    """Repaint many photos in one style.

    Args:
        photos: RGB, in the sizes that they are painted in.
        stylizer: The style.
        controls: How it paints them.
        size: Long side, in pixels, to which larger pictures are scaled down afterwards.

    Returns:
        For each photo, it and under it the picture.

    Raises:
        ModelError: If the style fails on a photo, or has no strength and is to be painted in one.
    """
    cells = []
    with _watch(len(photos)) as bar:
        for photo in photos:
            painted = controls.paint(stylizer, photo)
            cells.append(Cell([fit_within(picture, size) for picture in (photo, painted)]))
            bar.update()
    return cells


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.sheet``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_words(arguments)
    _read_former_flags(options)
    if not options.photos:
        parser.error("no photo is named; name one, before --styles")
    return run_command(lambda: _write_sheet(options), "stopped: no sheet was written")


def _read_former_flags(options: argparse.Namespace) -> None:
    """Read ``--photo PHOTO [STYLE ...]`` and ``--photos PHOTO ...``, which earlier versions had."""
    if options.photo is not None:
        options.photos, options.styles = [options.photo], [*map(str, options.photos), *options.styles]
    elif options.several:
        options.photos += options.several


def _write_sheet(options: argparse.Namespace) -> None:
    photos = _list_photos(options.photos)
    output: Path | None = options.output
    if output is None:
        if len(photos) > 1:
            raise ExportError("a sheet of several photos needs a name; name one with --output sheet.jpg")
        output = photos[0].with_name(f"{photos[0].stem}-sheet.jpg")
    styles = choose_styles(options.styles)
    controls = [
        Controls(stroke, strength, options.preserve_color)
        for stroke, strength in itertools.product(options.strokes or [None], options.strengths or [None])
    ]
    if len(photos) > 1 and len(styles) * len(controls) > 1:
        raise ExportError(
            f"{len(photos)} photos and {len(styles) * len(controls)} pictures of each are more than a sheet shows; "
            "name one photo, or one style with --styles and at most one of --strokes and of --strengths"
        )
    _check_output(output, photos, options.overwrite, styles)
    size: int = options.size
    decoded = [fit_within(decode(photo), options.max_size or size) for photo in photos]
    if len(photos) == 1:
        cells = show_styles(decoded[0], styles, options.threads, controls, size)
        columns = options.columns or (1 + len(controls) if len(controls) > 1 else None)
        sheet = draw_sheet(cells, size, columns)
        said = f"{len(styles)} {'style' if len(styles) == 1 else 'styles'} on '{photos[0]}'"
    else:
        stylizer = Stylizer(styles[0], options.threads)
        cells = show_photos(decoded, stylizer, controls[0], size)
        sheet = draw_sheet(cells, size, options.columns, heading=stylizer.name)
        said = f"'{stylizer.name}' on {len(photos)} photos"
    encode(sheet, output, options.quality)
    print(f"wrote '{output}' ({sheet.width} x {sheet.height} pixels): {said}")


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


def _watch(count: int) -> tqdm[NoReturn]:
    # No bar where nobody watches it: in a log it would be noise.
    return tqdm(total=count, unit="picture", disable=None)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.sheet",
        description="Show all ready styles, or those that are named, on one photo, or one style on many photos, "
        "on one sheet.",
        usage="%(prog)s PHOTO [PHOTO ...] [--styles STYLE ...] [--output SHEET] [options]",
        epilog="examples:\n  python -m export.sheet photo.jpg\n"
        "  python -m export.sheet photo.jpg --styles wave runs/mine/style.onnx --output sheet.jpg\n"
        "  python -m export.sheet photo.jpg --styles wave starry_night --strokes 0.5 1 2 4\n"
        "  python -m export.sheet photo.jpg --styles wave --strengths 0.25 0.5 0.75 1\n"
        "  python -m export.sheet a.jpg b.jpg holiday/ --styles wave --output wave.jpg",
    )
    parser.add_argument(
        "photos", nargs="*", type=Path, metavar="PHOTO", help="a photo, or with one style several, or folders of them"
    )
    parser.add_argument(
        "--styles",
        nargs="+",
        default=[],
        metavar="STYLE",
        help="ready styles, as python -m export.styles lists them, or .onnx files (default: all, each in one version)",
    )
    parser.add_argument(
        "--strokes",
        nargs="+",
        type=number_from(LEAST, MOST),
        default=[],
        metavar="FACTOR",
        help="sizes of the strokes to show side by side, as --stroke of python -m export.stylize",
    )
    parser.add_argument(
        "--strengths",
        nargs="+",
        type=read_strength,
        default=[],
        metavar="0-1.5",
        help="strengths of the style to show side by side, as --strength of python -m export.stylize",
    )
    parser.add_argument("--preserve-color", action="store_true", help="keep the photo's own colors")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="SHEET",
        help="the sheet, in the format of its ending (default for one photo: beside it, photo-sheet.jpg)",
    )
    parser.add_argument("--columns", type=positive, metavar="N", help="pictures in a row (default: by the shape)")
    parser.add_argument(
        "--size",
        type=integer(SMALLEST_SIZE, MAX_SIDE),
        default=360,
        metavar="PIXELS",
        help="long side of each picture on the sheet (default: %(default)s)",
    )
    parser.add_argument(
        "--max-size",
        type=positive,
        metavar="PIXELS",
        help="long side to which photos are scaled down before they are painted (default: that of --size)",
    )
    parser.add_argument(
        "--quality",
        type=integer(1, 100),
        default=90,
        metavar="1-100",
        help="quality of JPEG and WebP (default: %(default)s)",
    )
    parser.add_argument("--threads", type=threads, metavar="N", help="CPU threads (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace the sheet if it exists; never a photo")
    parser.add_argument("--photo", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--photos", dest="several", nargs="+", type=Path, help=argparse.SUPPRESS)
    return parser
