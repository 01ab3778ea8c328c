"""A ready style's name in place of an ONNX file, with ``--style`` and without."""

import pytest

from export.stylize.command import main
from tests.export.stylize.stylize_command import read, save_photo


def test_a_ready_style_repaints_a_photo_beside_it(tmp_path, capsys):
    photo = save_photo(tmp_path / "photo.png", 24, 33)
    assert main(["--style", "wave_nano", str(photo), "--threads", "1"]) == 0
    assert read(tmp_path / "photo-wave_nano.png").size == (33, 24)
    assert "wrote" in capsys.readouterr().out


def test_a_ready_style_repaints_several_photos(tmp_path):
    photos = [str(save_photo(tmp_path / f"{name}.png")) for name in "ab"]
    assert main([*photos, "--style", "wave_nano", "--output", str(tmp_path / "painted"), "--threads", "1"]) == 0
    assert sorted(path.name for path in (tmp_path / "painted").iterdir()) == ["a.png", "b.png"]


def test_a_ready_style_may_stand_where_the_file_would(tmp_path):
    photo = save_photo(tmp_path / "photo.png", 24, 33)
    assert main(["wave_nano", str(photo), "--threads", "1"]) == 0
    assert read(tmp_path / "photo-wave_nano.png").size == (33, 24)


def test_a_file_goes_before_the_ready_style_of_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wave_nano").write_text("Dear sir or madam")
    assert main(["wave_nano", str(save_photo(tmp_path / "photo.png"))]) == 2
    assert "'wave_nano'" in capsys.readouterr().err


def test_a_folder_of_its_name_does_not_hide_a_ready_style(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wave_nano").mkdir()
    photo = save_photo(tmp_path / "photo.png", 24, 33)
    assert main(["wave_nano", str(photo), "--output", "wave_nano/", "--threads", "1"]) == 0
    assert read(tmp_path / "wave_nano" / "photo.png").size == (33, 24)
    (tmp_path / "wave").mkdir()
    assert main(["--blend", "wave,starry_night", str(photo), "--output", "mixed.png", "--threads", "1"]) == 0


def test_an_unknown_style_is_one_sentence_with_the_names_there_are(tmp_path, capsys):
    assert main(["--style", "waves", str(save_photo(tmp_path / "photo.png"))]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: there is no ready style 'waves'; choose one of ")
    assert "wave" in said


@pytest.mark.parametrize("name", ["photo.jpg", "wave.onnx"])
def test_a_single_file_without_a_style_is_refused(capsys, name):
    assert main([name]) == 2
    assert f"no photo follows '{name}'" in capsys.readouterr().err
