"""Reading, painting and writing overlap, in order, with a bounded number of frames in memory."""

import threading
from fractions import Fraction

import pytest

from export.video.frames import Frame, Sound
from export.video.pipeline import DEPTH, Progress, paint_clip
from tests.pictures import flat


class DrawnClip:
    """A clip of drawn frames, one piece of sound before each, which counts what is read and fails where it is told."""

    rate = Fraction(10)

    def __init__(self, count, fails_at=None):
        self.count = count
        self.read = 0
        self.fails_at = fails_at
        self.thread = None

    def __iter__(self):
        for index in range(self.count):
            self.thread = threading.get_ident()
            if index == self.fails_at:
                raise OSError("cannot be read")
            self.read += 1
            yield Sound(0, index)
            yield Frame(flat((index % 256, 0, 0), 4, 4), Fraction(index, 10), Fraction(1, 10))


class Recorder:
    """A sink that remembers what came, and fails where it is told."""

    def __init__(self, fails_at=None):
        self.items = []
        self.fails_at = fails_at
        self.thread = None

    def write(self, item):
        self.thread = threading.get_ident()
        if len(self.items) == self.fails_at:
            raise OSError("cannot be written")
        self.items.append(item)


def paint_all(clip, sink, paint=lambda picture: 255 - picture, watch=lambda: None):
    progress = Progress()
    return paint_clip(clip, paint, sink, progress, watch), progress


def test_frames_are_painted_and_sound_passes_in_order():
    sink = Recorder()
    whole, progress = paint_all(DrawnClip(30), sink)
    assert whole
    assert (progress.frames, progress.end) == (30, 3)
    assert [item.packet for item in sink.items[::2]] == list(range(30))
    assert [int(item.picture[0, 0, 0]) for item in sink.items[1::2]] == [255 - index for index in range(30)]
    assert [item.time for item in sink.items[1::2]] == [Fraction(index, 10) for index in range(30)]


def test_reading_painting_and_writing_have_threads_of_their_own():
    clip, sink, painting = DrawnClip(3), Recorder(), []
    paint_all(clip, sink, lambda picture: painting.append(threading.get_ident()) or picture)
    assert len({clip.thread, sink.thread, *painting}) == 3
    assert set(painting) == {threading.get_ident()}


def test_the_next_frames_are_read_while_one_is_painted():
    clip = DrawnClip(20)
    begun = []

    def paint(picture):
        # The reader goes on although this function has not returned.
        while clip.read < min(20, len(begun) + 2):
            threading.Event().wait(0.001)
        begun.append(picture)
        return picture

    assert paint_all(clip, Recorder(), paint)[0]


def test_memory_is_bounded_whatever_the_length():
    clip, sink = DrawnClip(500), Recorder()
    ahead = []
    paint_all(clip, sink, watch=lambda: ahead.append(clip.read - len(sink.items) // 2))
    assert len(ahead) == 500
    assert max(ahead) <= 2 * DEPTH + 1


def test_an_error_of_the_reader_comes_out():
    with pytest.raises(OSError, match="cannot be read"):
        paint_all(DrawnClip(10, fails_at=5), Recorder())


def test_an_error_of_the_writer_comes_out():
    with pytest.raises(OSError, match="cannot be written"):
        paint_all(DrawnClip(10), Recorder(fails_at=7))


def test_an_error_of_the_network_comes_out_and_the_threads_end():
    def paint(picture):
        raise ValueError("cannot be painted")

    before = threading.active_count()
    with pytest.raises(ValueError, match="cannot be painted"):
        paint_all(DrawnClip(10), Recorder(), paint)
    assert threading.active_count() == before


def test_ctrl_c_writes_what_was_painted():
    sink = Recorder()

    def paint(picture):
        if picture[0, 0, 0] == 6:
            raise KeyboardInterrupt
        return picture

    whole, progress = paint_all(DrawnClip(10), sink, paint)
    assert not whole
    assert progress.frames == 6
    assert sum(isinstance(item, Frame) for item in sink.items) == 6
