"""What the bench compares is the same training, computed in two ways."""

import pytest
import torch

from tests.errors import one_error
from tests.pictures import write_photos
from train.bench import command as bench
from train.bench.command import count_gflop, main, measure_ceiling, measure_decoding
from train.bench.step import build_step, random_weights
from train.compute.precision import FLOAT32


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(random_weights(tmp_path_factory.mktemp("bench") / "random.pth"))


def test_reference_and_our_step_learn_the_same_in_float32(weights):
    photos = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    losses = {}
    for kind in ("reference", "ours"):
        step, _ = build_step(kind, weights, 64, 10_000, precision=FLOAT32, compiled=False)
        losses[kind] = [step(photos).item() for _ in range(4)]
    assert losses["ours"] == pytest.approx(losses["reference"], rel=2e-3)
    assert losses["ours"][-1] != losses["ours"][0]


def test_low_precision_starts_at_the_same_loss(weights):
    photos = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    first = {}
    for kind in ("reference", "ours"):
        step, _ = build_step(kind, weights, 64, 10, compiled=False)
        first[kind] = step(photos).item()
    assert first["ours"] == pytest.approx(first["reference"], rel=0.02)


def test_operations_are_counted(weights):
    # Four times the pixels are four times the operations, and a picture of 256 px takes some 150 to 200 GFLOP.
    small, large = count_gflop(weights, 64, 1), count_gflop(weights, 128, 1)
    assert large == pytest.approx(4 * small, rel=0.1)
    assert 150 < 4 * large < 250


def test_the_machine_has_a_ceiling():
    assert all(value > 0 for value in measure_ceiling(256).values())


def test_decoding_is_measured(tmp_path):
    assert measure_decoding(write_photos(tmp_path, 3), 64, count=6) > 0


def test_quality_needs_real_input(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--quality"])
    assert stop.value.code == 2
    assert "--photos" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--perceptual-weights", "nowhere.pth"], "'nowhere.pth' do not exist"),
        (["--photos", "nowhere"], "'nowhere' does not exist"),
        (["--output", "figures.json"], "--overwrite"),
        (["--output", "figures.json/new.json"], "choose another --output"),
        (["--output", "photos", "--overwrite"], "is a folder"),
        (["--endurance", "-1"], "--endurance is -1"),
        (["--quality", "--photos", "photos", "--perceptual-weights", "x.pth"], "holds 3 photos"),
    ],
)
def test_mistake_gets_one_sentence_before_anything_is_measured(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "measure_ceiling", None)
    write_photos(tmp_path / "photos", 3)
    (tmp_path / "figures.json").write_text("mine")
    assert main(arguments) == 2
    assert sentence in one_error(capsys)
    assert (tmp_path / "figures.json").read_text() == "mine"


@pytest.mark.parametrize("flag", ["--rounds", "--batch-size", "--seeds", "--image-size"])
def test_zero_of_anything_is_refused(capsys, flag):
    with pytest.raises(SystemExit) as stop:
        main([flag, "0"])
    assert stop.value.code == 2
    assert flag in capsys.readouterr().err
