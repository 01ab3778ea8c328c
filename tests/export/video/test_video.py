"""``python -m export.video``: what of a clip stays as it was, and what the painted file holds."""

import sys
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import PIL.Image
import pytest

from data.images import encode, from_array
from export.graph.targets import choose_form
from export.runtime import stylizer
from export.runtime.stylizer import Stylizer
from models.network import NetworkConfig
from tests.export.small_export import add_strength, export_style, make_network
from tests.export.video.clips import difference, draw_frames, read_clip, run, sound_of, write_clip
from tests.pictures import flat

UNEVEN = [0, 40, 50, 130, 135, 300]


@pytest.mark.parametrize(
    ("ending", "sound"), [(".mp4", "aac"), (".mov", "pcm_s16le"), (".mkv", "flac"), (".webm", "libopus")]
)
def test_sound_is_copied_byte_for_byte(folder, same, ending, sound):
    clip = write_clip(folder / f"clip{ending}", sound=sound)
    assert run(same, clip, "--output", f"out{ending}") == 0
    before, after = read_clip(clip), read_clip(folder / f"out{ending}")
    assert len(before.packets[0]) > 2
    assert after.packets == before.packets


def test_sound_of_an_avi_goes_into_an_mp4(folder, same):
    clip = write_clip(folder / "clip.avi", sound="pcm_s16le", codec="mjpeg", pixel_format="yuvj422p", full=True)
    assert run(same, clip, "--output", "out.mp4") == 0
    assert sound_of(folder / "out.mp4") == sound_of(clip)


def test_sound_of_an_unknown_kind_is_left_out_and_told(folder, same, capsys):
    clip = write_clip(folder / "clip.mp4")
    content = clip.read_bytes()
    assert content.count(b"mp4a") == content.count(b"esds") == 1
    clip.write_bytes(content.replace(b"mp4a", b"apac").replace(b"esds", b"dapa"))
    assert run(same, clip, "--output", "out.mp4") == 0
    assert capsys.readouterr().err == "tracks of sound of an unknown kind, which are left out: 1\n"
    assert sound_of(folder / "out.mp4") == []


def test_a_clip_whose_sound_is_its_first_track_keeps_its_last_frames(folder, same):
    clip = write_clip(folder / "clip.mp4", sound_first=True)
    assert run(same, clip, "--output", "out.mp4") == 0
    assert len(read_clip(folder / "out.mp4").frames) == 6


def test_frames_keep_their_uneven_times_and_their_pictures(folder, same, capsys):
    clip = write_clip(folder / "clip.mp4", times=UNEVEN)
    assert run(same, clip, "--output", "out.mp4", "--no-steady") == 0
    assert "wrote 'out.mp4' (48 x 32 pixels, 6 frames, " in capsys.readouterr().out
    content = read_clip(folder / "out.mp4")
    assert content.times == [Fraction(time, 1000) for time in UNEVEN]
    assert all(difference(a, b) < 3 for a, b in zip(content.frames, draw_frames(), strict=True))


@pytest.mark.parametrize(
    ("rotation", "flip", "turn"),
    [
        (90, False, lambda upright: np.rot90(upright, -1)),
        (180, False, lambda upright: np.rot90(upright, 2)),
        (-90, False, lambda upright: np.rot90(upright, 1)),
        (0, True, lambda upright: upright[:, ::-1]),
        (90, True, lambda upright: np.rot90(upright[:, ::-1], -1)),
    ],
)
def test_frames_come_out_upright(folder, same, rotation, flip, turn):
    upright = draw_frames(2)
    clip = write_clip(folder / "clip.mp4", [turn(frame) for frame in upright], rotation=rotation, flip=flip)
    assert run(same, clip, "--output", "out.mp4", "--no-steady") == 0
    content = read_clip(folder / "out.mp4")
    assert content.rotation == 0
    assert all(difference(a, b) < 3 for a, b in zip(content.frames, upright, strict=True))


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full", [False, True])
def test_color_range_and_matrix_are_kept(folder, same, ending, matrix, full):
    clip = write_clip(folder / f"clip{ending}", matrix=matrix, full=full, sound=None)
    assert run(same, clip, "--output", f"out{ending}", "--no-steady") == 0
    before, after = read_clip(clip), read_clip(folder / f"out{ending}")
    assert after.tags[:2] == before.tags[:2] == (matrix, 2 if full else 1)
    assert all(difference(a, b) < 3 for a, b in zip(after.frames, draw_frames(), strict=True))


