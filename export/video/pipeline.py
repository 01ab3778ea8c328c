"""Read, paint and write a clip at the same time, a few frames of it in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction

from data.images import Picture
from export.video.frames import Clip, Frame, Sink, Sound

Paint = Callable[[Picture], Picture]
"""Repaints a picture, RGB, uint8, shape (H, W, 3), in the same size."""

DEPTH = 4
"""Frames and packets that are read ahead of the network, and that wait behind it to be written, at most."""


@dataclass
class Progress:
    """How far a clip has come.

    Args:
        frames: Frames painted.
        end: Seconds from the beginning to the end of the last.
        kept: Whether they are in their place, complete.
    """

    frames: int = 0
    end: Fraction = Fraction(0)
    kept: bool = False


def paint_clip(clip: Clip, paint: Paint, sink: Sink, progress: Progress, watch: Callable[[], object]) -> bool:
    """Paint all frames of a clip, one thread reading ahead and one writing behind.

    After Ctrl-C, what was painted is written before the function returns.

    Args:
        clip: What is painted.
        paint: Called in this thread, in the order of the frames.
        sink: Takes the painted frames and the sound in their order, and is not closed.
        progress: Kept up to date.
        watch: Called after each frame.

    Returns:
        Whether the whole clip was painted; false after Ctrl-C.

    Raises:
        Exception: What reading, painting or writing raises.
    """
    items = iter(clip)
    reading, writing = ThreadPoolExecutor(1, "reading"), ThreadPoolExecutor(1, "writing")
    behind: deque[Future[None]] = deque()
    try:
        ahead: deque[Future[Frame | Sound | None]] = deque(reading.submit(next, items, None) for _ in range(DEPTH))
        while True:
            item = ahead.popleft().result()
            if item is None:
                break
            ahead.append(reading.submit(next, items, None))
            if isinstance(item, Frame):
                item = replace(item, picture=paint(item.picture))
            if len(behind) == DEPTH:
                behind.popleft().result()
            behind.append(writing.submit(sink.write, item))
            if isinstance(item, Frame):
                progress.frames += 1
                progress.end = item.time + (item.duration or 1 / clip.rate)
                watch()
        complete = True
    except KeyboardInterrupt:
        complete = False
    finally:
        # The clip may be closed as soon as nobody reads from it.
        reading.shutdown(cancel_futures=True)
        writing.shutdown()
    for written in behind:
        written.result()
    return complete
