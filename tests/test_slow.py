"""The slow mode makes the picture it is asked for, shows its work, and refuses what cannot work in one sentence."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
import torch
import yaml

from data.images import decode, encode, from_array, to_array
from data.samples import sample_photo
from models.perceptual import VGGFeatures
from tests.errors import one_error
from tests.pictures import noise, ramp
from tests.small_run import ROOT
from train.dream import main as dream
from train.slow import main, spell_flags
from train.slow_bench import main as slow_bench
from train.slow_config import LUMINANCE, match_luminance, to_luminance

CONFIGS = sorted((ROOT / "configs" / "slow").glob("*.yaml"))
DRAWING = ROOT / "data" / "styles" / "stained_glass.jpg"


@pytest.fixture
def photo(tmp_path):
    encode(from_array(ramp(64, 48)), tmp_path / "photo.png")
    return tmp_path / "photo.png"


def slow(photo, name="out.png", **options):
    flags = {
        "content": photo,
        "style": DRAWING,
        "output": photo.parent / name,
        "size": 48,
        "iterations": 6,
        "perceptual": "vgg_small",
        "save_every": 3,
    } | options
    # A configuration comes first, for what follows it prevails.
    flags = {"config": flags.pop("config", None)} | flags
    return main([f"--{key}={value}" for key, value in flags.items() if value is not None])


def read_losses(path):
    with path.open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_line_search_does_not_stumble_over_bfloat16(photo):
    for precision in ("float32", "bfloat16"):
        assert slow(photo, f"{precision}.png", precision=precision, iterations=40, save_every=0) == 0
    exact, rounded = (read_losses(photo.parent / f"{name}-curve.csv") for name in ("float32", "bfloat16"))
    assert rounded[-1] < 1.1 * exact[-1]


def test_bench_lets_both_ways_run_for_the_same_time(photo, capsys):
    flags = ["--content", str(photo), "--style", str(DRAWING), "--size", "48", "--seconds", "2"]
    assert slow_bench([*flags, "--perceptual", "vgg_small", "--output", str(photo.parent / "bench.json")]) == 0
    figures = json.loads((photo.parent / "bench.json").read_text())
    for name in ("L-BFGS", "coarse to fine"):
        assert len(figures[name]) == len(figures["seconds"])
        assert figures[name][-1] <= figures[name][0]
    assert "coarse to fine" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_loss_falls_and_the_way_is_shown(photo, optimizer):
    assert slow(photo, optimizer=optimizer) == 0
    folder = photo.parent
    losses = read_losses(folder / "out-curve.csv")
    assert len(losses) == 6
    assert losses[-1] < 0.9 * losses[0]
    assert decode(folder / "out.png").size == (48, 36)
    assert sorted(path.name for path in (folder / "out-steps").iterdir()) == ["00001.png", "00003.png", "00006.png"]
    with PIL.Image.open(folder / "out.gif") as film:
        assert film.n_frames >= 3
    assert decode(folder / "out-curve.png").width > 400


def test_same_seed_same_picture(photo):
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        assert slow(photo, name, start="noise", seed=seed) == 0
    a, b, c = (to_array(decode(photo.parent / f"{name}.png")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_colours_are_preserved(photo):
    assert slow(photo, "grey.png", preserve_color="true", iterations=10) == 0
    after = to_array(decode(photo.parent / "grey.png")) / 255
    small = np.asarray(decode(photo).resize((48, 36), PIL.Image.Resampling.LANCZOS)) / 255
    chroma = [picture - (picture @ np.array(LUMINANCE))[..., None] for picture in (small, after)]
    inside = ((after > 0.02) & (after < 0.98)).all(2)
    assert inside.mean() > 0.3
    assert np.abs(chroma[0] - chroma[1])[inside].mean() < 0.02


def test_luminance_takes_the_photos_mean_and_spread():
    painting, photo = torch.rand(1, 3, 20, 20), 0.4 + 0.2 * torch.rand(1, 3, 20, 20)
    matched = match_luminance(to_luminance(painting), to_luminance(photo))
    assert matched.mean() == pytest.approx(float(to_luminance(photo).mean()), abs=1e-3)
    assert matched.std() == pytest.approx(float(to_luminance(photo).std()), rel=1e-2)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs(photo, path):
    config = yaml.safe_load(path.read_text())
    options = {"config": path, "size": 64, "iterations": 3, "smallest_size": 40 if "smallest_size" in config else None}
    options["perceptual"] = "vgg_small"
    if path.stem == "texture":
        options["content"] = None
    if path.stem == "reconstruction":
        options["style"] = None
    assert slow(photo, **options) == 0
    losses = read_losses(photo.parent / "out-curve.csv")
    assert losses[-1] < losses[0]


def test_six_layer_sets_of_the_literature_ship():
    sets = {"gatys", "keras_tutorial", "tensorflow_tutorial", "slides", "overview", "pytorch_tutorial"}
    assert sets <= {path.stem for path in CONFIGS}


def test_texture_is_made_without_a_photo(photo):
    assert slow(photo, content=None, start="noise", size=40) == 0
    assert decode(photo.parent / "out.png").size == (40, 40)


def test_features_are_reconstructed_without_a_painting(photo):
    assert slow(photo, style=None, start="noise", iterations=60, content_layers="{relu1_1: 1}", save_every=0) == 0
    small = to_array(decode(photo).resize((48, 36), PIL.Image.Resampling.LANCZOS)).astype(float)
    remembered = to_array(decode(photo.parent / "out.png")).astype(float)
    assert np.corrcoef(small.ravel(), remembered.ravel())[0, 1] > 0.9
    assert not (photo.parent / "out.gif").exists()


def test_several_paintings_are_mixed_in_their_shares(photo):
    encode(from_array(noise(60, 60)), photo.parent / "noise.png")
    styles = f"[{DRAWING}, {photo.parent / 'noise.png'}]"
    for name, shares in (("one.png", "[1, 0]"), ("other.png", "[0, 1]"), ("both.png", "[1, 1]")):
        assert slow(photo, name, style=styles, style_shares=shares, iterations=8, save_every=0) == 0
    assert slow(photo, "alone.png", iterations=8, save_every=0) == 0
    pictures = {name: to_array(decode(photo.parent / f"{name}.png")) for name in ("one", "other", "both", "alone")}
    assert np.array_equal(pictures["one"], pictures["alone"])
    assert not np.array_equal(pictures["one"], pictures["other"])
    assert not np.array_equal(pictures["both"], pictures["other"])


def test_coarse_to_fine_goes_through_all_sizes(photo):
    assert slow(photo, size=64, smallest_size=32, optimizer="adam", iterations=3) == 0
    with (photo.parent / "out-curve.csv").open(newline="") as file:
        widths = [int(row["width"]) for row in csv.DictReader(file)]
    assert widths == [32] * 3 + [45] * 3 + [64] * 3


def test_patience_ends_a_run_that_has_saturated(photo):
    assert slow(photo, iterations=300, patience=2, start="content", style=None, save_every=0) == 0
    assert len(read_losses(photo.parent / "out-curve.csv")) < 300


@pytest.mark.skipif("ONESTROKE_VGG19" not in os.environ, reason="set ONESTROKE_VGG19 to a file of real VGG-19 weights")
def test_average_pooling_keeps_the_size_of_activations():
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    photo = to_array(decode(sample_photo("chelsea")))[50:274, 100:324].astype(np.float32) / 255
    picture = torch.from_numpy(photo).permute(2, 0, 1)[None]
    layers = ["relu2_1", "relu3_1", "relu4_1"]
    largest, average = (
        VGGFeatures("vgg19", layers, os.environ["ONESTROKE_VGG19"], pooling=kind)(picture, layers)
        for kind in ("max", "average")
    )
    for layer in layers:
        ratio = average[layer].square().mean().sqrt() / largest[layer].square().mean().sqrt()
        assert 0.7 < ratio < 1.45, layer


def test_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="pooling"):
        VGGFeatures("vgg_small", ["relu1_1"], pooling="median")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"content": "nowhere.jpg"}, "nowhere.jpg"),
        ({"style": "nowhere.jpg"}, "nowhere.jpg"),
        ({"content": None, "style": None}, "--content"),
        ({"content": None}, "--start noise"),
        ({"iterations": 0}, "--iterations"),
        ({"learning_rate": -1}, "--learning_rate"),
        ({"learning_rate": 0}, "--learning_rate"),
        ({"learning_rate": "1e400"}, "--learning_rate"),
        ({"style_scale": "1e400"}, "--style_scale"),
        ({"style_weight": "1e400"}, "--learning_rate or the weights"),
        ({"size": 8}, "--size"),
        ({"style_shares": "[1, 2]"}, "--style_shares"),
        ({"style_layers": "{relu9_9: 1}"}, "relu9_9"),
        ({"perceptual_weights": "nowhere.pth"}, "nowhere.pth"),
        ({"output": "out.xyz"}, "out.xyz"),
        ({"pooling": "median"}, "pooling"),
    ],
)
def test_wrong_input_gets_one_sentence(photo, capsys, options, named):
    try:
        code = slow(photo, **options)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert named in said[-1]
    assert not (photo.parent / "out.png").exists()


def test_photo_too_small_for_the_layers_gets_one_sentence(photo, capsys):
    encode(from_array(noise(5, 5)), photo)
    assert slow(photo) == 2
    assert "5 x 5 pixels" in one_error(capsys)


def test_an_earlier_picture_is_not_overwritten(photo, capsys):
    (photo.parent / "out.png").write_text("precious")
    assert slow(photo) == 2
    assert "--overwrite" in one_error(capsys)
    assert (photo.parent / "out.png").read_text() == "precious"


@pytest.mark.parametrize("name", ["out.gif", "out-curve.csv", "out-curve.png", "out-steps/00001.png", "out-steps"])
def test_nothing_beside_the_picture_is_overwritten(photo, capsys, name):
    (photo.parent / name).parent.mkdir(exist_ok=True)
    (photo.parent / name).write_text("precious")
    assert slow(photo) == 2
    assert name in one_error(capsys)
    assert (photo.parent / name).read_text() == "precious"


def test_pictures_that_are_read_are_never_replaced(photo, capsys):
    (photo.parent / "out.gif").write_bytes(photo.read_bytes())
    (photo.parent / "out-steps").mkdir()
    (photo.parent / "out-steps" / "00300.png").write_bytes(photo.read_bytes())
    for options in (
        {"output": photo},
        {"content": photo.parent / "out.gif"},
        {"style": photo.parent / "out.gif"},
        {"start": photo.parent / "out-steps" / "00300.png"},
    ):
        assert slow(photo, overwrite="true", **options) == 2
        assert "is read" in one_error(capsys)
    assert not (photo.parent / "out.png").exists()


def test_overwriting_clears_the_earlier_way_and_nothing_else(photo):
    steps = photo.parent / "out-steps"
    steps.mkdir()
    for name in ("00777.png", "mine.png"):
        (steps / name).write_text("earlier")
    assert slow(photo, overwrite="true", content="nowhere.jpg") == 2
    assert (steps / "00777.png").exists()
    assert slow(photo, overwrite="true") == 0
    assert sorted(path.name for path in steps.iterdir()) == ["00001.png", "00003.png", "00006.png", "mine.png"]


@pytest.mark.parametrize(
    "output", ["photo.png/s.png", "/proc/nope/s.png", "/proc/s.png", "folder.png", "a" * 300 + ".png"]
)
@pytest.mark.parametrize("command", ["slow", "dream"])
def test_place_that_cannot_be_written_is_refused_before_the_work(photo, capsys, monkeypatch, command, output):
    monkeypatch.setattr("train.slow.Task", None)
    monkeypatch.setattr("train.dream.VGGFeatures", None)
    (photo.parent / "folder.png").mkdir()
    place = photo.parent / output
    if command == "slow":
        assert slow(photo, output=place, overwrite="true") == 2
    else:
        assert dream(["--content", str(photo), "--output", str(place), "--overwrite"]) == 2
    assert "--output" in one_error(capsys)


@pytest.mark.parametrize(
    "flags", [["--size", "-5"], ["--step", "0"], ["--step", "1e400"], ["--overwrite", "--output", "{photo}"]]
)
def test_dream_refuses_what_cannot_work(photo, capsys, flags):
    fixed = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    assert dream([*fixed, *(flag.format(photo=photo) for flag in flags)]) == 2
    assert "--" in one_error(capsys)
    assert not (photo.parent / "dream.png").exists()


def test_dream_refuses_a_photo_that_it_would_have_to_distort(photo, capsys):
    encode(from_array(noise(5, 64)), photo)
    assert dream(["--content", str(photo), "--output", str(photo.parent / "d.png"), "--perceptual", "vgg_small"]) == 2
    assert "pixels" in one_error(capsys)


def test_flags_may_have_dashes_and_no_value():
    assert spell_flags(
        ["--save-every", "3", "--preserve-color", "--size=4", "--overwrite", "true", "--output=a-b.png"]
    ) == [*("--save_every", "3", "--preserve_color=true", "--size=4", "--overwrite", "true", "--output=a-b.png")]


def test_control_c_keeps_the_picture_so_far(photo):
    flags = ["--content", photo, "--style", DRAWING, "--output", photo.parent / "out.png", "--size", "64"]
    flags += ["--iterations", "100000", "--perceptual", "vgg_small", "--save-every", "1"]
    process = subprocess.Popen([sys.executable, "-m", "train.slow", *map(str, flags)], cwd=ROOT, stderr=subprocess.PIPE)
    for _ in range(600):
        if (photo.parent / "out-steps" / "00002.png").exists():
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert decode(photo.parent / "out.png").size == (64, 48)
    assert len(read_losses(photo.parent / "out-curve.csv")) >= 2


def test_dream_raises_the_activations_and_keeps_the_size(photo):
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    layers = ["relu3_1"]
    assert dream([*flags, "--layers", "{relu3_1: 1}", "--octaves", "2", "--iterations", "4"]) == 0
    features = VGGFeatures("vgg_small", layers)
    before, after = (
        torch.from_numpy(to_array(decode(path)).astype(np.float32) / 255).permute(2, 0, 1)[None]
        for path in (photo, photo.parent / "dream.png")
    )
    assert before.shape == after.shape
    energy = [float(features(picture, layers)["relu3_1"].square().mean()) for picture in (before, after)]
    assert energy[1] > 1.5 * energy[0]
    assert dream(flags) == 2
    assert dream([*flags, "--overwrite", "--layers", "{relu9_1: 1}"]) == 2
