"""What is finished takes its place in one step, and what fails leaves the former one there."""

import errno
import os
from pathlib import Path

import pytest

from data.files import OutputError, make_folder, require_absent, require_only, stage_file, stage_folder, write_whole


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


def test_what_the_system_refuses_is_told_of_the_path_that_was_asked_for(tmp_path):
    with pytest.raises(OutputError, match=r"absent/style\.onnx' cannot be written \(No such file or directory\); make"):
        write_whole(tmp_path / "absent" / "style.onnx", b"")


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    path = tmp_path / ("x" * 250 + ".onnx")
    write_whole(path, b"whole")
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_block_that_fails_leaves_neither_file_nor_folder(tmp_path):
    def fail(stage, name):
        with stage(tmp_path / name) as partial:
            assert partial.parent == tmp_path
            if stage is stage_file:
                partial.touch()
            raise KeyboardInterrupt

    for stage in (stage_file, stage_folder):
        with pytest.raises(KeyboardInterrupt):
            fail(stage, "style")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        with stage_folder(tmp_path / "wave") as partial:
            (partial / name).touch()
        assert [path.name for path in (tmp_path / "wave").iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["wave"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "former").touch()
    rename = Path.rename
    refused = []

    def fail_once(path, target):
        if target == tmp_path / "wave" and not refused:
            refused.append(path)
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(OutputError, match=r"wave' cannot be written \(No space left"), stage_folder(tmp_path / "wave"):
        pass
    assert [path.name for path in (tmp_path / "wave").iterdir()] == ["former"]
    assert [path.name for path in tmp_path.iterdir()] == ["wave"]


def test_a_folder_is_made_with_its_parents_and_stays_empty(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "new" / "report")
    assert list((tmp_path / "new" / "report").iterdir()) == []


@pytest.mark.parametrize(("name", "reason"), [("file", "is a file"), ("file/report", "Not a directory")])
def test_a_folder_that_takes_no_file_is_refused_in_a_sentence(tmp_path, name, reason):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=rf"{reason}.*choose another --json"):
        make_folder(tmp_path / name, "--json")


def test_what_exists_is_named_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "b").touch()
    require_absent([tmp_path / "a"], overwrite=False)
    require_absent([tmp_path / "b"], overwrite=True)
    with pytest.raises(OutputError, match=r"b' exists.*--overwrite"):
        require_absent([tmp_path / "a", tmp_path / "b"], overwrite=False)


def test_the_folder_that_one_is_in_is_not_replaced(tmp_path, monkeypatch):
    inside = tmp_path / "site" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for output in (Path(), Path(".."), inside):
        with pytest.raises(OutputError, match="is the folder that you are in, or holds it"), stage_folder(output):
            pass
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["inside"]


def test_a_folder_that_cannot_be_made_leaves_none_of_its_parents(tmp_path):
    with pytest.raises(OutputError, match="File name too long"):
        make_folder(tmp_path / "new" / ("x" * 300))
    assert not list(tmp_path.iterdir())


def test_a_file_that_the_system_cut_short_does_not_take_the_path(tmp_path, monkeypatch):
    write_whole(tmp_path / "style.onnx", b"former")
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.ftruncate(descriptor, 2))
    with pytest.raises(OutputError, match=r"style\.onnx' cannot be written \(2 of 4 bytes were written\); make room"):
        write_whole(tmp_path / "style.onnx", b"next")
    assert [path.name for path in tmp_path.iterdir()] == ["style.onnx"]
    assert (tmp_path / "style.onnx").read_bytes() == b"former"


def test_a_link_to_a_folder_stays_and_its_folder_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "first").touch()
    (tmp_path / "site").symlink_to("elsewhere")
    with stage_folder(tmp_path / "site") as partial:
        (partial / "second").touch()
    assert (tmp_path / "site").is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["second"]
    assert {path.name for path in tmp_path.iterdir()} == {"site", "elsewhere"}


@pytest.mark.parametrize("kind", ["file", "deeper", "link"])
def test_a_folder_with_a_file_of_somebody_elses_is_not_to_be_replaced(tmp_path, kind):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "wave.onnx").touch()
    require_only(tmp_path, ["models/wave.onnx", "styles.json"])
    foreign = {"file": tmp_path / "mine.png", "deeper": tmp_path / "models" / "mine.onnx", "link": tmp_path / "photos"}
    if kind == "link":
        foreign[kind].symlink_to(tmp_path / "models")
    else:
        foreign[kind].touch()
    with pytest.raises(OutputError, match=rf"'{foreign[kind]}' was not written by this program"):
        require_only(tmp_path, ["models/wave.onnx", "styles.json"])


def test_a_copy_for_which_there_is_no_room_is_told_of_the_folder_that_was_asked_for(tmp_path):
    original = tmp_path / "app.js"

    def fill(site):
        with stage_folder(site) as partial:
            raise OSError(errno.ENOSPC, "No space left on device", str(original), None, str(partial / "app.js"))

    with pytest.raises(OutputError, match=r"site' cannot be written \(No space left on device\); make room"):
        fill(tmp_path / "site")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_is_never_replaced_by_any_of_its_names(tmp_path):
    model, link = tmp_path / "model.onnx", tmp_path / "link.json"
    model.touch()
    link.symlink_to(model)
    (tmp_path / "hard.json").hardlink_to(model)
    for output in (model, link, tmp_path / "hard.json", tmp_path / ".." / tmp_path.name / "model.onnx"):
        with pytest.raises(OutputError, match="is also an input; choose another --json"):
            require_absent([output], True, "--json", [None, "", tmp_path / "absent", str(model)])
    require_absent([tmp_path / "free.json"], False, "--json", [model])
