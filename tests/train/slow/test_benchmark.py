"""The slow benchmark gives both methods the same time, and refuses what cannot work in one sentence."""

import json

import pytest

from tests.train.slow.slow_command import DRAWING
from train.slow.benchmark import main as slow_bench


def test_benchmark_gives_both_methods_the_same_time(photo, capsys):
    flags = ["--content", str(photo), "--style", str(DRAWING), "--size", "160", "--seconds", "0.5"]
    assert slow_bench([*flags, "--perceptual", "vgg_small", "--output", str(photo.parent / "bench.json")]) == 0
    figures = json.loads((photo.parent / "bench.json").read_text())
    for name in ("L-BFGS", "coarse to fine"):
        assert len(figures[name]) == len(figures["seconds"])
        assert figures[name][-1] <= figures[name][0]
    printed = capsys.readouterr()
    assert "coarse to fine" in printed.out
    assert printed.err.count("it is not enlarged to 160") == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--seconds", "1e300"],
        ["--size", "8"],
        ["--size", "128"],
        ["--size", "9" * 25],
        ["--style", "nowhere.jpg"],
        ["--output", "/"],
    ],
)
def test_benchmark_refuses_what_cannot_work_before_measuring(photo, one_error, monkeypatch, flags):
    monkeypatch.setattr("train.slow.run.optimize", None)
    assert slow_bench(["--content", str(photo), "--style", str(DRAWING), "--perceptual", "vgg_small", *flags]) == 2
    said = one_error()
    assert flags[0] in said or flags[1] in said


def test_ctrl_c_while_loading_is_one_sentence(photo, capsys, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.slow.benchmark.compare_methods", interrupt)
    assert slow_bench(["--content", str(photo), "--style", str(DRAWING)]) == 130
    assert capsys.readouterr().err == "stopped: no figures were written\n"


def test_earlier_figures_are_kept(photo, one_error):
    (photo.parent / "bench.json").write_text("mine")
    flags = ["--content", str(photo), "--style", str(DRAWING), "--output", str(photo.parent / "bench.json")]
    assert slow_bench(flags) == 2
    assert "--overwrite" in one_error()
