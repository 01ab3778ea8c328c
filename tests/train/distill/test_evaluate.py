"""The evaluation of the small perceptual network measures what it says."""

import json

import numpy as np
import pytest
import torch

from data.images import encode, from_array
from models.vgg import SMALL_WEIGHTS
from tests.perceptual_weights import write_weights
from tests.pictures import noise, ramp, write
from train.distill.evaluate import main, parse
from train.distill.fidelity import Cost, PupilResult, RankCorrelation, Report, describe, measure_cost, rank_correlation
from train.distill.pupils import Pupils


def test_rank_correlation_depends_on_order_alone():
    values = torch.tensor([3.0, 1.0, 2.0, 9.0])
    assert rank_correlation(values, values.exp()) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(torch.tensor([1.0, 2, 3, 4]), torch.tensor([1.0, 3, 2, 4])) == pytest.approx(0.8)


def test_rank_correlation_does_not_depend_on_the_order_of_ties():
    one, other = torch.tensor([1.0, 1, 1, 2, 2, 3]), torch.tensor([1.0, 2, 3, 4, 5, 6])
    turned = torch.tensor([2, 1, 0, 4, 3, 5])
    assert rank_correlation(one[turned], other[turned]) == pytest.approx(rank_correlation(one, other))
    assert rank_correlation(one, other) == pytest.approx(float(np.corrcoef([2, 2, 2, 4.5, 4.5, 6], range(6))[0, 1]))


@pytest.fixture
def pictures(tmp_path):
    for index in range(18):
        write(tmp_path / "photos" / f"{index:02}.png", noise(72, 70, seed=index))
    for name in ("one", "two"):
        encode(from_array(ramp(90, 80)), tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.slow
def test_report_answers_the_three_questions(pictures, monkeypatch, capsys):
    monkeypatch.setattr("train.distill.fidelity.SIDE_STEPS", 2)
    monkeypatch.setattr("train.distill.pupils.STAGES", (0.5, 1.0))
    monkeypatch.setattr("train.distill.pupils.HELD_OUT", 4)
    weights = write_weights(pictures / "vgg.safetensors", deepest="relu4_2")
    paintings = [str(pictures / "one.png"), str(pictures / "two.png")]
    flags = ["--perceptual-weights", str(weights), "--photos", str(pictures / "photos"), "--paintings", *paintings]
    # In three seconds the large network's pupil takes three steps, the small one's six.
    seconds = {"large": 1.0, "small": 0.5}
    monkeypatch.setattr("train.distill.pupils.Pupils.time_step", lambda self, kind, painting: seconds[kind])
    flags += ["--minutes", "0.05", "--image-size", "64", "--batch-size", "2", "--no-compile"]
    flags += ["--output", str(pictures / "out")]
    assert main(flags) == 0
    report = json.loads((pictures / "out" / "report.json").read_text())
    steps = {name: found["steps"] for name, found in report["pupils"].items()}
    assert steps == {"large": 3, "small": 6, "small, as many steps": 3}
    assert report["cost"]["ratio"] == report["cost"]["small"] / report["cost"]["large"]
    # Of the first painting the photos and the stages of three pupils, of the other those of one.
    assert {name: found["pairs"] for name, found in report["rank_correlation"].items()} == {"one": 28, "two": 12}
    assert all(-1 <= found["style"] <= 1 for found in report["rank_correlation"].values())
    assert (pictures / "out" / "pupils.png").is_file()
    assert "times the loss of the large one's after the same time" in capsys.readouterr().out


def test_pupils_are_compared_after_the_same_time_and_after_as_many_steps():
    report = Report(256, 4, "CPU", Cost(large=2.0, small=0.5, ratio=0.25))
    report.rank_correlation["wave"] = RankCorrelation(28, style=0.9, content=0.8, loss=0.7)
    report.pupils["large"] = PupilResult(10, 60.0, loss=2.0, content=1.0, style=1.0)
    report.pupils["small"] = PupilResult(20, 60.0, loss=3.0, content=1.0, style=2.0)
    report.pupils["small, as many steps"] = PupilResult(10, 30.0, loss=5.0, content=2.0, style=3.0)
    text = describe(report)
    assert "1.500 times the loss of the large one's after the same time, and 2.500 times after as many steps" in text
    assert "wave (28 pictures)" in text
    assert "0.25 of the large network's" in text


def test_two_paintings_of_one_name_are_refused(pictures, monkeypatch, one_error):
    monkeypatch.chdir(pictures)
    write(pictures / "other" / "one.png", ramp(90, 80))
    assert main(["--photos", "photos", "--paintings", "one.png", "other/one.png", "--output", "out"]) == 2
    assert "two of --paintings have the same name" in one_error()
    assert not (pictures / "out").exists()


def test_evaluating_a_network_against_itself_finds_no_difference(pictures):
    pupils = Pupils(("vgg_small", "default"), ("vgg_small", str(SMALL_WEIGHTS)), pictures / "photos", 64, 2)
    painting = torch.rand(1, 3, 64, 64)
    large, small = (pupils.evaluate(kind, painting, pupils.held_out) for kind in ("large", "small"))
    assert rank_correlation(large["style"], small["style"]) == pytest.approx(1)
    assert large["content"].abs().max() == 0


def test_steps_are_timed(pictures):
    pupils = Pupils(("vgg_small", "default"), ("vgg_small", "default"), pictures / "photos", 64, 1, compiled=False)
    assert pupils.time_step("small", torch.rand(1, 3, 64, 64), rounds=1) > 0


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
    ],
)
def test_mistake_gets_one_sentence_before_anything_is_measured(pictures, monkeypatch, one_error, flag, value, sentence):
    monkeypatch.chdir(pictures)
    monkeypatch.setattr("train.distill.fidelity.measure_cost", None)
    for folder, name in (("earlier", "report.json"), ("painted", "pupils.png")):
        (pictures / folder).mkdir()
        (pictures / folder / name).write_text("mine")
    flags = {"--photos": "photos", "--paintings": "one.png", "--output": "out", "--size": "64"} | {flag: value}
    assert main([word for pair in flags.items() for word in pair]) == 2
    assert sentence in one_error()
    assert not (pictures / "out").exists()


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--minutes", "0"), ("--minutes", "inf"), ("--minutes", "x"), ("--image-size", "9" * 25), ("--batch-size", "0")],
)
def test_number_out_of_range_gets_one_sentence(one_error, flag, value):
    with pytest.raises(SystemExit):
        main(["--photos", "photos", "--paintings", "one.png", flag, value])
    assert f"argument {flag}: " in one_error()


