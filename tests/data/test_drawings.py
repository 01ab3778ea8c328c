"""The kept style pictures are those that the script draws, and small enough to keep."""

import numpy as np
import pytest

from data.drawings import DRAWINGS, STROKES, draw_flowing_strokes, draw_stained_glass, main
from data.images import decode, to_array
from tests import ROOT


@pytest.mark.parametrize("name", DRAWINGS)
def test_kept_drawings_are_small(name):
    path = ROOT / "data" / "styles" / f"{name}.jpg"
    assert path.stat().st_size <= 200_000
    assert decode(path).size == (768, 768)


@pytest.mark.parametrize("function", [draw_flowing_strokes, draw_stained_glass])
def test_drawing_is_the_same_every_time_and_another_with_another_seed(function, monkeypatch):
    monkeypatch.setattr("data.drawings.STROKES", [(width, length, 50) for width, length, _ in STROKES])
    one, same, other = (np.asarray(function(96, seed)) for seed in (1, 1, 2))
    assert one.shape == (96, 96, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.std() > 30


def test_the_help_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--help"]) == 0
    assert "usage: python -m data.drawings FOLDER" in capsys.readouterr().out
    assert main(["--size"]) == 2
    assert not list(tmp_path.iterdir())


def test_drawings_replace_nothing_unless_told(tmp_path, monkeypatch, one_error):
    monkeypatch.setattr("data.drawings.DRAWINGS", {"small": lambda: draw_stained_glass(32)})
    folder = tmp_path / "drawings"
    folder.mkdir()
    (folder / "small.jpg").write_text("mine")
    assert main([str(folder)]) == 2
    assert "small.jpg' exists; choose another FOLDER, or pass --overwrite" in one_error()
    assert (folder / "small.jpg").read_text() == "mine"
    assert main([str(folder), "--overwrite"]) == 0
    assert decode(folder / "small.jpg").size == (32, 32)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWINGS)
def test_kept_drawing_is_what_the_script_draws(name):
    kept = to_array(decode(ROOT / "data" / "styles" / f"{name}.jpg")).astype(float)
    drawn = np.asarray(DRAWINGS[name]()).astype(float)
    # But for what JPEG takes away.
    assert np.abs(kept - drawn).mean() < 12
