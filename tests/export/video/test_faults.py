"""``python -m export.video`` refuses what it cannot paint in one sentence, and leaves nothing half done."""

import subprocess
import sys

import av
import pytest

from data.images import encode, from_array
from export.video import command, reader
from tests import ROOT
from tests.export.video.clips import draw_frames, read_clip, run, write_clip
from tests.pictures import ramp


@pytest.fixture
def clip(folder):
    return write_clip(folder / "clip.mp4")


def interrupt_after(monkeypatch, count):
    """Let Ctrl-C come while the frame of that number is painted."""
    painted = []

    class Interrupted:
        def __init__(self, *words):
            pass

        def check_controls(self, *controls):
            pass

        def keep_budget(self):
            pass

        def __call__(self, picture, **controls):
            if len(painted) == count:
                raise KeyboardInterrupt
            painted.append(picture)
            return picture

    monkeypatch.setattr(command, "Stylizer", Interrupted)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".gif"])
def test_ctrl_c_leaves_a_file_that_plays(clip, same, monkeypatch, capsys, ending):
    interrupt_after(monkeypatch, 3)
    sound = ["--mute"] if ending == ".webm" else []
    assert run(same, clip, "--output", f"out{ending}", *sound) == 130
    assert len(read_clip(clip.with_name(f"out{ending}")).frames) == 3
    captured = capsys.readouterr()
    assert captured.err == f"stopped: 'out{ending}' holds the first 3 frames, 0.12 s\n"
    assert captured.out == ""
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.mp4", f"out{ending}"]


def test_ctrl_c_before_the_first_frame_leaves_nothing(clip, same, monkeypatch, capsys):
    interrupt_after(monkeypatch, 0)
    assert run(same, clip, "--output", "out.mp4") == 130
    assert capsys.readouterr().err == "stopped: nothing was written\n"
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_ctrl_c_keeps_the_frames_of_a_folder(clip, same, monkeypatch, capsys):
    interrupt_after(monkeypatch, 2)
    assert run(same, clip, "--output", "frames/") == 130
    assert "holds the first 2 frames" in capsys.readouterr().err
    assert sorted(path.name for path in (clip.parent / "frames").iterdir()) == ["000001.png", "000002.png"]


FOREIGN = {
    "text.mp4": b"no video at all\n" * 100,
    "list.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "concat.mp4": b"ffconcat version 1.0\nfile clip.mp4\n",
    "empty.mp4": b"",
    "mp4": b"\0\0\0\x20ftypisom",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_one_sentence(clip, same, one_error, name):
    clip.with_name(name).write_bytes(FOREIGN[name])
    assert run(same, name, "--output", "out.mp4") == 2
    assert f"clip '{name}' " in one_error()
    assert not clip.with_name("out.mp4").exists()


def test_a_photo_is_no_clip(clip, same, one_error):
    encode(from_array(ramp()), clip.with_name("photo.jpg"))
    assert run(same, "photo.jpg", "--output", "out.mp4") == 2
    assert "it is not a video, or is broken" in one_error()


def test_an_animated_webp_is_not_read_and_told_what_to_save_it_as(folder, same, one_error):
    one, two = map(from_array, draw_frames(2))
    one.save(folder / "anim.webp", save_all=True, append_images=[two], duration=100)
    assert run(same, "anim.webp", "--output", "out.mp4") == 2
    assert "it is a WebP, of which no frames are read here); save it anew as a GIF or an MP4" in one_error()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_broken_file_is_one_sentence(clip, same, one_error, share):
    content = clip.read_bytes()
    clip.write_bytes(content[: int(len(content) * share)])
    assert run(same, clip, "--output", "out.mp4") == 2
    assert "it is not a video, or is broken" in one_error()


def test_a_file_cut_short_is_painted_up_to_there(folder, same):
    clip = write_clip(
        folder / "clip.mkv", draw_frames(30), sound=None, codec="mjpeg", pixel_format="yuvj420p", full=True
    )
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) // 2])
    assert run(same, clip, "--output", "out.mkv") == 0
    assert 5 < len(read_clip(folder / "out.mkv").frames) < 30


def test_damage_within_is_left_out_and_said(folder, same, capsys):
    clip = write_clip(
        folder / "clip.mkv", draw_frames(30), sound=None, codec="mjpeg", pixel_format="yuvj420p", full=True
    )
    with av.open(str(clip)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][10]
        content = bytearray(clip.read_bytes())
        # A few bytes at the beginning belong to the container.
        content[packet.pos + 8 : packet.pos + packet.size] = b"\xff" * (packet.size - 8)
    clip.write_bytes(content)
    assert run(same, clip, "--output", "out.mkv") == 0
    said = capsys.readouterr()
    assert "damaged parts of the clip that were left out: 1)" in said.out
    assert said.err == ""
    assert len(read_clip(folder / "out.mkv").frames) == 29


