"""What is finished takes its place in one step, and what fails leaves the former one there."""

from pathlib import Path

import pytest

from export.placement import replace_folder, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    for content in (b"first", b"second", "third, großé"):
        write_whole(tmp_path / "style.onnx", content)
        written = content.encode() if isinstance(content, str) else content
        assert (tmp_path / "style.onnx").read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == ["style.onnx"]


def test_a_file_that_cannot_be_written_whole_leaves_the_former_one(tmp_path, monkeypatch):
    write_whole(tmp_path / "style.onnx", b"former")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "style.onnx", b"next")
    assert [path.name for path in tmp_path.iterdir()] == ["style.onnx"]
    assert (tmp_path / "style.onnx").read_bytes() == b"former"


def make(folder, name):
    folder.mkdir()
    (folder / name).touch()
    return folder


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        replace_folder(make(tmp_path / "finished", name), tmp_path / "wave")
        assert [path.name for path in (tmp_path / "wave").iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["wave"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path):
    make(tmp_path / "wave", "former")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "absent", tmp_path / "wave")
    assert [path.name for path in (tmp_path / "wave").iterdir()] == ["former"]
    assert [path.name for path in tmp_path.iterdir()] == ["wave"]
