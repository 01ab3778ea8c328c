"""The slow mode's bench gives both ways the same time, and refuses what cannot work in one sentence."""

import json

import pytest

from tests.errors import one_error
from tests.train.slow.slow_command import DRAWING, write_photo
from train.slow.benchmark import main as slow_bench


@pytest.fixture
def photo(tmp_path):
    return write_photo(tmp_path)


def test_bench_lets_both_ways_run_for_the_same_time(photo, capsys):
    flags = ["--content", str(photo), "--style", str(DRAWING), "--size", "48", "--seconds", "2"]
    assert slow_bench([*flags, "--perceptual", "vgg_small", "--output", str(photo.parent / "bench.json")]) == 0
    figures = json.loads((photo.parent / "bench.json").read_text())
    for name in ("L-BFGS", "coarse to fine"):
        assert len(figures[name]) == len(figures["seconds"])
        assert figures[name][-1] <= figures[name][0]
    assert "coarse to fine" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags", [["--seconds", "0"], ["--seconds", "nan"], ["--size", "8"], ["--style", "nowhere.jpg"], ["--output", "/"]]
)
def test_bench_refuses_what_cannot_work_before_measuring(photo, capsys, monkeypatch, flags):
    monkeypatch.setattr("train.slow.benchmark.optimize", None)
    assert slow_bench(["--content", str(photo), "--style", str(DRAWING), "--perceptual", "vgg_small", *flags]) == 2
    assert flags[1] in one_error(capsys)
