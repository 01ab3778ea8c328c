"""Repaint a video, a GIF or a folder of frames with an exported style."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from data.files import make_folder, require_absent, stage_file
from data.images import Picture
from export.cli import (
    CommandParser,
    integer,
    number,
    number_from,
    positive,
    read_path_text,
    run_command,
    threads,
)
from export.controls import add_controls
from export.errors import ExportError
from export.runtime.stylizer import Stylizer
from export.runtime.tiles import TilePlan, Watch
from export.styles import choose_style, find_style
from export.video.frames import FrameFolder, FrameWriter, Sink
from export.video.pipeline import Paint, Progress, paint_clip
from export.video.steady import Steady

if TYPE_CHECKING:
    from export.video.reader import VideoClip

ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".gif")
"""Of the files that can be written."""

DEFAULT_QUALITY = 65
"""Of H.264 and VP9, 1 to 100: strokes look as they were painted, at x264's constant rate factor 18."""

DEFAULT_FPS = 25
"""Frames per second of a folder of frames."""

LEAST_FPS, MOST_FPS = 0.002, 1000
"""Frames per second of a folder of frames that a flag takes; a GIF shows none for longer than eleven minutes."""

MOST_GIF_FPS = 50
"""Most of them in a GIF."""

LONGEST = 1_000_000
"""Most seconds that a flag takes, some eleven days."""


