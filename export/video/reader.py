"""Read a video file: upright pictures with their times, and the sound's packets as they are; needs PyAV."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from export.errors import ExportError
from export.video.frames import LAID_ON_WHITE, Frame, Sound, fit_size
from export.video.pictures import is_transparent, read_color, to_picture, upright_size

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,ogg,asf"
"""FFmpeg's readers that may open a clip. Others, such as playlists, open further files or addresses."""

MAX_PIXELS = 36_000_000
"""Largest frame that is decoded, in pixels: 8K, of which a decoder keeps some twenty in memory."""

DEFAULT_RATE = Fraction(25)
"""Frames per second of a file that does not say."""

_DEFAULT_TIME_BASE = Fraction(1, 1000)
_JUMPING = ("mpegts", "mpeg")  # Files that may be put one behind the other, each with times of its own.
_JUMP_BACK, _JUMP_AHEAD = Fraction(-1, 10), 10  # Seconds between packets beyond which it is that, as ffmpeg has them.
_LEAD = 10  # Seconds before a place, in which files that are searched only roughly have a frame to begin with.
_LONG_LEAD = 60  # Likewise where it is not checked that there is one.


class VideoClip:
    """A video file, whose first frame is read at once.

    Packets that cannot be decoded are left out, as players do.

    Args:
        path: MP4, MOV, MKV, WebM, AVI, GIF, MPEG, FLV, Ogg or ASF.
        max_size: Long side in pixels to which larger frames are scaled down; None keeps the size.
        start: Seconds to leave out at the beginning.
        duration: Seconds to read; None for all that follow.
        sound: Whether sound is read, too.
        least_gap: Seconds that frames are apart at least; those that come sooner are left out.
        square: Whether pixels that are not square become so, by scaling the longer side of each down.

    Raises:
        ExportError: If the file is absent, empty, broken or not a video, its frames are too large, or none is left.

    Attributes:
        width: Of every upright frame, in pixels.
        height: Of every upright frame, in pixels.
        rate: Frames per second, on the average.
        time_base: Seconds of which all times are multiples.
        count: About how many frames there are; None if the file does not say.
        sounds: The tracks of sound, without those of a kind that FFmpeg does not know, as of phones' spatial sound.
        paths: The file.
        names: None, as the frames have none.
        color: How the numbers of the first frame are colors.
        aspect: Width of a pixel by its height, 1 in nearly every file.
        damaged: Packets that could not be decoded so far.
        note: What of the clip is lost or laid on white, a sentence a line; empty if nothing is.
    """

    names: Sequence[str] | None = None

    def __init__(
        self,
        path: Path,
        max_size: int | None = None,
        start: Fraction = Fraction(0),
        duration: Fraction | None = None,
        sound: bool = True,
        least_gap: Fraction = Fraction(0),
        square: bool = False,
    ) -> None:
        self.paths: Sequence[Path] = [path]
        self.damaged = 0
        self._least_gap = least_gap
        self._square = square
        self._duration = duration
        self._max_size = max_size
        self._size: tuple[int, int] | None = None
        self._latest: dict[int, int] = {}
        self._shift = Fraction(0)
        self._expected: dict[int, Fraction] = {}
        self._reached = Fraction(0)
        self._reformatter = VideoReformatter()
        self._open(sound)
        try:
            self.rate: Fraction = self._video.guessed_rate or self._video.average_rate or DEFAULT_RATE
            self.time_base: Fraction = self._video.time_base or _DEFAULT_TIME_BASE
            self._offset = max(Fraction(0), Fraction(self._container.start_time or 0, av.time_base)) + start
            self.count = self._estimate_count(start)
            if start and not self._seek():
                self._container.close()
                self._open(sound)
            items = self._read()
            ahead: list[Frame | Sound] = []
            while self._size is None:
                item = next(items, None)
                if item is None:
                    raise ExportError(self._explain_no_frame(start))
                ahead.append(item)
            self._items: Iterator[Frame | Sound] = itertools.chain(ahead, items)
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame | Sound]:
        """Read frames and sound in the order of the file, once."""
        return self._items

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _open(self, sound: bool) -> None:
        self._container = _open(self.paths[0])
        try:
            self._video = _find_video(self.paths[0], self._container)
        except BaseException:
            self._container.close()
            raise
        self._jumps = self._container.format.name in _JUMPING
        tracks = self._container.streams.audio if sound else ()
        # Of a kind that FFmpeg does not know, nothing is known that a file would have to tell about it.
        self.sounds: Sequence[Any] = [track for track in tracks if track.codec_context is not None]
        self._unknown = len(tracks) - len(self.sounds)

    def _seek(self) -> bool:
        """Go to a place from which all frames that are wanted can be decoded; tell whether that worked."""
        if self._jumps:
            # A time may come in each of several recordings made one, so all are read, and what is early is skipped.
            return True
        place = max(0, int((self._offset - _LEAD) * av.time_base))
        try:
            self._container.seek(place)
            frames = itertools.chain.from_iterable(map(self._decode, self._container.demux(self._video)))
            first = next(frames, None)
            self.damaged = 0
            if first is None or self._time(first, None) > 0:
                return False
            self._container.seek(place)
        except av.FFmpegError:
            return False
        return True

    def _read(self) -> Iterator[Frame | Sound]:
        tracks = {sound.index: track for track, sound in enumerate(self.sounds)}
        unfinished = {self._video.index, *tracks}
        earlier: Fraction | None = None
        packets = self._container.demux(self._video, *self.sounds)
        while unfinished:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                # What a file that was cut short holds up to there is good.
                self.damaged += 1
                return
            # Of the empty packets at the end, which make a decoder give what it holds back, only this is theirs.
            index = packet.stream.index
            if index not in unfinished:
                continue
            if self._jumps and packet.dts is not None:
                self._join_times(packet, index, packet.dts)
                if packet.dts * packet.time_base < self._offset - _LONG_LEAD:
                    continue
            if index in tracks:
                when = self._cut_sound(packet)
                if when == _INSIDE:
                    yield Sound(tracks[index], packet)
                elif when == _AFTER:
                    unfinished.discard(index)
                continue
            for frame in self._decode(packet):
                time = self._time(frame, earlier)
                if time < 0 or (earlier is not None and time - earlier < self._least_gap):
                    continue
                if self._duration is not None and time >= self._duration:
                    unfinished.discard(self._video.index)
                    break
                earlier = time
                yield self._take(frame, time)

    def _join_times(self, packet: av.Packet[Any], index: int, dts: int) -> None:
        """Give a packet a time after the one before it where the file's own jump, as in two recordings made one."""
        time = dts * packet.time_base + self._shift
        expected = self._expected.get(index, time)
        # A track alone may pause; before a pause of all, frames may be decoded that are shown after it.
        if time - expected < _JUMP_BACK or time - max(expected, self._reached) > _JUMP_AHEAD:
            self._shift += expected - time
            time = expected
        self._expected[index] = time + (packet.duration or 0) * packet.time_base
        ticks = round(self._shift / packet.time_base)
        packet.dts = dts + ticks
        if packet.pts is not None:
            packet.pts += ticks
            self._reached = max(self._reached, packet.pts * packet.time_base)

    def _decode(self, packet: av.Packet[Any]) -> list[Any]:
        try:
            return list(packet.decode())
        except av.FFmpegError:
            self.damaged += 1
            return []

    def _take(self, frame: av.VideoFrame, time: Fraction) -> Frame:
        if self._size is None:
            self.color = read_color(frame)
            self.note = self._describe_losses(frame)
            width, height = upright_size(frame)
            aspect = self._video.sample_aspect_ratio or Fraction(1)
            self.aspect = 1 / aspect if (width, height) != (frame.width, frame.height) else aspect
            if self._square:
                # Neither side grows: what a file says of its pixels has no bound.
                wide, self.aspect = self.aspect, Fraction(1)
                if wide > 1:
                    height = max(1, round(height / wide))
                else:
                    width = max(1, round(width * wide))
            self._size = self.width, self.height = fit_size(width, height, self._max_size)
        duration = Fraction((frame.duration or 0) * (frame.time_base or self.time_base))
        if self._duration is not None:
            duration = min(duration, self._duration - time)
        return Frame(to_picture(self._reformatter, frame, *self._size), time, duration)

    def _describe_losses(self, frame: av.VideoFrame) -> str:
        notes = [LAID_ON_WHITE] if is_transparent(frame) else []
        # VP8 and VP9 have it in a second stream, which FFmpeg's own decoders leave out; the tag has either case.
        if any(key.lower() == "alpha_mode" and value == "1" for key, value in self._video.metadata.items()):
            notes.append(
                "the clip's transparency cannot be decoded, so colors below it show; save it anew as a folder of "
                "PNG frames to have them laid on white"
            )
        if frame.interlaced_frame:
            notes.append("the clip is interlaced, so what moves is painted as a comb; deinterlace it first")
        if self._unknown:
            notes.append(f"tracks of sound of an unknown kind, which are left out: {self._unknown}")
        return "\n".join(notes)

    def _time(self, frame: av.VideoFrame, earlier: Fraction | None) -> Fraction:
        """Return a frame's time from the beginning of what is read, in seconds, later than that of the one before."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            return Fraction(0) if earlier is None else earlier + 1 / self.rate
        time = stamp * Fraction(frame.time_base or self.time_base) - self._offset
        return time if earlier is None else max(time, earlier + self.time_base)

    def _cut_sound(self, packet: av.Packet[Any]) -> str:
        """Count a packet's time from the beginning of what is read; tell whether it lies inside of that."""
        if packet.size == 0 or packet.dts is None:
            return _BEFORE
        shift = round(self._offset / packet.time_base)
        packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        # A piece before the beginning of the whole file, which some encoders need, is kept.
        if packet.dts < 0 and shift > 0:
            return _BEFORE
        if self._duration is not None and packet.dts * packet.time_base >= self._duration:
            return _AFTER
        if packet.dts <= self._latest.get(packet.stream_index, packet.dts - 1):
            # No file can hold sound that goes back in time.
            self.damaged += 1
            return _BEFORE
        self._latest[packet.stream_index] = packet.dts
        return _INSIDE

    def _estimate_count(self, start: Fraction) -> int | None:
        known: Fraction | None = None
        if self._video.duration:
            known = self._video.duration * self.time_base
        elif self._container.duration:
            known = Fraction(self._container.duration, av.time_base)
        left = self._duration if known is None else max(known - start, Fraction(0))
        if left is None:
            return self._video.frames or None
        seconds = left if self._duration is None else min(left, self._duration)
        counted = Fraction(self._video.frames, 1) / known if known and self._video.frames else self.rate
        rate = min(counted, 1 / self._least_gap) if self._least_gap else counted
        return max(1, round(seconds * rate))

    def _explain_no_frame(self, start: Fraction) -> str:
        if self.damaged or not start:
            return f"clip '{self.paths[0]}' has no frame that can be decoded; copy it again, or save it anew as an MP4"
        return f"clip '{self.paths[0]}' has no frame from {float(start):g} seconds on; choose a smaller --start"


