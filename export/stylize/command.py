"""Repaint photo files with an exported style: ``python -m export.stylize wave.onnx photo.jpg --output out.jpg``."""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from data.files import make_folder
from data.images import (
    MAX_SIDE,
    WRITABLE,
    ImageError,
    check_writable_format,
    check_writable_size,
    decode,
    encode,
    encode_bytes,
    fit_within,
    from_array,
    to_array,
    whiten_hidden,
)
from export.cli import (
    MOST_THREADS,
    CommandParser,
    integer,
    positive,
    read_path,
    read_path_text,
    run_command,
    threads,
)
from export.contract import CELL
from export.controls import add_controls
from export.errors import ExportError, ModelError
from export.runtime.blend import Blend, blend_styles
from export.runtime.memory import available_memory
from export.runtime.session import count_cores
from export.runtime.stylizer import Stylizer
from export.runtime.tiles import SMALLEST_TILE, TilePlan, Watch
from export.styles import choose_style, find_style, read_shares
from export.stylize.animation import describe_frames
from export.stylize.jobs import Job, is_whole, plan
from export.stylize.standard import NAME, STANDARD, read_content, require_output
from export.stylize.workers import Outcome, Paint, paint_in_processes, paint_on_ray
from export.terminal import make_printable, print_content, print_error

DEFAULT_QUALITY = 95
"""Of formats that have one, 1 to 100."""

LOSSLESS = ("PNG", "TIFF")
"""Formats that have no quality."""


def stylize_photo(
    stylizer: Stylizer,
    job: Job,
    max_size: int | None = None,
    quality: int = DEFAULT_QUALITY,
    watch: Watch | None = None,
    *,
    kind: str | None = None,
    strength: float = 1,
    preserve_color: bool = False,
    stroke: float = 1,
) -> tuple[int, int]:
    """Repaint one photo file.

    Args:
        stylizer: The style.
        job: The photo and the picture to write.
        max_size: The long side, in pixels, to which larger photos are scaled down; None keeps the size.
        quality: Of JPEG, WebP, AVIF and HEIC, 1 to 100.
        watch: Called with the plan and the number of finished tiles, if the photo is cut into tiles.
        kind: Format of the picture, one of ``data.images.WRITABLE``, if it goes to standard output; None for the
            photo's own, or PNG where that is only read.
        strength: As for ``Stylizer``.
        preserve_color: As for ``Stylizer``.
        stroke: As for ``Stylizer``.

    Returns:
        Width and height of the picture in pixels. It is upright; transparency is kept where the format has it.

    Raises:
        ImageError: If the photo cannot be read or the picture not written.
        ModelError: If the style fails on it, or it needs more memory than is available.
    """
    if job.output is not STANDARD:
        kind = check_writable_format(job.output)
    photo = decode(read_content() if job.photo is STANDARD else job.photo, keep_alpha=kind != "JPEG")
    if kind is None:
        kind = photo.format if photo.format in WRITABLE else "PNG"
    if max_size is not None:
        photo = fit_within(photo, max_size)
    # A panorama takes minutes to paint.
    check_writable_size(photo.size, kind, "the picture" if job.output is STANDARD else f"picture '{job.output}'")
    alpha = photo.getchannel("A") if photo.mode == "RGBA" else None
    # Colors that nobody sees would count in the norms' statistics, and scaling has changed them.
    pixels = to_array(photo if alpha is None else whiten_hidden(photo))
    # A large photo is not kept in memory twice while it is stylized.
    del photo
    picture = from_array(stylizer(pixels, watch, strength=strength, preserve_color=preserve_color, stroke=stroke))
    if alpha is not None:
        picture.putalpha(alpha)
    if job.output is STANDARD:
        print_content(encode_bytes(picture, kind, quality))
        return picture.size
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(
            f"folder '{job.output.parent}' cannot be created ({error.strerror}); choose another"
        ) from error
    encode(picture, job.output, quality)
    return picture.size


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.stylize``; the process's own if None.

    Returns:
        The exit code: 0; 1 if some photos of several failed; 2 for a mistake that one sentence on stderr explains; 130
        after Ctrl-C.
    """
    options = _parser().parse_words(arguments)
    tally = Tally()
    return run_command(
        lambda: _stylize(options, tally),
        lambda: f"stopped: {tally.written} pictures were written, each of them whole; --resume goes on",
    )


@dataclass
class Tally:
    """How many pictures were written, how many were there and whole, and what was wrong with other photos."""

    written: int = 0
    kept: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of one photo."""
        if outcome.error:
            self.failures.append(outcome.error)
        elif outcome.kept:
            self.kept += 1
        else:
            self.written += 1