def test_frames_beyond_the_bound_are_not_decoded(clip, same, one_error, monkeypatch):
    monkeypatch.setattr(reader, "MAX_PIXELS", 1000)
    assert run(same, clip, "--output", "out.mp4") == 2
    assert "frames of 48 x 32 pixels, and at most 1,000 in all are accepted" in one_error()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "clip.mp4", "--overwrite"], "'clip.mp4' is also an input"),
        (["--output", "old.mp4"], "'old.mp4' exists"),
        (["--output", "out.avi"], "let its name end in one of .mp4, "),
        (["--output", "absent/out.mp4"], "folder 'absent' does not exist"),
        (["--output", "full/"], "folder 'full' is not empty"),
        (["--output", ""], "an empty string is not a path"),
        (["--output", "out.mp4", "--start", "50"], "has no frame from 50 seconds on"),
        (["--output", "out.mp4", "--start", "-1"], "must be a number from 0"),
        (["--output", "out.mp4", "--fps", "0.0001"], "must be a number from 0.002"),
        (["--output", "out.mp4", "--fps", "30"], "--fps is for folders of frames"),
        (["--output", "out.gif", "--quality", "65"], "--quality is for MP4, MOV, MKV and WebM, and 'out.gif' becomes"),
        (["--output", "out/", "--quality", "65"], "--quality is for MP4, MOV, MKV and WebM, and 'out' becomes none"),
        (["--output", "out.webm"], "cannot hold the clip's sound (aac); let --output end in .mkv, or pass --mute"),
        (["second.mp4", "--output", "out.mp4"], "2 clips follow the style"),
    ],
)
def test_a_line_that_cannot_work_is_one_sentence(clip, same, one_error, words, said):
    clip.with_name("old.mp4").write_bytes(b"mine")
    clip.with_name("full").mkdir()
    clip.with_name("full").joinpath("mine.txt").touch()
    before = sorted(clip.parent.iterdir())
    assert run(same, "clip.mp4", *words) == 2
    assert said in one_error()
    assert sorted(clip.parent.iterdir()) == before
    assert clip.with_name("old.mp4").read_bytes() == b"mine"


def test_overwrite_replaces_the_output(clip, same):
    clip.with_name("old.mp4").write_bytes(b"mine")
    assert run(same, clip, "--output", "old.mp4", "--overwrite") == 0
    assert len(read_clip(clip.with_name("old.mp4")).frames) == 6


@pytest.mark.parametrize("output", ["frames/", "frames/painted/", "frames/a.gif"])
def test_frames_are_not_written_where_they_are_read(folder, same, one_error, output):
    for name in ("a.gif", "b.png"):
        (folder / "frames").mkdir(exist_ok=True)
        encode(from_array(ramp()), (folder / "frames" / name).with_suffix(".png"))
    (folder / "frames" / "a.png").rename(folder / "frames" / "a.gif")
    assert run(same, "frames", "--output", output, "--overwrite") == 2
    assert "lies where the frames are read" in (said := one_error()) or "is also an input" in said


def test_frames_of_two_sizes_are_one_sentence(folder, same, one_error):
    (folder / "frames").mkdir()
    encode(from_array(ramp(48, 32)), folder / "frames" / "1.png")
    encode(from_array(ramp(32, 48)), folder / "frames" / "2.png")
    assert run(same, "frames", "--output", "out.mp4") == 2
    assert "frames of one size are needed" in one_error()
    assert not (folder / "out.mp4").exists()


def test_a_missing_pyav_is_one_sentence_that_names_the_extra(clip, same, one_error, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for name in ("reader", "writer", "pictures"):
        monkeypatch.delitem(sys.modules, f"export.video.{name}")
    assert run(same, clip, "--output", "out.mp4") == 2
    assert 'run pip install "onestroke[video]"' in one_error()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_full_disk_is_one_sentence_and_leaves_nothing(folder, same):
    clip = write_clip(folder / "clip.mp4", draw_frames(60, 320, 240), sound=None)
    script = (
        "import resource, signal, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "from export.video.command import main\n"
        f"sys.exit(main(['{same}', '{clip}', '--output', '{folder}/out.mp4', '--threads', '1']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: '{folder}/out.mp4' cannot be written (File too large); make room, ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["clip.mp4"]