@pytest.mark.parametrize(("width", "matrix"), [(48, 6), (1280, 1)])
def test_a_file_that_names_no_colors_is_read_as_players_do(folder, same, width, matrix):
    frames = draw_frames(1, width)
    clip = write_clip(folder / "clip.mp4", frames, matrix=matrix, tagged=False, sound=None)
    assert run(same, clip, "--output", "out.mp4") == 0
    content = read_clip(folder / "out.mp4")
    assert content.tags[:2] == (matrix, 1)
    assert difference(content.frames[0], frames[0]) < 3


@pytest.mark.slow
def test_high_dynamic_range_becomes_ordinary(folder, same):
    clip = write_clip(folder / "clip.mp4", matrix=9, transfer=18, pixel_format="yuv420p10le", sound=None)
    assert run(same, clip, "--output", "out.mp4") == 0
    assert read_clip(folder / "out.mp4").tags == (1, 1, 1, 1)


def test_odd_sides_grow_by_repeating_the_last_pixels(folder, same):
    frame = flat((200, 60, 60), 37, 25)
    frame[:, -1] = (0, 0, 255)
    clip = write_clip(folder / "clip.mp4", [frame] * 2, pixel_format="yuv444p", sound=None)
    assert run(same, clip, "--output", "out.mp4", "--quality", 95) == 0
    picture = read_clip(folder / "out.mp4").frames[0]
    assert picture.shape == (26, 38, 3)
    assert difference(picture[:25, 36:], np.broadcast_to(frame[:, -1:], (25, 2, 3))) < 12


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(4, 3), (48, 24)), (Fraction(3, 4), (36, 32))])
def test_pixels_become_square_where_the_file_cannot_tell_that_they_are_not(folder, same, aspect, size):
    clip = write_clip(folder / "clip.mp4", aspect=aspect, sound=None)
    for ending, (width, height), kept in ((".mp4", (48, 32), aspect), (".webm", size, 1), (".gif", size, None)):
        assert run(same, clip, "--output", f"out{ending}") == 0
        with av.open(str(folder / f"out{ending}")) as found:
            video = found.streams.video[0]
            assert (video.width, video.height, video.sample_aspect_ratio) == (width, height, kept)


def test_a_clip_that_is_interlaced_is_told(folder, same, capsys):
    clip = write_clip(folder / "clip.mp4", sound=None, options={"flags": "+ildct+ilme", "x264-params": "tff=1"})
    assert run(same, clip, "--output", "out.mp4") == 0
    assert "the clip is interlaced" in capsys.readouterr().err


def test_max_size_scales_down_to_even_sides(folder, same):
    clip = write_clip(folder / "clip.mp4", draw_frames(2, 100, 60))
    assert run(same, clip, "--output", "out.mp4", "--max-size", 51) == 0
    assert read_clip(folder / "out.mp4").frames[0].shape == (30, 50, 3)


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_a_part_begins_at_zero_with_its_own_sound(folder, same, ending):
    frames = draw_frames(10)
    clip = write_clip(folder / f"clip{ending}", frames)
    whole = read_clip(clip)
    begin = whole.packets[0][0][0] if ending == ".ts" else 0
    assert run(same, clip, "--output", "out.mkv", "--start", 0.12, "--duration", 0.16, "--no-steady") == 0
    content = read_clip(folder / "out.mkv")
    # The pictures of a transport stream begin later than its sound, by the coder's 1024 samples.
    late = 21 if ending == ".ts" else 0
    assert content.times == [Fraction(late + time, 1000) for time in (0, 40, 80, 120)]
    assert all(difference(a, b) < 3 for a, b in zip(content.frames, frames[3:7], strict=True))
    kept = [data for _, data in content.packets[0]]
    expected = [data for time, data in whole.packets[0] if 0.12 <= time - begin < 0.28]
    assert len(kept) == len(expected) == 8
    # A transport stream puts seven bytes of its own before each piece.
    assert all(data.endswith(piece) for data, piece in zip(expected, kept, strict=True))
    assert all(-0.001 <= time < 0.16 for time, _ in content.packets[0])


