"""The slow mode makes the picture it is asked for, shows its work, and refuses what cannot work in one sentence."""

import csv
import functools
import re
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
from data.photos import to_tensor
from data.samples import sample_photo
from models.vgg import VGGFeatures
from tests import ROOT
from tests.pictures import noise
from tests.train.slow.slow_command import DRAWING, slow
from train.dream.command import main as dream
from train.slow.benchmark import main as slow_bench
from train.slow.command import main
from train.slow.config import SlowConfig
from train.slow.optimizer import PixelOptimizer
from train.slow.page import describe_setting
from train.slow.record import Record
from train.slow.task import LUMINANCE, Task, match_luminance, to_luminance

CONFIGS = sorted((ROOT / "configs" / "slow").glob("*.yaml"))


def read_losses(path):
    with path.open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_lbfgs_converges_in_bfloat16(photo):
    for precision in ("float32", "bfloat16"):
        assert slow(photo, f"{precision}.png", size=32, precision=precision, iterations=40, save_every=0) == 0
    exact, rounded = (read_losses(photo.parent / f"{name}-curve.csv") for name in ("float32", "bfloat16"))
    assert rounded[-1] < 1.1 * exact[-1]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_loss_falls_and_intermediate_pictures_are_kept(photo, optimizer):
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


def test_colors_are_preserved(photo):
    assert slow(photo, "gray.png", preserve_color="true", iterations=10) == 0
    after = to_array(decode(photo.parent / "gray.png")) / 255
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


