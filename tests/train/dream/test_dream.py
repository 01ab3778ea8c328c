"""Dreams raise what layers see, and refuse what cannot work in one sentence."""

import numpy as np
import pytest
import torch

from data.images import decode, encode, from_array, to_array
from models.vgg import VGGFeatures
from tests.pictures import noise
from train.dream.command import main as dream


@pytest.mark.parametrize(
    "flags",
    [
        ["--size", "-5"],
        ["--size", "9" * 25],
        ["--step", "0"],
        ["--step", "1e400"],
        ["--seed", "9" * 25],
        ["--jitter", "9" * 25],
        ["--octaves", "9" * 25],
        ["--layers", "{{relu4_4: .nan}}"],
        ["--layers", "{{relu4_4: .inf}}"],
        ["--layers", "{{relu4_4: 1e300}}"],
        ["--overwrite", "--output", "{photo}"],
    ],
)
def test_dream_refuses_what_cannot_work(photo, one_error, flags):
    fixed = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    assert dream([*fixed, *(flag.format(photo=photo) for flag in flags)]) == 2
    assert "--" in one_error()
    assert not (photo.parent / "dream.png").exists()


def test_dream_refuses_a_photo_that_it_would_have_to_distort(photo, one_error):
    encode(from_array(noise(5, 64)), photo)
    assert dream(["--content", str(photo), "--output", str(photo.parent / "d.png"), "--perceptual", "vgg_small"]) == 2
    assert "pixels" in one_error()


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


@pytest.mark.parametrize("stage", ["VGGFeatures", "encode"])
def test_ctrl_c_outside_of_the_ascent_writes_nothing(photo, capsys, monkeypatch, stage):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"train.dream.ascent.{stage}", interrupt)
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    assert dream([*flags, "--octaves", "1", "--iterations", "1"]) == 130
    assert capsys.readouterr().err.endswith("nothing was written\n")
    assert not (photo.parent / "dream.png").exists()