def test_former_names_of_flags_are_accepted():
    needed = ["--photos", "photos", "--paintings", "one.png"]
    options = parse([*needed, "--teacher-weights", "w.pth", "--size", "128", "--batch", "2"])
    assert (options.perceptual_weights, options.image_size, options.batch_size) == ("w.pth", 128, 2)
    options = parse(needed)
    assert (options.perceptual_weights, options.image_size, options.batch_size) == ("default", 256, 4)


def test_ctrl_c_while_loading_is_one_sentence(pictures, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.distill.fidelity.read_style", interrupt)
    monkeypatch.chdir(pictures)
    assert main(["--photos", "photos", "--paintings", "one.png"]) == 130
    assert capsys.readouterr().err == "stopped: no report was written\n"


class Recorder(torch.nn.Module):
    """A module that notes the device that it is moved to."""

    def __init__(self):
        super().__init__()
        self.devices = []

    def to(self, device):
        self.devices.append(device)
        return self

    def forward(self, photos):
        return photos


def test_photos_networks_and_losses_are_on_one_device(pictures, monkeypatch):
    device = torch.device("cpu", 0)
    pupils = Pupils(("vgg_small", "default"), ("vgg_small", "default"), pictures / "photos", 64, 2, device=device)
    network, moved = Recorder(), []
    assert torch.equal(pupils.paint(network), pupils.held_out)
    assert network.devices == [device]

    def move(self, *arguments):
        moved.append(arguments)
        return self

    monkeypatch.setattr("models.losses.PerceptualLoss.to", move)
    pupils.evaluate("small", torch.rand(1, 3, 64, 64), pupils.held_out)
    measure_cost(pupils, torch.rand(1, 3, 64, 64), rounds=1)
    assert moved == [(device,)] * 3
