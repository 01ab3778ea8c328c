"""The examination of the small perceptual network measures what it says."""

import json

import pytest
import torch

from data.images import encode, from_array
from models.vgg import SMALL_WEIGHTS
from tests.errors import one_error
from tests.perceptual_weights import write_weights
from tests.pictures import noise, ramp, write
from train.distill.evaluate import main, rank_correlation
from train.distill.pupils import Pupils


def test_rank_correlation_looks_at_order_alone():
    values = torch.tensor([3.0, 1.0, 2.0, 9.0])
    assert rank_correlation(values, values.exp()) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(torch.tensor([1.0, 2, 3, 4]), torch.tensor([1.0, 3, 2, 4])) == pytest.approx(0.8)


@pytest.fixture
def pictures(tmp_path):
    for index in range(18):
        write(tmp_path / "photos" / f"{index:02}.png", noise(72, 70, seed=index))
    for name in ("one", "two"):
        encode(from_array(ramp(90, 80)), tmp_path / f"{name}.png")
    return tmp_path


def test_report_answers_the_three_questions(pictures, monkeypatch, capsys):
    monkeypatch.setattr("train.distill.evaluate.SIDE_STEPS", 2)
    weights = write_weights(pictures / "vgg.safetensors", deepest="relu4_1")
    paintings = [str(pictures / "one.png"), str(pictures / "two.png")]
    flags = ["--teacher-weights", str(weights), "--photos", str(pictures / "photos"), "--paintings", *paintings]
    flags += ["--minutes", "0.02", "--size", "64", "--batch", "2", "--no-compile", "--output", str(pictures / "out")]
    assert main(flags) == 0
    report = json.loads((pictures / "out" / "report.json").read_text())
    assert set(report["pupils"]) == {"large", "small", "small, as many steps"}
    assert report["pupils"]["small, as many steps"]["steps"] == report["pupils"]["large"]["steps"]
    assert 0 < report["cost"]["ratio"] < 1
    assert all(-1 <= found["style"] <= 1 for found in report["rank_correlation"].values())
    assert (pictures / "out" / "pupils.png").is_file()
    assert "after the same time" in capsys.readouterr().out


def test_examining_a_network_against_itself_finds_no_difference(pictures):
    pupils = Pupils(("vgg_small", "default"), ("vgg_small", str(SMALL_WEIGHTS)), pictures / "photos", 64, 2)
    painting = torch.rand(1, 3, 64, 64)
    large, small = (pupils.judge(kind, painting, pupils.held_out) for kind in ("large", "small"))
    assert rank_correlation(large["style"], small["style"]) == pytest.approx(1)
    assert large["content"].abs().max() == 0


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("--paintings", "nowhere.jpg", "'nowhere.jpg' does not exist"),
        ("--styles", "nowhere.safetensors", "'nowhere.safetensors' does not exist"),
        ("--photos", "nowhere", "'nowhere' does not exist"),
        ("--output", "one.png", "is a file"),
        ("--output", "one.png/out", "choose another --output"),
        ("--output", "earlier", "--overwrite"),
        ("--output", "painted", "--overwrite"),
        ("--minutes", "0", "--minutes"),
    ],
)
def test_mistake_gets_one_sentence_before_anything_is_measured(pictures, monkeypatch, capsys, flag, value, sentence):
    monkeypatch.chdir(pictures)
    monkeypatch.setattr("train.distill.evaluate.measure_cost", None)
    for folder, name in (("earlier", "report.json"), ("painted", "pupils.png")):
        (pictures / folder).mkdir()
        (pictures / folder / name).write_text("mine")
    flags = {"--photos": "photos", "--paintings": "one.png", "--output": "out", "--size": "64"} | {flag: value}
    assert main([word for pair in flags.items() for word in pair]) == 2
    assert sentence in one_error(capsys)
    assert not (pictures / "out").exists()