_BEFORE, _INSIDE, _AFTER = "before", "inside", "after"


def _open(path: Path) -> av.container.InputContainer:
    remedy = "name an MP4, MOV, MKV, WebM, AVI or GIF file, or a folder of frames"
    if not path.is_file():
        raise ExportError(f"clip '{path}' {'is not a file' if path.exists() else 'does not exist'}; {remedy}")
    if path.stat().st_size == 0:
        raise ExportError(f"clip '{path}' is empty; {remedy}")
    try:
        # Texts such as titles may be of any encoding, and are not needed.
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        return av.open(str(path.absolute()), "r", container_options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        # Not a reader on the list, or not one at all.
        foreign = isinstance(error, (av.InvalidDataError, av.ArgumentError))
        reason = "it is not a video, or is broken" if foreign else error.strerror
        if foreign and _is_webp(path):
            reason, remedy = "it is a WebP, of which no frames are read here", "save it anew as a GIF or an MP4"
        raise ExportError(f"clip '{path}' cannot be read ({reason}); {remedy}") from error


def _is_webp(path: Path) -> bool:
    """Return whether a file is a WebP, which may be animated but is none of ``FORMATS``."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def _find_video(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    # The cover of an album is a stream of pictures, too.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise ExportError(f"clip '{path}' holds no moving pictures; name a video")
    video = streams[0]
    context = video.codec_context
    if context is None or not context.width or not context.height:
        raise ExportError(f"clip '{path}' is of a kind that cannot be decoded here; save it anew as an MP4")
    if context.width * context.height > MAX_PIXELS:
        raise ExportError(
            f"clip '{path}' has frames of {context.width} x {context.height} pixels, and at most {MAX_PIXELS:,} in all "
            "are accepted; scale it down first"
        )
    # One thread is faster than any network, and each further one would keep frames of its own.
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return video
