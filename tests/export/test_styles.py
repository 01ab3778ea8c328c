"""Ready styles are found by name in one folder, and are those that the style files of ``models/pretrained`` give."""

from pathlib import Path

import pytest

from export import styles
from export.errors import ExportError
from export.runtime.stylizer import Stylizer
from export.styles import FOLDER, choose_styles, find_style, list_styles, main, read_shares
from models.style_file import load_style

KEPT = sorted(FOLDER.parent.glob("*.safetensors"))


def test_names_are_those_of_the_files(tmp_path):
    for name in ("wave.onnx", "brush.onnx", "README.md"):
        (tmp_path / name).touch()
    assert list_styles(tmp_path) == ["brush", "wave"]
    assert find_style("wave", tmp_path) == tmp_path / "wave.onnx"
    assert list_styles(tmp_path / "absent") == []


@pytest.mark.parametrize("name", ["waves", "../wave", "wave.onnx", ""])
def test_an_unknown_name_is_refused_with_those_that_exist(tmp_path, name):
    folder = tmp_path / "onnx"
    folder.mkdir()
    (folder / "wave.onnx").touch()
    (tmp_path / "wave.onnx").touch()
    with pytest.raises(ExportError, match=r"there is no ready style '.*'; choose one of wave"):
        find_style(name, folder)


def test_a_path_where_a_name_is_asked_for_is_told_what_opens_it():
    for path in ("wave.onnx", "mine/wave"):
        with pytest.raises(ExportError, match=rf"without --style, and in Python with Stylizer\('{path}'\)"):
            find_style(path)
    with pytest.raises(ExportError) as caught:
        find_style("waves")
    assert "Stylizer" not in str(caught.value)


def test_a_folder_without_styles_names_the_command_that_writes_them(tmp_path):
    with pytest.raises(ExportError, match="run make styles"):
        find_style("wave", tmp_path)


def test_styles_are_chosen_by_name_or_path(tmp_path):
    ready = tmp_path / "ready"
    (ready / "folder").mkdir(parents=True)
    for name in ("brush", "wave"):
        (ready / f"{name}.onnx").touch()
    own = tmp_path / "own.onnx"
    own.touch()
    assert choose_styles([], ready) == [ready / "brush.onnx", ready / "wave.onnx"]
    (ready / "wave_nano.onnx").touch()
    assert choose_styles([], ready) == [ready / "brush.onnx", ready / "wave.onnx"]
    assert choose_styles(["wave_nano"], ready) == [ready / "wave_nano.onnx"]
    assert choose_styles(["wave", str(own), str(ready / "folder")], ready) == [
        ready / "wave.onnx",
        own,
        ready / "folder",
    ]
    with pytest.raises(ExportError, match=r"gone\.onnx' does not exist; name a file"):
        choose_styles([str(tmp_path / "gone.onnx")], ready)
    with pytest.raises(ExportError, match="there is no ready style 'chalk'; choose one of brush, wave"):
        choose_styles(["chalk"], ready)


def test_a_folder_hides_no_ready_style_where_only_files_are_taken(tmp_path, monkeypatch):
    ready = tmp_path / "ready"
    ready.mkdir()
    (ready / "wave.onnx").touch()
    (tmp_path / "wave").mkdir()
    monkeypatch.chdir(tmp_path)
    assert choose_styles(["wave"], ready) == [ready / "wave.onnx"]
    assert choose_styles(["wave"], ready, takes_folders=True) == [Path("wave")]


def test_no_ready_style_at_all_names_the_remedy(tmp_path):
    with pytest.raises(ExportError, match=r"name \.onnx files, or run make styles"):
        choose_styles([], tmp_path)


def test_the_command_lists_one_name_a_line(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == list_styles()


def test_the_command_fails_where_there_are_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(styles, "list_styles", lambda: [])
    assert main([]) == 2
    assert "run make styles" in capsys.readouterr().err


def test_every_kept_style_is_ready():
    assert list_styles() == [path.stem for path in KEPT], "run make styles and commit models/pretrained/onnx"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_ready_style_comes_from_the_training_that_its_style_file_names(path):
    kept, ready = load_style(path)[1], Stylizer(find_style(path.stem), threads=1).card
    for field in ("license", "perceptual_source", "training_config", "project_version", "steps", "held_out_loss"):
        assert getattr(ready, field) == getattr(kept, field), f"{field}: run make styles"
    assert ready.style == kept.name


def test_the_colon_of_a_drive_is_no_shares():
    assert read_shares("C:\\a.onnx,D:\\b.onnx:0.4,wave") == {"C:\\a.onnx": 1, "D:\\b.onnx": 0.4, "wave": 1}