def keep_steady(paint: Paint) -> Paint:
    """Return a function that paints the frames of one clip, in their order, and eases what stands still."""
    steady = Steady()

    def paint_steadily(photo: Picture) -> Picture:
        return steady(photo, paint(photo))

    return paint_steadily


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.video``; the process's own if None.

    Returns:
        The exit code: 0; 2 for a mistake that one sentence on stderr explains; 130 after Ctrl-C, which keeps what was
        painted until then.
    """
    options = _parser().parse_words(arguments)
    progress = Progress()
    return run_command(lambda: _repaint(options, progress), lambda: _describe_stop(options, progress))


def _repaint(options: argparse.Namespace, progress: Progress) -> None:
    _choose_paths(options)
    with _open_clip(options) as clip:
        stylizer = Stylizer(options.model, options.threads, options.provider)
        stylizer.check_controls(options.strength, options.stroke)
        # Tiles differ a little from one piece, and frames that take turns would flicker.
        stylizer.keep_budget()
        paint: Paint = functools.partial(
            stylizer,
            watch=_announce_tiles(),
            strength=options.strength,
            preserve_color=options.preserve_color,
            stroke=options.stroke,
        )
        if clip.note:
            tqdm.write(clip.note, file=sys.stderr)
        if options.steady:
            paint = keep_steady(paint)
        with _open_sink(options, clip) as sink:
            # disable=None shows the bar on a terminal and not in a log.
            with tqdm(total=clip.count, unit="frame", disable=None) as bar:
                whole = paint_clip(clip, paint, sink, progress, bar.update)
            if not progress.frames:
                raise KeyboardInterrupt
            sink.close()
        progress.kept = True
        if not whole:
            raise KeyboardInterrupt
        sound = "sound as it was" if clip.sounds else "no sound"
        damaged = f"; damaged parts of the clip that were left out: {clip.damaged}" if clip.damaged else ""
        print(f"wrote '{options.output}' ({clip.width} x {clip.height} pixels, {_count(progress)}, {sound}{damaged})")


def _announce_tiles() -> Watch:
    """Return what prints, once for a clip, that its frames are cut into tiles."""
    told: list[TilePlan] = []

    def tell(plan: TilePlan, _: int) -> None:
        if not told:
            told.append(plan)
            text = (
                f"frames do not fit into memory in one piece, so each is painted in {plan.count} tiles of {plan.side} "
                "pixels"
            )
            tqdm.write(text, file=sys.stderr)

    return tell


def _describe_stop(options: argparse.Namespace, progress: Progress) -> str:
    if not progress.kept:
        return "stopped: nothing was written"
    return f"stopped: '{options.output}' holds the first {_count(progress)}"


def _count(progress: Progress) -> str:
    return f"{progress.frames} {'frame' if progress.frames == 1 else 'frames'}, {float(progress.end):.2f} s"


def _choose_paths(options: argparse.Namespace) -> None:
    """Set ``model``, ``clip`` and ``output``; refuse an output that may not be written, before any work."""
    words: list[Path] = options.clip
    if options.style is not None:
        options.model = find_style(options.style)
    else:
        options.model, *words = words
    if len(words) != 1:
        found = f"{len(words)} clips follow" if words else "no clip follows"
        raise ExportError(f"{found} the style; name one, as in python -m export.video --style wave clip.mp4")
    if options.style is None:
        options.model = choose_style(str(options.model))
    (options.clip,) = words
    clip: Path = options.clip
    if not clip.exists():
        raise ExportError(f"clip '{clip}' does not exist; name a video, a GIF or a folder of frames")
    if options.fps is not None and not clip.is_dir():
        raise ExportError(f"--fps is for folders of frames, and '{clip}' is a file with times of its own; leave it out")
    options.output = output = _choose_output(options.output, clip, options.model)
    if options.fps is not None and options.fps > MOST_GIF_FPS and output.suffix.lower() == ".gif":
        raise ExportError(
            f"--fps is {options.fps:g}, and browsers show at most {MOST_GIF_FPS} frames of a GIF per second; pass "
            f"--fps {MOST_GIF_FPS}, or let --output end in .mp4"
        )
    if options.quality is not None and (_is_folder(output) or output.suffix.lower() == ".gif"):
        raise ExportError(f"--quality is for MP4, MOV, MKV and WebM, and '{output}' becomes none of them; leave it out")
    if _is_folder(output):
        if output.is_dir() and any(output.iterdir()) and not options.overwrite:
            raise ExportError(f"folder '{output}' is not empty; choose another --output, or pass --overwrite")
        if clip.is_dir() and clip.resolve() in (output.resolve(), *output.resolve().parents):
            raise ExportError(f"output '{output}' lies where the frames are read; choose another --output")
        return
    if not output.parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another --output")
    require_absent([output], options.overwrite, inputs=[clip, options.model])


def _choose_output(text: str | None, clip: Path, model: Path) -> Path:
    if text is None:
        ending = "" if clip.is_dir() else clip.suffix if clip.suffix.lower() in ENDINGS else ".mp4"
        return clip.absolute().with_name(f"{clip.resolve().name if clip.is_dir() else clip.stem}-{model.stem}{ending}")
    output = Path(text)
    if text.endswith(("/", os.sep)) or output.is_dir() or not output.suffix:
        return output
    if output.suffix.lower() not in ENDINGS:
        raise ExportError(
            f"video '{output}' cannot be written; let its name end in one of {', '.join(ENDINGS)}, or in a slash for a "
            "folder of frames"
        )
    return output


def _is_folder(output: Path) -> bool:
    return output.is_dir() or output.suffix.lower() not in ENDINGS


def _as_fraction(value: float) -> Fraction:
    # What was typed in decimals, which is a little more or less in binary.
    return Fraction(value).limit_denominator(10_000)


@contextlib.contextmanager
def _open_clip(options: argparse.Namespace) -> Iterator[FrameFolder | VideoClip]:
    start = _as_fraction(options.start or 0)
    duration = None if options.duration is None else _as_fraction(options.duration)
    if options.clip.is_dir():
        rate = _as_fraction(options.fps or DEFAULT_FPS)
        yield FrameFolder(options.clip, rate, options.max_size, start, duration)
        return
    with _needing_av():
        from export.video.reader import VideoClip
        from export.video.writer import GIF_GAP

    ending = options.output.suffix.lower()
    sound = not options.mute and ending in ENDINGS and ending != ".gif"
    gap = GIF_GAP if ending == ".gif" else Fraction(0)
    # A folder and a GIF do not say how wide pixels are, and of a WebM PyAV does not let us.
    square = ending not in (".mp4", ".mov", ".mkv")
    clip = VideoClip(options.clip, options.max_size, start, duration, sound, gap, square)
    try:
        yield clip
    finally:
        clip.close()


@contextlib.contextmanager
def _open_sink(options: argparse.Namespace, clip: FrameFolder | VideoClip) -> Iterator[Sink]:
    output: Path = options.output
    if _is_folder(output):
        is_new = not output.exists()
        make_folder(output)
        try:
            yield FrameWriter(output, clip.names)
        finally:
            # Only a folder without a frame can be removed.
            with contextlib.suppress(OSError):
                if is_new:
                    output.rmdir()
        return
    with _needing_av():
        from export.video.writer import CONTAINERS, GifWriter, VideoWriter

    # A clip that is a folder has no file to be replaced by mistake, but files.
    require_absent([output], options.overwrite, inputs=clip.paths)
    with stage_file(output) as staged:
        writer: VideoWriter | GifWriter
        if output.suffix.lower() == ".gif":
            writer = GifWriter(staged, clip)
        else:
            writer = VideoWriter(staged, CONTAINERS[output.suffix.lower()], clip, options.quality or DEFAULT_QUALITY)
        try:
            yield writer
        finally:
            writer.abandon()


@contextlib.contextmanager
def _needing_av() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "av":
            raise
        raise ExportError(
            'video files need av, which is not installed; run pip install "onestroke[video]", or pip install av in a '
            "checkout"
        ) from error


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.video",
        description="Repaint a video, a GIF or a folder of frames with an exported style. Sound is copied as it is; "
        "frames keep their times and come out upright. Ctrl-C keeps what was painted until then.",
        usage="%(prog)s (MODEL | --style NAME) CLIP [options]",
        epilog="examples:\n  python -m export.video --style wave clip.mp4 --output painted.mp4\n"
        "  python -m export.video wave.onnx clip.mov --output loop.gif --start 12 --duration 3 --max-size 480",
    )
    parser.add_argument(
        "clip",
        nargs="+",
        type=Path,
        metavar="CLIP",
        help="without --style first the .onnx file that python -m export wrote, or a ready style's name; then a video "
        "(MP4, MOV, MKV, WebM, AVI and others), a GIF, or a folder of frames",
    )
    parser.add_argument(
        "--style", metavar="NAME", help="a ready style in place of an .onnx file; python -m export.styles lists them"
    )
    parser.add_argument(
        "--output",
        type=read_path_text,
        metavar="PATH",
        help=f"a file that ends in {', '.join(ENDINGS)}, or a folder for the frames (default: beside the clip, "
        "clip-wave.mp4 for wave.onnx)",
    )
    add_controls(parser, "clip")
    parser.add_argument(
        "--max-size", type=positive, metavar="PIXELS", help="scale frames down to this long side (default: as they are)"
    )
    parser.add_argument(
        "--start",
        type=number_from(0, LONGEST),
        metavar="SECONDS",
        help="leave out what comes before (default: nothing)",
    )
    parser.add_argument(
        "--duration", type=number(0, LONGEST), metavar="SECONDS", help="paint so much of the clip (default: all)"
    )
    parser.add_argument(
        "--steady",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ease strokes where the clip stands still, so that they do not flicker (default: --steady)",
    )
    parser.add_argument("--mute", action="store_true", help="leave the sound out; GIFs and folders have none")
    parser.add_argument(
        "--fps",
        type=number_from(LEAST_FPS, MOST_FPS),
        metavar="N",
        help=f"frames per second of a folder of frames (default: {DEFAULT_FPS})",
    )
    parser.add_argument(
        "--quality",
        type=integer(1, 100),
        metavar="1-100",
        help=f"quality of MP4, MOV, MKV and WebM (default: {DEFAULT_QUALITY})",
    )
    parser.add_argument(
        "--threads", type=threads, metavar="N", help="CPU threads of the network (default: one per core)"
    )
    parser.add_argument(
        "--provider", metavar="NAME", help="where to compute, of those that ONNX Runtime lists (default: cpu)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists; never the clip")
    return parser
