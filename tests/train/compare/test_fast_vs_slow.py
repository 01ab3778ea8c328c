"""A network trained here, exported and run as a user would, is held against the slow mode; the counting is exact."""

import json
from types import SimpleNamespace

import pytest
import torch

from data.images import decode, encode, from_array
from data.photos import to_tensor
from data.samples import sample_photo
from data.scenes import draw_scene
from export.runtime.stylizer import Stylizer
from models.style_file import load_style
from tests import ROOT
from tests.perceptual_weights import write_weights
from train.compare.command import main
from train.compare.measure import (
    MEASURES,
    STARTS,
    FastSummary,
    Measures,
    Spread,
    Summary,
    equivalent_iterations,
    paint_fast,
    spread,
    trace,
)
from train.compare.objective import read_objective
from train.compare.report import tabulate
from train.compare.run import read_photos
from train.fit.command import main as train
from train.slow.optimizer import evaluate_picture, make_noise

DRAWING = ROOT / "data" / "styles" / "flowing_strokes.jpg"


@pytest.mark.parametrize(
    ("losses", "target", "expected"),
    [
        ([8.0, 4.0, 2.0, 1.0], 4.0, 1.0),
        ([8.0, 4.0, 2.0, 1.0], 3.0, 1.5),
        ([8.0, 4.0, 2.0, 1.0], 9.0, 0.0),
        ([8.0, 4.0, 2.0, 1.0], 0.5, None),
        # A curve that rises again was there already.
        ([8.0, 2.0, 6.0, 1.0], 4.0, 2 / 3),
    ],
)
def test_equivalent_iterations_of_known_curves(losses, target, expected):
    found = equivalent_iterations(losses, target)
    assert found == (None if expected is None else pytest.approx(expected))


def test_equivalents_of_an_exponential_curve():
    losses = [2.0 ** (-step / 10) for step in range(101)]
    assert equivalent_iterations(losses, 2.0**-5) == pytest.approx(50)
    assert equivalent_iterations(losses, 2.0**-5.05) == pytest.approx(50.5, abs=0.01)


def test_spread_counts_what_was_never_reached_as_the_end():
    assert spread([3.0, None, 1.0], beyond=500) == Spread(3.0, 1.0, 500, ("max",))
    assert spread([3.0, 1.0]) == Spread(2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("values", "median", "exceeded"),
    [
        ([10.0, 20.0, None, None], 20, ("median", "max")),
        ([10.0, None, None], 500, ("median", "max")),
        ([None, None], 500, ("median", "min", "max")),
    ],
)
def test_a_median_that_is_not_known_is_told_as_more_than_what_is(values, median, exceeded):
    found = spread(values, beyond=500)
    assert (found.median, found.exceeded) == (median, exceeded)
    measures = Measures(**dict.fromkeys(MEASURES, Spread(0.0, 0.0, 0.0)))
    equivalent = {start: {"loss": found} for start in STARTS}
    summary = Summary({"wave": FastSummary(Spread(1.0, 1.0, 1.0), equivalent, {}, measures)}, {})
    row = tabulate(summary, SimpleNamespace(perceptual="vgg19")).splitlines()[2]
    assert row.count(f"more than {median}") == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Seconds of training from the narrowest kept wave, with the small perceptual network."""
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    folder = tmp_path_factory.mktemp("trained")
    flags = ["--config", str(ROOT / "configs" / "demo.yaml"), "--runs", str(folder), "--data.image_size", "64"]
    flags += ["--config", str(ROOT / "configs" / "widths" / "nano.yaml")]
    flags += ["--model.start_from", str(ROOT / "models" / "pretrained" / "wave_nano.safetensors")]
    flags += ["--trainer.max_steps", "80", "--trainer.val_check_interval", "80", "--data.workers", "0"]
    flags += ["--model.style", str(DRAWING), "--model.style_size", "128", "--data.batch_size", "2"]
    assert train(["fit", *flags, "--model.compile", "off"]) == 0
    (folder / "photos").mkdir()
    encode(decode(sample_photo("chelsea")), folder / "photos" / "chelsea.png")
    encode(from_array(draw_scene(128, 5)), folder / "photos" / "scene.png")
    write_weights(folder / "vgg16.safetensors", network="vgg16", deepest="relu4_2")
    return folder


@pytest.mark.slow
def test_fast_network_stands_its_ground(trained):
    stylizer = Stylizer(trained / "demo" / "style.onnx")
    objective, origin = read_objective(stylizer)
    assert "style.onnx" in origin
    loss = objective.build("vgg_small", "default", DRAWING)
    losses, untouched = [], []
    for photo in read_photos(trained / "photos", 2, 96).values():
        tensor = to_tensor(photo)
        picture, _ = paint_fast(stylizer, photo)
        fast = evaluate_picture(loss, tensor, to_tensor(picture))
        losses.append(fast["loss"])
        untouched.append(evaluate_picture(loss, tensor, tensor)["loss"])
        slow = trace(loss, tensor, make_noise(tuple(tensor.shape), 0), 30, kept=[30])
        equivalent = equivalent_iterations(slow.losses["loss"], fast["loss"])
        assert equivalent is None or equivalent > 5
        assert slow.losses["loss"][-1] < fast["loss"] < slow.losses["loss"][0]
        network, _ = load_style(trained / "demo" / "style.safetensors")
        with torch.no_grad():
            expected = network(tensor).clamp(0, 1)
        assert (to_tensor(picture) - expected).abs().max() <= 0.51 / 255 + 1e-4
    # Over both photos: measured 0.65. After so short a training one of them alone may lie above its photo.
    assert sum(losses) < 0.9 * sum(untouched)


@pytest.mark.slow
def test_report_holds_everything(trained, capsys):
    model = trained / "demo" / "style.onnx"
    (trained / "copy.onnx").write_bytes(model.read_bytes())
    flags = ["--model", str(model), str(trained / "copy.onnx"), "--style", str(DRAWING)]
    flags += ["--photos", str(trained / "photos"), "--output", str(trained / "report"), "--size", "64", "--count", "2"]
    flags += ["--iterations", "12", "--other", "vgg16", "--other-weights", str(trained / "vgg16.safetensors")]
    assert main(flags) == 0
    assert "from the photo" in capsys.readouterr().out
    report = json.loads((trained / "report" / "report.json").read_text())
    assert set(report["summary"]["fast"]) == {"demo", "copy"}
    one, other = (report["summary"]["fast"][name] for name in ("demo", "copy"))
    assert one["measures"] == other["measures"]
    assert len(report["photos"]) == 2
    assert len(report["photos"][0]["curves"]["noise"]["losses"]["loss"]) == 13
    page = (trained / "report" / "report.html").read_text()
    # Two photos, each with two networks and the slow result at 10, and the painting.
    assert page.count("data:image/jpeg;base64,") == 2 * 4 + 1
    assert page.count("data:image/svg+xml;base64,") == 1
    assert "http" not in page
    # The same pictures, four pixels apart; the painting stands in the first row.
    assert decode(trained / "report" / "contact-sheet.jpg").size == (5 * 64 + 4 * 4, 2 * 64 + 4)
    assert f"demo against 10 iterations from the photo: loss {one['measures']['loss']['median']:.3f} against" in page
    assert main(flags) == 2
    assert "--overwrite" in capsys.readouterr().err
