"""``--style NAME`` repaints with a ready style in place of an ONNX file."""

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


def test_an_unknown_style_is_one_sentence_with_the_names_there_are(tmp_path, capsys):
    assert main(["--style", "waves", str(save_photo(tmp_path / "photo.png"))]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: there is no ready style 'waves'; choose one of ")
    assert "wave" in said


@pytest.mark.parametrize("name", ["photo.jpg", "wave.onnx"])
def test_a_single_file_without_a_style_is_refused(capsys, name):
    assert main([name]) == 2
    assert f"no photo follows '{name}'" in capsys.readouterr().err
