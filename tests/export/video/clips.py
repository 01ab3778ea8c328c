"""Clips small enough for a test, drawn with PyAV, and what a written clip holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from export.video.command import main
from tests.pictures import ramp

TICK = Fraction(1, 1000)
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts", ".avi": "avi"}


def draw_frames(count: int = 6, width: int = 48, height: int = 32) -> list[NDArray[np.uint8]]:
    """Draw frames of a gentle ramp that grows bluer, so that each tells its number, and compression costs little."""
    gentle = 60 + ramp(width, height) // 2
    return [
        np.dstack([gentle[..., :2], np.full_like(gentle[..., 2], 40 + 20 * (index % 10))]) for index in range(count)
    ]


def write_clip(
    path: Path,
    frames: Sequence[NDArray[np.uint8]] | None = None,
    times: Sequence[int] | None = None,
    sound: str | None = "aac",
    rotation: int = 0,
    flip: bool = False,
    matrix: int = 1,
    full: bool = False,
    transfer: int = 1,
    codec: str | None = None,
    pixel_format: str = "yuv420p",
    tagged: bool = True,
    sound_first: bool = False,
    aspect: Fraction = Fraction(1),
    options: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip.

    Args:
        path: Its ending chooses the container.
        frames: RGB; ``draw_frames()`` if None.
        times: Of the frames, in milliseconds; 25 frames per second if None.
        sound: The encoder of a track as long as the clip; None for silence.
        rotation: Degrees, counter-clockwise, by which a player turns it.
        flip: Whether a player mirrors it from left to right.
        matrix: Number of the color matrix.
        full: Whether its range is full.
        transfer: Number of the transfer curve.
        codec: The encoder of the pictures; what the container usually has if None.
        pixel_format: What is encoded.
        tagged: Whether the file says how its numbers are colors.
        sound_first: Whether the sound is the first track.
        aspect: Width of a pixel by its height.
        options: Further ones of the encoder of the pictures.
    """
    pictures = draw_frames() if frames is None else frames
    stamps = [40 * index for index in range(len(pictures))] if times is None else times
    height, width = pictures[0].shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=FORMATS[path.suffix]) as container:
        made: Any = container
        track = made.add_stream(sound, 48000) if sound and sound_first else None
        encoder = codec or ("libvpx-vp9" if path.suffix == ".webm" else "libx264")
        video = made.add_stream(encoder, 25, {"crf": "4", **(options or {})})
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        video.codec_context.time_base = TICK
        video.codec_context.sample_aspect_ratio = aspect
        if tagged:
            context = video.codec_context
            context.colorspace, context.color_range = matrix, 2 if full else 1
            context.color_trc, context.color_primaries = transfer, 1
        if rotation or flip:
            video.set_display_rotation(rotation, hflip=flip)
        track = track or (made.add_stream(sound, 48000) if sound else None)
        if track is not None:
            track.layout = "stereo"
        for picture, stamp in zip(pictures, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(
                format=pixel_format,
                src_color_range=2,
                dst_colorspace={6: 5}.get(matrix, matrix),
                dst_color_range=2 if full else 1,
            )
            frame.pts, frame.time_base = stamp, TICK
            made.mux(video.encode(frame))
        made.mux(video.encode())
        if track is not None:
            write_sound(made, track, stamps[-1] + 40)
    return path


def write_sound(container: Any, track: Any, length: int) -> None:
    """Write noise of a length in milliseconds."""
    random = np.random.default_rng(0)
    for index in range(max(1, length * 48 // 1024)):
        samples = random.uniform(-0.5, 0.5, (2, 1024)).astype(np.float32)
        piece = av.AudioFrame.from_ndarray(samples, "fltp", layout="stereo")
        piece.sample_rate, piece.pts, piece.time_base = 48000, index * 1024, Fraction(1, 48000)
        container.mux(track.encode(piece))
    container.mux(track.encode())


@dataclass
class Content:
    """What a clip holds.

    Args:
        frames: RGB, as they are stored, by the file's own matrix and range.
        times: In seconds.
        packets: Of sound, track by track: seconds and bytes.
        tags: Matrix, range, transfer and primaries.
        rotation: In degrees.
        codec: Of the pictures.
    """

    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    times: list[Fraction] = field(default_factory=list)
    packets: list[list[tuple[Fraction, bytes]]] = field(default_factory=list)
    tags: tuple[int, int, int, int] = (0, 0, 0, 0)
    rotation: int = 0
    codec: str = ""


def read_clip(path: Path) -> Content:
    """Read a clip whole, with nothing of ours."""
    content = Content()
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        content.codec = stream.codec_context.name
        content.packets = [[] for _ in container.streams.audio]
        tracks = {sound.index: track for track, sound in enumerate(container.streams.audio)}
        for packet in container.demux():
            if packet.stream_index in tracks and packet.size:
                stamp = Fraction(0 if packet.pts is None else packet.pts) * packet.time_base
                content.packets[tracks[packet.stream_index]].append((stamp, bytes(packet)))
            elif packet.stream_index == stream.index:
                for frame in packet.decode():
                    content.frames.append(frame.reformat(format="rgb24", dst_color_range=2).to_ndarray())
                    content.times.append(Fraction(frame.pts) * frame.time_base)
                    content.tags = (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries)
                    content.rotation = frame.rotation
    return content


def sound_of(path: Path) -> list[list[bytes]]:
    """Return the packets of sound, track by track."""
    return [[data for _, data in track] for track in read_clip(path).packets]


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference of two pictures, in levels of 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other).mean())


def run(*arguments: object) -> int:
    """Run the command in this process with one thread; return its exit code."""
    try:
        return main([*map(str, arguments), "--threads", "1"])
    except SystemExit as stop:
        return int(str(stop.code))
