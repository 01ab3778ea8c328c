"""A photo is reconstructed from each layer, the shallower the more of it, and refused where it cannot be."""

import csv

import numpy as np
import pytest
import torch

from data.images import decode, encode, from_array, to_array
from models.losses import alpha_norm
from tests.pictures import noise
from tests.train.slow.slow_command import slow
from train.slow.reconstruct import main, reconstruct


def flags(photo, *more):
    given = ["--content", str(photo), "--output", str(photo.parent / "kept"), "--perceptual", "vgg_small"]
    return [*given, "--size", "48", "--iterations", "25", *more]


def read_table(photo):
    with (photo.parent / "kept" / "kept.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_shallow_layers_keep_more_of_a_photo_than_deep_ones(photo, capsys):
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    encode(from_array(blocks), photo)
    assert main(flags(photo, "--layers", "relu1_1", "relu4_1")) == 0
    shallow, deep = read_table(photo)
    assert (shallow["layer"], deep["layer"]) == ("relu1_1", "relu4_1")
    assert float(shallow["ssim"]) > 0.7
    assert float(shallow["ssim"]) > float(deep["ssim"]) + 0.1
    said = capsys.readouterr().out
    assert f"relu1_1     {float(shallow['ssim']):.3f}" in said
    # Three pictures, enlarged from 48 to 240 pixels.
    width, height = decode(photo.parent / "kept" / "reconstructions.png").size
    assert width * height > 3 * 240 * 180


def test_the_alpha_norm_is_the_mean_of_the_sixth_power():
    pictures = torch.full((2, 3, 4, 4), 0.5)
    pictures[0, :, :2] = 1.0
    pictures[1, 0, 0, 0] = 1.5
    assert alpha_norm(pictures).tolist() == pytest.approx([0.5, 64 / 48])


def test_the_alpha_norm_draws_contrast_back(photo):
    encode(from_array(np.where(noise(64, 48) > 127, 255, 0).astype(np.uint8)), photo)
    spread = {}
    for weight in (0, 5):
        name = f"alpha-{weight}.png"
        options = {"style": None, "alpha_weight": weight, "save_every": 0, "iterations": 20, "tv_weight": 0}
        assert slow(photo, name, **options) == 0
        spread[weight] = to_array(decode(photo.parent / name)).std()
    assert spread[5] < 0.7 * spread[0]


def test_ctrl_c_leaves_a_table_of_the_finished_layers(photo, capsys, monkeypatch):
    def interrupt(configs):
        yield next(reconstruct(configs))
        raise KeyboardInterrupt

    monkeypatch.setattr("train.slow.reconstruct.reconstruct", interrupt)
    assert main(flags(photo, "--layers", "relu1_1", "relu2_1", "--iterations", "1")) == 130
    assert [row["layer"] for row in read_table(photo)] == ["relu1_1"]
    assert "1 of 2 layers" in capsys.readouterr().err


def test_ctrl_c_before_the_first_layer_is_finished_writes_nothing(photo, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.slow.run.optimize", interrupt)
    assert main(flags(photo)) == 130
    assert capsys.readouterr().err.endswith("nothing was written\n")
    assert list((photo.parent / "kept").iterdir()) == []


def test_an_earlier_table_is_kept_and_a_small_photo_refused_before_the_work(photo, one_error, monkeypatch):
    monkeypatch.setattr("train.slow.reconstruct.reconstruct", None)
    assert main(flags(photo, "--content", "nowhere.jpg")) == 2
    assert "nowhere.jpg" in one_error()
    encode(from_array(noise(40, 20)), photo)
    assert main(flags(photo, "--perceptual-weights", "nowhere.pth")) == 2
    assert "--perceptual-weights" in one_error()
    (photo.parent / "kept").mkdir()
    (photo.parent / "kept" / "kept.csv").write_text("mine")
    assert main(flags(photo)) == 2
    assert "--overwrite" in one_error()
    assert (photo.parent / "kept" / "kept.csv").read_text() == "mine"
