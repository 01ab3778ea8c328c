"""The slow mode knows its files, and which of them it may touch."""

import errno
from pathlib import Path

import pytest

from tests.train.slow.slow_command import slow
from train.dream.command import main as dream
from train.errors import TrainError
from train.slow.outputs import SlowFiles, require_output


def test_files_share_the_pictures_stem(tmp_path):
    files = SlowFiles(tmp_path / "a.b.png", keeps_steps=True)
    assert files.table.name == "a.b-curve.csv"
    assert files.plot.name == "a.b-curve.png"
    assert files.animation.name == "a.b.gif"
    assert files.step(7) == tmp_path / "a.b-steps" / "00007.png"


def test_gif_is_not_required_to_be_absent_where_none_is_made(tmp_path):
    (tmp_path / "out.gif").write_text("mine")
    SlowFiles(tmp_path / "out.png", keeps_steps=False).require_free([], overwrite=False)
    with pytest.raises(TrainError, match=r"out\.gif"):
        SlowFiles(tmp_path / "out.png", keeps_steps=True).require_free([], overwrite=False)


def test_another_name_of_a_picture_that_is_read_is_recognized(tmp_path):
    (tmp_path / "photo.png").write_text("photo")
    (tmp_path / "link.png").symlink_to("photo.png")
    with pytest.raises(TrainError, match="is also an input"):
        require_output(tmp_path / "link.png", [tmp_path / "photo.png"], overwrite=True)


def test_an_earlier_picture_is_not_overwritten(photo, one_error):
    (photo.parent / "out.png").write_text("precious")
    assert slow(photo) == 2
    assert "--overwrite" in one_error()
    assert (photo.parent / "out.png").read_text() == "precious"


@pytest.mark.parametrize(
    "name", ["out.gif", "out-curve.csv", "out-curve.png", "out.html", "out-steps/00001.png", "out-steps"]
)
def test_nothing_beside_the_picture_is_overwritten(photo, one_error, name):
    (photo.parent / name).parent.mkdir(exist_ok=True)
    (photo.parent / name).write_text("precious")
    assert slow(photo) == 2
    assert name in one_error()
    assert (photo.parent / name).read_text() == "precious"


def test_pictures_that_are_read_are_never_replaced(photo, one_error):
    (photo.parent / "out.gif").write_bytes(photo.read_bytes())
    (photo.parent / "out-steps").mkdir()
    (photo.parent / "out-steps" / "00300.png").write_bytes(photo.read_bytes())
    for options in (
        {"output": photo},
        {"content": photo.parent / "out.gif"},
        {"style": photo.parent / "out.gif"},
        {"start": photo.parent / "out-steps" / "00300.png"},
    ):
        assert slow(photo, overwrite="true", **options) == 2
        assert "is also an input" in one_error()
    assert not (photo.parent / "out.png").exists()


def test_overwriting_removes_earlier_intermediate_pictures_and_nothing_else(photo):
    steps = photo.parent / "out-steps"
    steps.mkdir()
    for name in ("00777.png", "mine.png"):
        (steps / name).write_text("earlier")
    assert slow(photo, overwrite="true", content="nowhere.jpg") == 2
    assert (steps / "00777.png").exists()
    assert slow(photo, overwrite="true") == 0
    assert sorted(path.name for path in steps.iterdir()) == ["00001.png", "00003.png", "00006.png", "mine.png"]


def test_overwriting_removes_the_animation_and_plot_that_are_not_made_again(photo, one_error):
    for name in ("out.gif", "out-curve.png"):
        (photo.parent / name).write_text("earlier")
    assert slow(photo, overwrite="true", save_every=0, content=photo.parent / "out.gif") == 2
    assert "out.gif' is also an input" in one_error()
    assert slow(photo, overwrite="true", save_every=0, iterations=1) == 0
    assert not (photo.parent / "out.gif").exists()
    assert not (photo.parent / "out-curve.png").exists()


def test_files_of_others_stay_where_nothing_is_overwritten(photo):
    (photo.parent / "out-steps").mkdir()
    for name in ("out.gif", "out-steps/00777.png"):
        (photo.parent / name).write_text("mine")
    assert slow(photo, save_every=0) == 0
    assert (photo.parent / "out.gif").read_text() == "mine"
    assert (photo.parent / "out-steps" / "00777.png").read_text() == "mine"


@pytest.mark.parametrize(
    "output", ["photo.png/s.png", "/proc/nope/s.png", "/proc/s.png", "folder.png", "a" * 300 + ".png"]
)
@pytest.mark.parametrize("command", ["slow", "dream"])
def test_place_that_cannot_be_written_is_refused_before_the_work(photo, one_error, monkeypatch, command, output):
    monkeypatch.setattr("train.slow.run.Task", None)
    monkeypatch.setattr("train.dream.run.VGGFeatures", None)
    (photo.parent / "folder.png").mkdir()
    place = photo.parent / output
    if command == "slow":
        assert slow(photo, output=place, overwrite="true") == 2
    else:
        assert dream(["--content", str(photo), "--output", str(place), "--overwrite"]) == 2
    assert "--output" in one_error()


@pytest.mark.parametrize(("full_from", "named"), [(1, "out.png"), (2, "out-curve.csv")])
def test_full_disk_is_one_sentence_that_names_the_file(photo, capsys, monkeypatch, full_from, named):
    write_bytes, written = Path.write_bytes, []

    def refuse(path, content):
        written.append(path)
        if len(written) >= full_from:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert slow(photo, iterations=1, save_every=0) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert f"{named}'" in said
    assert "No space left" in said
