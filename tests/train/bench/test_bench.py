"""What the bench compares is the same training, computed in two ways."""

from functools import partial

import pytest
import torch

from data.images import list_images
from tests.pictures import write_photos
from train.bench import measure
from train.bench.command import main
from train.bench.measure import count_gflop, measure_ceiling, measure_decoding, random_weights
from train.bench.reference import build_reference_step, draw_painting
from train.compute.precision import BFLOAT16, FLOAT32
from train.errors import TrainError
from train.fit.step import build_step


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(random_weights(tmp_path_factory.mktemp("bench") / "random.pth"))


@pytest.mark.slow
def test_reference_and_our_step_learn_the_same_in_float32(weights):
    photos = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    ours, _ = build_step(weights, draw_painting(64), 10_000, precision=FLOAT32, compiled=False, optimizer="adam")
    reference, _ = build_reference_step(weights, draw_painting(64), 10_000)
    losses = {
        kind: [step(photos).item() for _ in range(4)] for kind, step in (("ours", ours), ("reference", reference))
    }
    assert losses["ours"] == pytest.approx(losses["reference"], rel=2e-3)
    assert losses["ours"][-1] != losses["ours"][0]


@pytest.mark.slow
def test_low_precision_starts_at_the_same_loss(weights):
    photos = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    ours, _ = build_step(weights, draw_painting(64), 10, precision=BFLOAT16, compiled=False)
    reference, _ = build_reference_step(weights, draw_painting(64), 10)
    assert ours(photos).item() == pytest.approx(reference(photos).item(), rel=0.02)


@pytest.mark.slow
def test_operations_are_counted(weights):
    # Four times the pixels are four times the operations, and a picture of 256 px takes some 150 to 200 GFLOP.
    small, large = count_gflop(weights, 64, 1), count_gflop(weights, 128, 1)
    assert large == pytest.approx(4 * small, rel=0.1)
    assert 150 < 4 * large < 250


@pytest.mark.slow
def test_what_is_learned_is_the_same_in_the_same_precision(inputs, monkeypatch):
    monkeypatch.setattr(measure, "build_step", partial(build_step, precision=FLOAT32, compiled=False))
    photos = list_images(inputs / "photos")
    found = measure.measure_quality(str(inputs / "vgg.safetensors"), photos, steps=2, size=64, batch=1, seed=0)
    assert found["ratio"] == found["ours"] / found["reference"] == pytest.approx(1, abs=1e-2)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_bench_with_one_sentence(tmp_path):
    with pytest.raises(TrainError, match="takes reference steps died; try a smaller --batch-size"):
        measure.measure_speed(str(tmp_path / "absent.pth"), 64, batch=1, rounds=1, endurance=0)


def test_the_machine_has_a_ceiling():
    assert all(value > 0 for value in measure_ceiling(["float32"], 256).values())


def test_decoding_is_measured(tmp_path):
    assert measure_decoding(write_photos(tmp_path, 3), 64, count=6) > 0


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--quality"], "--photos"),
        (["--time-to-quality", "--photos", "photos"], "--perceptual-weights"),
        (["--painting", "wave.jpg"], "--time-to-quality"),
        (["--start-from", "wave"], "--time-to-quality"),
        (["--reference-steps", "300"], "--reference-steps is for --time-to-quality; give it, too"),
        (["--quality-steps", "200"], "--quality-steps is for --quality; give it, too"),
        (["--quality-size", "128"], "--quality-size is for --quality; give it, too"),
        (["--seeds", "3"], "--seeds is for --quality; give it, too"),
        (["--image-size", "70"], "--image-size: '70' must be a multiple of 4"),
        (["--quality", "--quality-size", "66"], "--quality-size: '66' must be a multiple of 4"),
    ],
)
def test_what_a_measurement_needs_is_asked_for(capsys, arguments, needed):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert needed in capsys.readouterr().err


REAL = ["--time-to-quality", "--photos", "photos", "--perceptual-weights", "x.pth"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--perceptual-weights", "nowhere.pth"], "'nowhere.pth' do not exist"),
        (["--photos", "nowhere"], "'nowhere' does not exist"),
        (["--output", "figures.json"], "--overwrite"),
        (["--output", "figures.json/new.json"], "choose another --output"),
        (["--output", "photos", "--overwrite"], "is a folder"),
        (["--endurance", "-1"], "--endurance is -1"),
        (["--quality", "--photos", "few", "--perceptual-weights", "x.pth"], "3 photos, of which --quality holds 16"),
        ([*REAL, "--photos", "few"], "holds 3 photos, of which --time-to-quality holds 16"),
        ([*REAL, "--start-from", "wave_nano"], "--start-from"),
        ([*REAL, "--start-from", "nowhere.safetensors"], "'nowhere.safetensors' does not exist"),
        ([*REAL, "--painting", "nowhere.jpg"], "'nowhere.jpg' does not exist"),
        ([*REAL, "--perceptual-weights", "nowhere.pth"], "'nowhere.pth' do not exist"),
    ],
)
def test_mistake_gets_one_sentence_before_anything_is_measured(tmp_path, monkeypatch, one_error, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure, "measure_ceiling", None)
    write_photos(tmp_path / "few", 3)
    write_photos(tmp_path / "photos", 17)
    (tmp_path / "figures.json").write_text("mine")
    assert main(arguments) == 2
    assert sentence in one_error()
    assert (tmp_path / "figures.json").read_text() == "mine"


@pytest.mark.parametrize("flag", ["--rounds", "--batch-size", "--seeds", "--image-size"])
def test_zero_of_anything_is_refused(capsys, flag):
    with pytest.raises(SystemExit) as stop:
        main([flag, "0"])
    assert stop.value.code == 2
    assert flag in capsys.readouterr().err


@pytest.mark.parametrize(("precision", "products"), [("float32", ["float32"]), ("bfloat16", ["float32", "bfloat16"])])
def test_only_products_of_the_precisions_that_steps_compute_in_are_measured(monkeypatch, capsys, precision, products):
    monkeypatch.setenv("ONESTROKE_PRECISION", precision)
    both = {"reference": 4.0, "ours": 2.0}
    speed = {"batch": 4, "size": 64, "seconds_per_step": both, "pictures_per_second": both, "ratio": 2.0}
    speed |= {"peak_mb": both, "growth_mb": {"steps": 1, "resident_mb": 0.0}}
    asked = []
    monkeypatch.setattr(measure, "measure_ceiling", lambda names: asked.extend(names) or dict.fromkeys(names, 100.0))
    monkeypatch.setattr(measure, "count_gflop", lambda *_: 200.0)
    monkeypatch.setattr(measure, "measure_speed", lambda *_: speed)
    assert main([]) == 0
    assert asked == products
    said = capsys.readouterr().out
    assert f"our step computes in {precision} on" in said
    assert "ratio 2.00" in said