def test_recordings_put_one_behind_the_other_are_one_clip(folder, same, capsys):
    clip = write_clip(folder / "clip.ts", sound_first=True)
    clip.write_bytes(clip.read_bytes() * 2)
    assert run(same, clip, "--output", "out.mp4") == 0
    assert "left out" not in capsys.readouterr().out
    content = read_clip(folder / "out.mp4")
    assert len(content.times) == 12
    assert all(0.03 < after - before < 0.12 for before, after in pairwise(content.times))


def test_a_pause_of_one_track_is_no_jump(folder, same):
    clip = write_clip(folder / "clip.ts", times=[0, 40, 80, 15_000, 15_040, 15_080])
    assert run(same, clip, "--output", "out.mp4") == 0
    times = read_clip(folder / "out.mp4").times
    assert [round(1000 * (time - times[0])) for time in times] == [0, 40, 80, 15_000, 15_040, 15_080]


def test_a_part_of_recordings_put_one_behind_the_other_may_begin_in_any(folder, same):
    clip = write_clip(folder / "clip.ts", draw_frames(30), range(0, 30_000, 1000), sound=None)
    clip.write_bytes(clip.read_bytes() * 2)
    assert run(same, clip, "--output", "out.mp4", "--start", 20) == 0
    assert len(read_clip(folder / "out.mp4").times) == 40


def test_titles_of_another_encoding_do_no_harm(folder, same):
    clip = write_clip(folder / "clip.mp4")
    content = clip.read_bytes()
    assert b"VideoHandler" in content
    clip.write_bytes(content.replace(b"VideoHandler", b"Vid\xe9o\xff\x8andler"))
    assert run(same, clip, "--output", "out.mp4") == 0


def test_sound_can_be_left_out(folder, same, capsys):
    clip = write_clip(folder / "clip.mp4")
    assert run(same, clip, "--output", "out.mp4", "--mute") == 0
    assert sound_of(folder / "out.mp4") == []
    assert "no sound" in capsys.readouterr().out


def test_webm_has_vp9_and_the_others_h264(folder, same):
    clip = write_clip(folder / "clip.webm", sound="libopus")
    for ending, codec in {".webm": "vp9", ".mkv": "h264", ".mp4": "h264"}.items():
        assert run(same, clip, "--output", f"out{ending}") == 0
        assert read_clip(folder / f"out{ending}").codec == codec


def test_quality_is_paid_for_in_bytes(folder, same):
    clip = write_clip(folder / "clip.mp4", sound=None)
    sizes = []
    for quality in (20, 60, 95):
        assert run(same, clip, "--output", "out.mp4", "--quality", quality, "--overwrite") == 0
        sizes.append((folder / "out.mp4").stat().st_size)
    assert sizes == sorted(set(sizes))


def test_a_gif_keeps_its_times_and_begins_again(folder, same):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    pictures = [PIL.Image.fromarray(flat(color, 31, 21)) for color in colors]
    durations = [100, 250, 60]
    pictures[0].save(folder / "clip.gif", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    assert run(same, "clip.gif", "--output", "out.gif", "--no-steady") == 0
    with PIL.Image.open(folder / "out.gif") as found:
        assert found.info["loop"] == 0
        assert (found.size, found.n_frames) == ((31, 21), 3)
        for index, color in enumerate(colors):
            found.seek(index)
            assert found.info["duration"] == durations[index]
            assert difference(np.asarray(found.convert("RGB")), flat(color, 31, 21)) < 4


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".gif"])
def test_the_last_frame_is_shown_as_long_as_it_was(folder, same, ending):
    first, last = (from_array(frame) for frame in draw_frames(2))
    first.save(folder / "clip.gif", save_all=True, append_images=[last], duration=[100, 2000])
    for flags, seconds in (([], 2.1), (["--duration", 1.1], 1.1)):
        assert run(same, "clip.gif", "--output", f"out{ending}", "--overwrite", *flags) == 0
        with av.open(str(folder / f"out{ending}")) as found:
            assert found.duration / av.time_base == pytest.approx(seconds, abs=0.011)


