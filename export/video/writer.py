"""Write a video file: painted frames encoded, the sound's packets as they came; needs PyAV."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.filter import Graph
from av.video.reformatter import VideoReformatter

from export.errors import ExportError
from export.video.frames import Clip, Frame, FrameFolder, Sound
from export.video.pictures import choose_color, from_picture
from export.video.reader import VideoClip

GIF_TICK = Fraction(1, 100)
"""Seconds of which a GIF's times are multiples."""

GIF_GAP = 2 * GIF_TICK
"""Shortest time between frames of a GIF, in seconds; browsers slow down those with shorter ones."""


@dataclass(frozen=True)
class Container:
    """A kind of video file.

    Args:
        name: FFmpeg's name of it.
        codec: The encoder for its pictures.
        worst: The encoder's constant rate factor of the worst quality; that of the best is 0.
        options: Further settings of the encoder.
    """

    name: str
    codec: str
    worst: int
    options: tuple[tuple[str, str], ...] = ()


_VP9 = (("deadline", "good"), ("cpu-used", "4"), ("row-mt", "1"))

CONTAINERS = {
    ".mp4": Container("mp4", "libx264", 51),
    ".mov": Container("mov", "libx264", 51),
    ".mkv": Container("matroska", "libx264", 51),
    ".webm": Container("webm", "libvpx-vp9", 63, _VP9),
}
"""By the ending of the file."""


class _FileWriter:
    """A file that FFmpeg writes."""

    def __init__(self, path: Path, name: str) -> None:
        # Python's file reports every failure to write, where FFmpeg's own misses those at the end.
        self._file = path.open("wb+")
        # PyAV has a type for streams of pictures, and does not tell that an encoder of pictures makes one.
        self._container: Any = av.open(self._file, "w", format=name)

    def abandon(self) -> None:
        """Let the file go as it is; FFmpeg completes none that is closed."""
        self._file.close()

    def _mux(self, packets: Any) -> None:
        try:
            self._container.mux(packets)
        except av.FFmpegError as error:
            raise self._explain(error) from error

    def _complete(self) -> None:
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise self._explain(error) from error
        self._file.flush()
        # Some file systems find out only here that there is no room.
        os.fsync(self._file.fileno())
        self._file.close()

    def _explain(self, error: av.FFmpegError) -> Exception:
        if isinstance(error, OSError):
            return OSError(error.errno, error.strerror)
        return ExportError(f"the video cannot be written ({error.strerror}); choose another kind of file")


class VideoWriter(_FileWriter):
    """Writes a video file with the clip's times, colors and sound.

    Args:
        path: The file to write.
        container: Its kind.
        clip: What is painted.
        quality: 1 to 100.

    Raises:
        ExportError: If this kind of file cannot hold the clip's sound.
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, container: Container, clip: FrameFolder | VideoClip, quality: int) -> None:
        super().__init__(path, container.name)
        color = clip.color if isinstance(clip, VideoClip) else choose_color(clip.width, clip.height)
        self._color = color
        self._reformatter = VideoReformatter()
        self._time_base = clip.time_base
        options = {"crf": str(round(container.worst * (1 - quality / 100))), **dict(container.options)}
        # The encoder's rate is for its own planning; frames have the times of the clip.
        rate = clip.rate.limit_denominator(1001)
        self._video = video = self._container.add_stream(container.codec, rate, options)
        video.width, video.height = clip.width + clip.width % 2, clip.height + clip.height % 2
        video.pix_fmt = "yuv420p"
        video.time_base = clip.time_base
        context = video.codec_context
        context.time_base = clip.time_base
        # Else the last frame is shown as long as the encoder's rate says.
        context.flags |= Flags.frame_duration
        context.sample_aspect_ratio = clip.aspect if isinstance(clip, VideoClip) else Fraction(1)
        context.color_range, context.colorspace = color.range, color.matrix
        context.color_trc, context.color_primaries = color.transfer, color.primaries
        self._sounds = [self._add_sound(sound) for sound in clip.sounds]

    def write(self, item: Frame | Sound) -> None:
        """Encode a frame, or copy a packet of sound.

        Raises:
            ExportError: If FFmpeg fails.
            OSError: If the file cannot be written.
        """
        if isinstance(item, Sound):
            item.packet.stream = self._sounds[item.track]
            self._mux([item.packet])
            return
        frame = from_picture(self._reformatter, item.picture, self._color)
        frame.time_base = self._time_base
        frame.pts = round(item.time / self._time_base)
        frame.duration = round(item.duration / self._time_base)
        self._mux(self._video.encode(frame))

    def close(self) -> None:
        """Write what the encoder holds back, and the file's index; raises as ``write`` does."""
        self._mux(self._video.encode())
        self._complete()

    def _add_sound(self, sound: Any) -> Any:
        try:
            added = self._container.add_stream_from_template(sound)
        except ValueError as error:
            self.abandon()
            raise ExportError(
                f"this kind of file cannot hold the clip's sound ({sound.codec_context.name}); let --output end in "
                ".mkv, or pass --mute"
            ) from error
        count = sound.codec_context.channels
        # AVI does not tell which channels there are, and MP4 has to: those that so many usually are, where it is known.
        with contextlib.suppress(ValueError):
            if sound.codec_context.layout.name == f"{count} channels":
                added.codec_context.layout = f"{count}c"
        added.metadata.update(sound.metadata)
        return added


class GifWriter(_FileWriter):
    """Writes a GIF that begins again at its end, each frame with the 256 colors that suit it; sound is left out.

    Args:
        path: The file to write.
        clip: What is painted.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, clip: Clip) -> None:
        super().__init__(path, "gif")
        self._video = video = self._container.add_stream("gif", 1 / GIF_TICK)
        video.width, video.height = clip.width, clip.height
        video.pix_fmt = "pal8"
        video.time_base = video.codec_context.time_base = GIF_TICK
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=clip.width, height=clip.height, format=av.VideoFormat("rgb24"), time_base=GIF_TICK
        )
        split = self._graph.add("split")
        palette = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        # An ordered pattern stays where it is from frame to frame; a diffused error would crawl.
        paint = self._graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        drain = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(paint, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(paint, 0, 1)
        paint.link_to(drain)
        self._graph.configure()

    def write(self, item: Frame | Sound) -> None:
        """Encode a frame; raises as ``VideoWriter.write`` does."""
        if isinstance(item, Frame):
            frame = av.VideoFrame.from_ndarray(item.picture, "rgb24")
            frame.time_base = GIF_TICK
            frame.pts = round(item.time / GIF_TICK)
            frame.duration = round(item.duration / GIF_TICK)
            self._graph.vpush(frame)
            self._drain()

    def close(self) -> None:
        """Write what the filters hold back, and the file's end; raises as ``write`` does."""
        self._graph.vpush(None)
        self._drain()
        self._mux(self._video.encode())
        self._complete()

    def _drain(self) -> None:
        while True:
            try:
                frame = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            packets = self._video.encode(frame)
            for packet in packets:
                # The encoder forgets it, and the last frame has no next one to tell.
                packet.duration = frame.duration
            self._mux(packets)