def test_palette_pulls_the_colors_of_the_picture_to_the_paintings(photo):
    painting = to_array(decode(DRAWING)).mean((0, 1))
    distances = {}
    for weight in (0, 20):
        name = f"palette-{weight}"
        options = {"style_weight": 0, "tv_weight": 0, "iterations": 20, "save_every": 0}
        assert slow(photo, f"{name}.png", palette_weight=weight, **options) == 0
        picture = to_array(decode(photo.parent / f"{name}.png")).mean((0, 1))
        distances[weight] = np.abs(picture - painting).max()
        with (photo.parent / f"{name}-curve.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert (float(rows[0]["palette"]) > 0) == (weight > 0)
    assert distances[20] < 0.3 * distances[0]


def test_rarity_and_focus_reach_the_loss_and_the_page(photo):
    options = {"output": str(photo.parent / "out.png"), "content": str(photo), "style": [str(photo)]}
    options |= {"perceptual": "vgg_small", "focus_layer": "relu2_1", "emd_layers": {"relu2_1": 1.0}}
    config = SlowConfig(**options, emd_weight=1, emd_rarity=3, content_focus=0.5)
    loss = Task(config).loss
    assert (loss.config.emd_rarity, loss.config.content_focus, loss.config.focus_layer) == (3, 0.5, "relu2_1")
    told = describe_setting(config)
    assert "relu2_1 (weight 1, rarity 3)" in told
    assert "focus 0.5" in told
    plain = describe_setting(SlowConfig(**options, emd_weight=1))
    assert "rarity" not in plain
    assert "focus" not in plain


def test_figures_of_the_painting_are_asked_for_where_it_is_told(photo, monkeypatch):
    fallen, shown = {}, {}
    for weight in (0, 1):
        name = f"emd-{weight}"
        options = {"style_weight": 0, "tv_weight": 0, "palette_weight": 0, "iterations": 10, "save_every": 0}
        options |= {"emd_weight": weight, "emd_layers": "{relu2_1: 1}"}
        shown[weight] = []
        monkeypatch.setattr(
            "train.slow.run.tqdm.set_postfix", lambda bar, terms, of=weight, **_: shown[of].append(terms)
        )
        assert slow(photo, f"{name}.png", **options) == 0
        with (photo.parent / f"{name}-curve.csv").open(newline="") as file:
            fallen[weight] = [float(row["emd"]) for row in csv.DictReader(file)]
    assert fallen[1][-1] < 0.9 * fallen[1][0]
    assert set(fallen[0]) == {0}
    assert {weight: "emd" in terms[-1] for weight, terms in shown.items()} == {0: False, 1: True}


def test_texture_is_made_without_a_photo(photo):
    assert slow(photo, content=None, start="noise", size=40) == 0
    assert decode(photo.parent / "out.png").size == (40, 40)


def test_features_are_reconstructed_without_a_painting(photo):
    assert slow(photo, style=None, start="noise", iterations=60, content_layers="{relu1_1: 1}", save_every=0) == 0
    small = to_array(decode(photo).resize((48, 36), PIL.Image.Resampling.LANCZOS)).astype(float)
    remembered = to_array(decode(photo.parent / "out.png")).astype(float)
    assert np.corrcoef(small.ravel(), remembered.ravel())[0, 1] > 0.9
    assert not (photo.parent / "out.gif").exists()


@pytest.mark.slow
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


def test_a_photo_smaller_than_the_sizes_asked_for_is_told(photo, capsys):
    options = {"size": 1000, "smallest_size": 100, "iterations": 1, "save_every": 0}
    assert slow(photo, **options) == 0
    said = capsys.readouterr().err
    assert said.count("the photo has 64 px on its longer side; it is not enlarged to 1000\n") == 1
    assert "--smallest-size 100 is not below the picture's 64 px; there is this one size\n" in said
    assert slow(photo, "again.png", iterations=1) == 0
    assert "enlarged" not in capsys.readouterr().err


def test_pixels_that_the_last_step_breaks_are_not_written(photo, capsys, monkeypatch):
    class Broken(PixelOptimizer):
        def run(self, iterations):
            for terms in super().run(iterations):
                self.values.data.fill_(float("nan"))
                yield terms

    monkeypatch.setattr("train.slow.run.PixelOptimizer", Broken)
    assert slow(photo, iterations=1) == 2
    assert "pixels are no longer finite after iteration 1; lower --learning-rate" in capsys.readouterr().err
    assert not (photo.parent / "out.png").exists()


def test_early_stopping_ends_a_run(photo):
    assert slow(photo, iterations=300, patience=2, start="content", style=None, save_every=0) == 0
    assert len(read_losses(photo.parent / "out-curve.csv")) < 300


def test_average_pooling_keeps_the_size_of_activations(real_vgg19):
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    photo = to_array(decode(sample_photo("chelsea")))[50:274, 100:324].astype(np.float32) / 255
    picture = torch.from_numpy(photo).permute(2, 0, 1)[None]
    layers = ["relu2_1", "relu3_1", "relu4_1"]
    largest, average = (
        VGGFeatures("vgg19", layers, str(real_vgg19), pooling=kind)(picture, layers) for kind in ("max", "average")
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
        ({"learning_rate": -1}, "--learning-rate"),
        ({"learning_rate": 0}, "--learning-rate"),
        ({"learning_rate": "1e400"}, "--learning-rate"),
        ({"style_scale": "1e400"}, "--style-scale"),
        ({"learning_rate": "1e300", "optimizer": "adam"}, "--learning-rate"),
        ({"style_weight": "1e400"}, "--style-weight"),
        ({"style_weight": ".nan"}, "--style-weight"),
        ({"palette_weight": -1}, "--palette-weight"),
        ({"emd_weight": -1}, "--emd-weight"),
        ({"emd_rarity": -1}, "--emd-rarity"),
        ({"content_focus": 17}, "--content-focus"),
        ({"emd_weight": 1, "emd_layers": "{}"}, "emd_layers names no layer"),
        ({"style_norm": "squares"}, "--style-norm"),
        ({"size": 8}, "--size"),
        ({"smallest_size": 48}, "--smallest-size is 48 and --size is 48; it must be smaller"),
        ({"emd_rarity": 3}, "--emd-rarity is 3 and --emd-weight is 0"),
        ({"size": "9" * 25}, "--size"),
        ({"size": 90000, "content": None, "start": "noise"}, "--size"),
        ({"seed": "9" * 25, "start": "noise"}, "--seed"),
        ({"iterations": "9" * 25}, "--iterations"),
        ({"style_shares": "[1, 2]"}, "--style-shares"),
        ({"style_shares": "[.inf]"}, "--style-shares"),
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


def test_photo_too_small_for_the_layers_gets_one_sentence(photo, one_error):
    encode(from_array(noise(5, 5)), photo)
    assert slow(photo) == 2
    assert "5 x 5 pixels" in one_error()


@pytest.mark.parametrize(("command", "name"), [(main, "slow"), (dream, "dream"), (slow_bench, "slow.benchmark")])
def test_help_ends_in_a_line_to_copy(capsys, command, name):
    with pytest.raises(SystemExit):
        command(["--help"])
    assert f"\n  python -m train.{name} --content photo.jpg " in capsys.readouterr().out.split("example")[-1]


@pytest.mark.slow
def test_control_c_keeps_the_picture_so_far(photo):
    flags = ["--content", photo, "--style", DRAWING, "--output", photo.parent / "out.png", "--size", "64"]
    flags += ["--iterations", "100000", "--perceptual", "vgg_small", "--save-every", "1"]
    command = [sys.executable, "-m", "train.slow", *map(str, flags)]
    # Where the tests run in the background of a shell, Ctrl-C is switched off, and programs inherit that.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=heard)  # noqa: PLW1509
    try:
        while process.poll() is None and not (photo.parent / "out-steps" / "00002.png").exists():
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert decode(photo.parent / "out.png").size == (64, 48)
    assert len(read_losses(photo.parent / "out-curve.csv")) >= 2


def test_no_arguments_get_one_sentence_with_an_example(one_error):
    for command, name in ((main, "slow"), (dream, "dream")):
        with pytest.raises(SystemExit):
            command([])
        assert f"for example: python -m train.{name} --content photo.jpg" in one_error()


@pytest.mark.parametrize("stage", ["loading", "writing"])
def test_control_c_outside_of_the_iterations_is_one_sentence(photo, capsys, monkeypatch, stage):
    def interrupt(*_):
        raise KeyboardInterrupt

    told = {"loading": "stopped before the first iteration; nothing was written", "writing": "while the files were"}
    monkeypatch.setattr("train.slow.run.Task" if stage == "loading" else "train.slow.record.encode", interrupt)
    assert slow(photo, save_every=0, iterations=1) == 130
    assert told[stage] in capsys.readouterr().err.splitlines()[-1]


def stop_after(monkeypatch, iterations):
    add = Record.add

    def add_and_stop(self, now):
        add(self, now)
        if now.iteration == iterations:
            raise KeyboardInterrupt

    monkeypatch.setattr(Record, "add", add_and_stop)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_control_c_keeps_the_best_picture_though_the_loss_has_risen(photo, monkeypatch, precision):
    stop_after(monkeypatch, 4)
    # From the photo and without a style every step leads away from the best picture, which is the photo.
    options = {"style": None, "tv_weight": 0, "optimizer": "adam", "learning_rate": 0.5, "precision": precision}
    encode(from_array(noise(64, 64)), photo)
    near = np.clip(to_array(decode(photo)).astype(int) + 3, 0, 255).astype(np.uint8)
    encode(from_array(near), photo.parent / "near.png")
    assert slow(photo, size=64, start=photo.parent / "near.png", **options) == 0
    losses = read_losses(photo.parent / "out-curve.csv")
    assert len(losses) == 4
    assert losses[-1] > losses[0]
    assert np.array_equal(to_array(decode(photo.parent / "out.png")), near)


def test_control_c_keeps_the_best_of_the_size_at_hand(photo, monkeypatch):
    stop_after(monkeypatch, 5)
    assert slow(photo, size=64, smallest_size=32, iterations=3, optimizer="adam") == 0
    assert decode(photo.parent / "out.png").size == (45, 34)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_run_that_ends_by_itself_writes_the_picture_whose_loss_its_page_tells(photo, optimizer):
    output = photo.parent / "out.png"
    assert slow(photo, optimizer=optimizer, iterations=15) == 0
    task = Task(SlowConfig(str(output), str(photo), str(DRAWING), size=48, perceptual="vgg_small"))
    content = task.prepare(task.size)
    loss = float(task.loss(to_tensor(to_array(decode(output))), content).total)
    told = float(re.search(r"Its loss is ([0-9.]+)", output.with_suffix(".html").read_text()).group(1))
    # The picture was rounded to bytes.
    assert loss == pytest.approx(told, rel=2e-3)
    if optimizer == "adam":  # L-BFGS lowers the loss of pixels that may lie outside of [0, 1]
        assert told < read_losses(photo.parent / "out-curve.csv")[-1]
