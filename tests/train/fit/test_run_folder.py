"""Only what a training wrote is removed or replaced in its folder, and only when that is asked for."""

import pytest

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


@pytest.mark.parametrize("content", [b"name,price\nbrush,3\n", b"\xff\xfe\x00", b"\n"])
def test_another_programs_table_is_not_replaced_even_when_a_run_may_be(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(TrainError, match=r"metrics\.csv' .*; move it away, or choose another --name"):
        RunFolder(tmp_path).require_free(overwrite=True)
    assert (tmp_path / "metrics.csv").read_bytes() == content


def test_a_table_of_an_earlier_run_or_an_empty_one_may_be_replaced(tmp_path):
    for content in (TABLE, ""):
        (tmp_path / "metrics.csv").write_text(content)
        RunFolder(tmp_path).require_free(overwrite=True)