def test_transparency_of_a_gif_is_laid_on_white(folder, same):
    picture = PIL.Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 10, 20))
    picture.save(folder / "clip.gif", save_all=True, append_images=[picture.transpose(1)], duration=100)
    assert run(same, "clip.gif", "--output", "frames/", "--no-steady") == 0
    frame = np.asarray(PIL.Image.open(folder / "frames" / "000001.png"))
    assert frame[10, 5].tolist() == [255, 0, 0]
    assert frame[10, 15].tolist() == [255, 255, 255]


ON_WHITE = "frames are transparent in places, and are laid on white\n"


@pytest.mark.parametrize(("alpha", "said"), [(0, ON_WHITE), (255, "")])
def test_transparency_that_is_laid_on_white_is_told(folder, same, capsys, alpha, said):
    frame = np.dstack([draw_frames(1)[0], np.full((32, 48), alpha, np.uint8)])
    (folder / "frames").mkdir()
    PIL.Image.fromarray(frame).save(folder / "frames" / "1.png")
    with av.open(str(folder / "clip.mov"), "w") as container:
        video = container.add_stream("qtrle", 25, width=48, height=32, pix_fmt="argb")
        container.mux(video.encode(av.VideoFrame.from_ndarray(frame, "rgba").reformat(format="argb")))
        container.mux(video.encode())
    for number, clip in enumerate(("frames", "clip.mov")):
        assert run(same, clip, "--output", f"out{number}.mp4") == 0
        assert capsys.readouterr().err == said
        picture = read_clip(folder / f"out{number}.mp4").frames[0]
        assert difference(picture, np.full_like(picture, 255) if alpha == 0 else frame[..., :3]) < 4


def test_transparency_that_is_not_decoded_is_told(folder, same, capsys):
    with av.open(str(folder / "clip.webm"), "w") as container:
        video = container.add_stream("libvpx-vp9", 25, width=48, height=32, pix_fmt="yuv420p")
        video.metadata["alpha_mode"] = "1"
        container.mux(video.encode(av.VideoFrame.from_ndarray(draw_frames(1)[0], "rgb24")))
        container.mux(video.encode())
    assert run(same, "clip.webm", "--output", "out.mp4") == 0
    assert "transparency cannot be decoded, so colors below it show" in capsys.readouterr().err


def test_a_gif_of_a_fast_clip_has_the_frames_that_browsers_show(folder, same):
    clip = write_clip(folder / "clip.mp4", draw_frames(8), times=range(0, 80, 10))
    assert run(same, clip, "--output", "out.gif") == 0
    with PIL.Image.open(folder / "out.gif") as found:
        assert found.n_frames == 4


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(folder, same):
    frames = draw_frames(3)
    for name, frame in zip(("f2.png", "f10.png", "f1.jpg"), (frames[1], frames[2], frames[0]), strict=True):
        (folder / "frames").mkdir(exist_ok=True)
        encode(from_array(frame), folder / "frames" / name)
    assert run(same, "frames", "--output", "out.mp4", "--fps", 10, "--no-steady") == 0
    content = read_clip(folder / "out.mp4")
    assert content.times == [Fraction(0), Fraction(1, 10), Fraction(2, 10)]
    assert all(difference(a, b) < 4 for a, b in zip(content.frames, frames, strict=True))
    assert run(same, "frames", "--start", 0.04, "--duration", 0.04, "--no-steady") == 0
    assert [path.name for path in (folder / "frames-same").iterdir()] == ["f2.png"]