def _stylize(options: argparse.Namespace, tally: Tally) -> int:
    choose_model(options)
    # disable=None shows the bar on a terminal and not in a log.
    with tqdm(desc="listing", unit="photo", disable=None, leave=False, delay=1) as bar:
        may_exist = options.overwrite or options.resume
        model = options.model
        path, models = (model.path, model.sources) if isinstance(model, Blend) else (model, None)
        jobs, several = plan(path, options.photos, options.output, may_exist, bar.update, models, options.format)
    job = next(iter(jobs))
    _refuse_idle_flags(options, job, several)
    stylizer = open_stylizer(options)
    stylizer.check_controls(options.strength, options.stroke)
    if job.output is STANDARD:
        if options.json:
            raise ExportError("--json and the picture would both go to standard output; name a file with --output")
        require_output()
    else:
        # Before any photo is repainted for a folder that cannot be written to.
        make_folder(Path(options.output) if several else job.output.parent)
    if several:
        return _stylize_several(stylizer, jobs, len(jobs), options, tally)
    return _stylize_one(stylizer, job, options)


def _refuse_idle_flags(options: argparse.Namespace, job: Job, several: bool) -> None:
    """Raise ExportError for a flag that was typed and would change nothing."""
    idle = "--ray" if options.ray else "--workers" if options.workers is not None else None
    if idle and not several:
        raise ExportError(f"{idle} is for several photos or a folder of them, and there is one; leave it out")
    # The photos of a folder may have several formats, and one from standard input is not read yet.
    kind = options.format
    if kind is None and not several and job.output is not STANDARD:
        kind = check_writable_format(job.output)
    if options.quality is not None and kind in LOSSLESS:
        raise ExportError(f"--quality is for JPEG, WebP, AVIF and HEIC, and {kind} keeps every pixel; leave it out")


def _stylize_one(stylizer: Stylizer, job: Job, options: argparse.Namespace) -> int:
    said = f"'{job.output}' is there and whole"
    started = time.perf_counter()
    if options.resume and job.output is not STANDARD and is_whole(job.output):
        report = _report(job, options, started, kept=True)
    else:
        try:
            with _TileBar(job.photo, announce=options.tile is None) as tiles:
                width, height = _repaint(stylizer, job, options, tiles.show)
        except (ImageError, ModelError) as error:
            if options.json:
                print(_report(job, options, started, error=str(error)))
            raise
        if job.photo is not STANDARD:
            _print_note(describe_frames(job.photo))
        said = f"wrote '{job.output}' ({width} x {height} pixels)"
        report = _report(job, options, started, width=width, height=height)
    if job.output is not STANDARD:
        print(report if options.json else said)
    return 0


