"""Only what a training wrote is removed or replaced in its folder, and only when that is asked for."""

import errno
from pathlib import Path

import pytest

from data.files import OutputError
from tests.train.small_run import hold_elsewhere
from train.errors import TrainError
from train.fit.run_folder import RunFolder

TABLE = "step,loss\n1,0.5\n"


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TABLE)


@pytest.mark.parametrize(
    "name",
    [
        "style.onnx",
        "style.safetensors",
        "last.ckpt",
        "config.yaml",
        "metrics.csv",
        "previews/step-000010.png",
        "tensorboard/events.out.tfevents.1.host",
    ],
)
def test_a_file_that_a_run_would_replace_or_remove_is_refused(tmp_path, name):
    fill(tmp_path, name)
    with pytest.raises(TrainError, match=r"already holds .* --overwrite true"):
        RunFolder(tmp_path).require_free()
    RunFolder(tmp_path).require_free(overwrite=True)


def test_files_of_other_names_are_neither_in_the_way_nor_removed(tmp_path):
    foreign = ("previews/mine.png", "previews/step-by-step.png", "tensorboard/events.txt", "notes.md")
    fill(tmp_path, *foreign)
    RunFolder(tmp_path).require_free()
    fill(tmp_path, "style.onnx", "previews/step-000010.png")
    RunFolder(tmp_path).clear()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(foreign)


def test_a_run_lies_within_the_folder_of_runs():
    assert RunFolder.choose(Path("runs"), "wave").path == Path("runs", "wave")
    assert RunFolder.choose(Path("runs"), "trials/wave").path == Path("runs", "trials", "wave")


@pytest.mark.parametrize("name", [".", "../wave", "wave/../../other", str(Path("elsewhere").absolute())])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(TrainError, match="is no folder within 'runs'; choose a plain name"):
        RunFolder.choose(Path("runs"), name)


@pytest.mark.parametrize("content", [b"name,price\nbrush,3\n", b"\xff\xfe\x00", b"\n"])
def test_another_programs_table_is_not_replaced_even_when_a_run_may_be(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(TrainError, match=r"metrics\.csv' .*; move it away, or choose another --name"):
        RunFolder(tmp_path).require_free(overwrite=True)
    assert (tmp_path / "metrics.csv").read_bytes() == content


@pytest.mark.parametrize("folder", ["previews", "."])
def test_sheets_that_are_read_as_photos_are_not_replaced(tmp_path, folder):
    fill(tmp_path, "previews/step-000010.png", "style.onnx")
    run = RunFolder(tmp_path)
    run.require_unread(["absent.png", None], [None, str(tmp_path.parent)])
    with pytest.raises(OutputError, match=r"step-000010\.png' is also an input; choose another --output"):
        run.require_unread([], [str(tmp_path / folder)], "--output")
    fill(tmp_path, "start.safetensors")
    with pytest.raises(OutputError, match=r"start\.safetensors' is also an input"):
        run.require_unread([str(tmp_path / "start.safetensors")], [], own=["start.safetensors"])


def test_a_table_of_an_earlier_run_or_an_empty_one_may_be_replaced(tmp_path):
    for content in (TABLE, ""):
        (tmp_path / "metrics.csv").write_text(content)
        RunFolder(tmp_path).require_free(overwrite=True)


def test_a_folder_is_held_by_one_process_until_it_ends_or_is_killed(tmp_path):
    run = RunFolder(tmp_path)
    with hold_elsewhere(tmp_path), pytest.raises(TrainError, match="another run is writing to"), run.hold():
        pass
    assert list(tmp_path.iterdir()) == []
    with hold_elsewhere(tmp_path) as other:
        other.kill()
    assert run.lock.exists()
    with run.hold():
        assert run.lock.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_the_run_before_removes_as_it_ends_is_not_taken_over(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    monkeypatch.setattr("train.fit.run_folder._try_lock", lambda _: run.lock.unlink() is None)
    with pytest.raises(TrainError, match="another run is writing to"), run.hold():
        pass


def test_a_folder_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with RunFolder(tmp_path).hold():
        pass