def write_frames(folder, *names):
    for name, frame in zip(names, draw_frames(len(names)), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        encode(from_array(frame), folder / name)


def test_frames_of_folders_in_the_folder_keep_their_places(folder, same):
    write_frames(folder / "frames", "1.png", "deep/2.png")
    assert run(same, "frames", "--output", "painted/") == 0
    assert (folder / "painted" / "1.png").is_file()
    assert (folder / "painted" / "deep" / "2.png").is_file()


def test_frames_that_would_get_one_name_are_refused(folder, same, one_error):
    write_frames(folder / "frames", "1.jpg", "1.png", "2.png")
    assert run(same, "frames", "--output", "painted/") == 2
    assert "such as '1.png'" in one_error()
    assert not (folder / "painted").exists()
    assert run(same, "frames", "--output", "out.mp4", "--start", 0) == 0
    assert len(read_clip(folder / "out.mp4").frames) == 3


def test_a_shorter_clip_leaves_none_of_a_longer_ones_frames(folder, same):
    clip = write_clip(folder / "clip.mp4")
    assert run(same, clip, "--output", "frames/") == 0
    for mine in ("20240501.png", "notes.txt"):
        (folder / "frames" / mine).write_text("mine")
    assert run(same, clip, "--output", "frames/", "--duration", 0.08, "--overwrite") == 0
    found = sorted(path.name for path in (folder / "frames").iterdir())
    assert found == ["000001.png", "000002.png", "20240501.png", "notes.txt"]


def test_frames_are_painted_alike_whatever_memory_is_free_later(folder, monkeypatch, capsys):
    (folder / "frames").mkdir()
    for index, frame in enumerate(draw_frames(2, 768, 512)):
        encode(from_array(frame), folder / "frames" / f"{index}.png")
    model = export_style(folder / "style.onnx", make_network(NetworkConfig(8, 0)))
    free = iter([Stylizer(model, threads=1).estimate_memory(512, 768), 10**10])
    monkeypatch.setattr(stylizer, "available_memory", lambda: next(free))
    assert run(model, "frames", "--output", "painted/") == 0
    assert next(free) == 10**10
    assert capsys.readouterr().err.count("frames do not fit into memory in one piece") == 1


def test_the_default_output_is_beside_the_clip(folder, same):
    write_clip(folder / "deep" / "clip.mkv")
    assert run(same, "deep/clip.mkv") == 0
    assert sorted(path.name for path in (folder / "deep").iterdir()) == ["clip-same.mkv", "clip.mkv"]


@pytest.mark.parametrize("style", [("--style=wave_nano",), ("wave_nano",)])
def test_a_ready_style_paints_a_clip(folder, style):
    clip = write_clip(folder / "clip.mp4", draw_frames(2))
    assert run(*style, clip, "--output", "out.mp4") == 0
    content = read_clip(folder / "out.mp4")
    assert len(content.frames) == 2
    assert difference(content.frames[0], draw_frames(1)[0]) > 10


def test_strength_is_what_is_asked_for(folder):
    (folder / "frames").mkdir()
    photo = draw_frames(1)[0]
    encode(from_array(photo), folder / "frames" / "1.png")
    network = add_strength(make_network(NetworkConfig(8, 0)))
    model = export_style(folder / "style.onnx", network, form=choose_form(None, None, strength=True))
    for strength, expected in {0: photo, 0.7: Stylizer(model, threads=1)(photo, strength=0.7)}.items():
        assert run(model, "frames", "--output", f"painted{strength}/", "--strength", strength) == 0
        with PIL.Image.open(folder / f"painted{strength}" / "1.png") as painted:
            np.testing.assert_array_equal(np.asarray(painted), expected)


def test_stroke_and_colors_are_what_is_asked_for(folder):
    (folder / "frames").mkdir()
    photo = draw_frames(1)[0]
    encode(from_array(photo), folder / "frames" / "1.png")
    model = export_style(folder / "style.onnx", make_network(NetworkConfig(8, 0)))
    wishes = {"large": {"stroke": 2}, "colors": {"preserve_color": True}}
    flags = {"large": ["--stroke", 2], "colors": ["--preserve-color"]}
    for name, chosen in wishes.items():
        assert run(model, "frames", "--output", f"{name}/", *flags[name]) == 0
        with PIL.Image.open(folder / name / "1.png") as painted:
            np.testing.assert_array_equal(np.asarray(painted), Stylizer(model, threads=1)(photo, **chosen))


def test_help_needs_no_pyav(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert run("--help") == 0
    assert "--steady" in capsys.readouterr().out
