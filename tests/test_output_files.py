"""The slow mode knows its files, and which of them it may touch."""

import pytest

from train.output_files import SlowFiles, prepare_folder, require_output
from train.run_folder import RunError


def test_files_share_the_pictures_stem(tmp_path):
    files = SlowFiles(tmp_path / "a.b.png", with_way=True)
    assert files.table.name == "a.b-curve.csv"
    assert files.plot.name == "a.b-curve.png"
    assert files.film.name == "a.b.gif"
    assert files.step(7) == tmp_path / "a.b-steps" / "00007.png"


def test_film_is_not_asked_for_where_none_is_made(tmp_path):
    (tmp_path / "out.gif").write_text("mine")
    SlowFiles(tmp_path / "out.png", with_way=False).require_free([], overwrite=False)
    with pytest.raises(RunError, match="out.gif"):
        SlowFiles(tmp_path / "out.png", with_way=True).require_free([], overwrite=False)


def test_another_name_of_a_picture_that_is_read_is_recognised(tmp_path):
    (tmp_path / "photo.png").write_text("photo")
    (tmp_path / "link.png").symlink_to("photo.png")
    with pytest.raises(RunError, match="is read"):
        require_output(tmp_path / "link.png", [tmp_path / "photo.png"], overwrite=True)


def test_folder_is_created_and_left_empty(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