def open_stylizer(options: argparse.Namespace, share: int = 1) -> Stylizer:
    """Open the style as the command line says.

    Args:
        options: The command line's.
        share: Processes that share the machine: its cores and its memory are divided among them.
    """
    threads, memory = options.threads, options.memory
    if share > 1:
        free = available_memory()
        threads = threads or max(1, count_cores() // share)
        memory = memory or (free and free * 9 // 10 // share)
    return Stylizer(options.model, threads=threads, provider=options.provider, memory_limit=memory, tile=options.tile)


def choose_model(options: argparse.Namespace) -> None:
    """Set ``options.model``: what ``--style`` or ``--blend`` names, or else the first of the words, a file or a style.

    Raises:
        ExportError: If there is no style of that name, styles cannot be blended, or no photo is left.
    """
    if options.style is not None:
        options.model = find_style(options.style)
    elif options.blend is not None:
        options.model = blend_styles(options.blend)
    else:
        options.model, *options.photos = options.photos
        standard = options.model is STANDARD
        if standard or not options.photos:
            problem = "a model is not read from standard input" if standard else f"no photo follows '{options.model}'"
            raise ExportError(f"{problem}; name a model and a photo, or --style NAME and a photo")
        options.model = choose_style(str(options.model))


def open_paint(options: argparse.Namespace, share: int | None = None) -> Paint:
    """Open the style in a worker, and return what repaints photos there.

    Args:
        options: The command line's.
        share: Processes that share the machine; None for as many as the cores suffice for.
    """
    stylizer = open_stylizer(options, share or count_cores() // (options.threads or 1))

    def paint(job: Job) -> Outcome:
        plans: list[TilePlan] = []
        outcome = _paint(stylizer, job, options, lambda plan, _: plans.append(plan))
        if plans and options.tile is None:
            tiles = _describe_tiles(job.photo, plans[0])
            return replace(outcome, note=f"{tiles}; {outcome.note}" if outcome.note else tiles)
        return outcome

    return paint


def _repaint(stylizer: Stylizer, job: Job, options: argparse.Namespace, watch: Watch) -> tuple[int, int]:
    """Repaint one photo as the command line says."""
    return stylize_photo(
        stylizer,
        job,
        options.max_size,
        options.quality or DEFAULT_QUALITY,
        watch,
        kind=options.format,
        strength=options.strength,
        preserve_color=options.preserve_color,
        stroke=options.stroke,
    )


def _paint(stylizer: Stylizer, job: Job, options: argparse.Namespace, watch: Watch) -> Outcome:
    """Repaint one photo of several, whose mistakes stop no other."""
    started = time.perf_counter()
    if options.resume and is_whole(job.output):
        return Outcome(kept=True, report=_report(job, options, started, kept=True))
    try:
        width, height = _repaint(stylizer, job, options, watch)
    except (ImageError, ModelError) as error:
        said = f"photo '{job.photo}': {error}" if isinstance(error, ModelError) else str(error)
        return Outcome(said, report=_report(job, options, started, error=said))
    report = _report(job, options, started, width=width, height=height)
    return Outcome(note=describe_frames(job.photo), report=report)


def _report(job: Job, options: argparse.Namespace, started: float, **found: Any) -> str:
    """Return the line of JSON about a photo, if the command line asks for one."""
    if not options.json:
        return ""
    model = options.model
    asked = {
        "style": model.title if isinstance(model, Blend) else model.stem,
        "strength": options.strength,
        "preserve_color": options.preserve_color,
        "stroke": options.stroke,
    }
    output = {} if "error" in found else {"output": str(job.output)}
    seconds = round(time.perf_counter() - started, 3)
    return json.dumps({"input": str(job.photo), **output, **found, "seconds": seconds, **asked})


def _stylize_several(
    stylizer: Stylizer, jobs: Iterable[Job], count: int, options: argparse.Namespace, tally: Tally
) -> int:
    with tqdm(total=count, unit="photo", disable=None) as bar:

        def tell(outcome: Outcome) -> None:
            tally.add(outcome)
            if outcome.report:
                print(outcome.report, flush=True)
            _print_note(outcome.note)
            bar.update()

        if options.ray:
            # Other machines have other current folders.
            options.model = model if isinstance(model := options.model, Blend) else model.absolute()
            options.threads = options.threads or 1
            paint_on_ray(jobs, functools.partial(open_paint, options), options.workers, options.threads, tell)
        elif (workers := min(options.workers or 1, count)) > 1:
            paint_in_processes(jobs, functools.partial(open_paint, options, workers), workers, tell)
        else:
            for job in jobs:
                with _TileBar(job.photo, announce=options.tile is None) as tiles:
                    tell(_paint(stylizer, job, options, tiles.show))
    for failure in tally.failures:
        print_error(failure)
    kept = f"; {tally.kept} were there and whole" if tally.kept else ""
    if not options.json:
        print(f"wrote {tally.written} of {count} pictures to '{options.output}'{kept}")
    return 1 if tally.failures else 0


def _print_note(note: str) -> None:
    if note:
        tqdm.write(make_printable(note), file=sys.stderr)


def _describe_tiles(photo: Path, plan: TilePlan) -> str:
    return (
        f"photo '{photo}' does not fit into memory in one piece, so it is painted at {plan.width} x {plan.height} "
        f"pixels in {plan.count} tiles of {plan.side} pixels"
    )


class _TileBar:
    """Prints that a photo is cut into tiles, unless --tile asked for that, and shows how many are done."""

    def __init__(self, photo: Path, announce: bool) -> None:
        self._photo = photo
        self._announce = announce
        self._bar: tqdm[Any] | None = None

    def show(self, plan: TilePlan, done: int) -> None:
        if self._bar is None:
            if self._announce:
                _print_note(_describe_tiles(self._photo, plan))
            self._bar = tqdm(total=plan.count, unit="tile", disable=None, leave=False)
        else:
            self._bar.update()

    def __enter__(self) -> _TileBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.stylize",
        description="Repaint photos with an exported style. Pictures come out upright and in the photo's size; "
        "transparency is kept where the format has it.",
        usage="%(prog)s (MODEL | --style NAME | --blend NAME:SHARE,NAME:SHARE) PHOTO [PHOTO ...] [options]",
        epilog="examples:\n  python -m export.stylize wave.onnx photo.jpg --output out.jpg\n"
        "  python -m export.stylize wave photo.jpg",
    )
    parser.add_argument(
        "photos",
        nargs="+",
        type=_photo,
        metavar="PHOTO",
        help="without --style first the .onnx file that python -m export wrote, or a ready style's name; then photos, "
        "or folders of photos; - is a photo from standard input",
    )
    model = parser.add_mutually_exclusive_group()
    model.add_argument(
        "--style", metavar="NAME", help="a ready style in place of an .onnx file; python -m export.styles lists them"
    )
    model.add_argument(
        "--blend",
        type=read_shares,
        metavar="NAME:SHARE,...",
        help="several styles of one start, mixed to one: wave:0.6,starry_night:0.4",
    )
    parser.add_argument(
        "--output",
        type=read_path_text,
        metavar="PATH",
        help="the picture, in the format of its ending, or for several photos a folder, in which the folders of the "
        "photos and their names are kept; - is standard output (default for one photo: beside it, photo-wave.jpg for "
        "wave.onnx, and for one from standard input: standard output)",
    )
    parser.add_argument(
        "--format",
        type=str.upper,
        choices=WRITABLE,
        help="format of the pictures in a folder, whose names then end in it (a.jpg.png), of one beside its photo, or "
        "of one that goes to standard output (default: the photo's, or PNG)",
    )
    add_controls(parser, "photo")
    parser.add_argument(
        "--max-size",
        type=positive,
        metavar="PIXELS",
        help="scale photos down to this long side (default: as they are)",
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        metavar="PIXELS",
        help="paint larger photos in tiles of this side, a multiple of 4, with statistics measured once per photo "
        "(default: only photos that do not fit into memory in one piece, in tiles as large as fit)",
    )
    parser.add_argument(
        "--memory",
        type=_bytes,
        metavar="SIZE",
        help="memory that one photo may take, such as 900MB or 2GB (default: nine tenths of what is free)",
    )
    parser.add_argument("--threads", type=threads, metavar="N", help="CPU threads (default: one per core)")
    parser.add_argument(
        "--provider", metavar="NAME", help="where to compute, of those that ONNX Runtime lists (default: cpu)"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace pictures that exist; never a photo itself")
    existing.add_argument(
        "--resume", action="store_true", help="leave pictures that exist and are whole, and paint the others"
    )
    parser.add_argument(
        "--workers",
        type=integer(1, MOST_THREADS),
        metavar="N",
        help="processes that paint the photos of a folder, and share cores and memory (default: 1)",
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="let the machines of a Ray cluster paint them: RAY_ADDRESS names it, --workers limits the processes",
    )
    parser.add_argument(
        "--quality",
        type=integer(1, 100),
        metavar="1-100",
        help=f"quality of JPEG, WebP, AVIF and HEIC (default: {DEFAULT_QUALITY})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON about each photo in place of words, for programs"
    )
    return parser


def _photo(text: str) -> Path:
    return STANDARD if text == NAME else read_path(text)


def _tile(text: str) -> int:
    if not re.fullmatch("[0-9]{1,7}", text) or not SMALLEST_TILE <= int(text) <= MAX_SIDE or int(text) % CELL:
        raise argparse.ArgumentTypeError(f"{text!r} must be a multiple of {CELL} from {SMALLEST_TILE} up to {MAX_SIDE}")
    return int(text)


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([MG])B?", text, re.IGNORECASE)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} must be an amount of memory, as in 900MB or 2GB")
    return round(float(found[1]) * {"M": 1e6, "G": 1e9}[found[2].upper()])
