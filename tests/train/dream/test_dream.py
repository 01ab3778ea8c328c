"""Dreams raise what layers see, and refuse what cannot work in one sentence."""

import math

import numpy as np
import PIL.Image
import pytest
import torch

from data.images import decode, encode, from_array, to_array
from data.photos import to_tensor
from models.vgg import VGGFeatures
from tests.pictures import noise
from train.dream.ascent import Ascent, smooth_gradient, zoom_in
from train.dream.command import main as dream
from train.dream.config import DreamConfig
from train.slow.optimizer import make_noise


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
        ["--layers", "{{relu2_1: 1}}", "--channel", "48"],
        ["--layers", "{{relu2_1: 1}}", "--channel", "-1"],
        ["--channel", "3"],
        ["--frames", "501"],
        ["--zoom", "0.5"],
        ["--zoom", "1.1"],
        ["--frame-iterations", "5"],
        ["--frame-iterations", "0"],
        ["--smoothness", "-1"],
        ["--decay", "1.5"],
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

    monkeypatch.setattr(f"train.dream.run.{stage}", interrupt)
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    assert dream([*flags, "--octaves", "1", "--iterations", "1"]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("stopped ")
    assert not (photo.parent / "dream.png").exists()


RED_EDGES = {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}
"""VGG-19 as far as relu1_1, of which channel 7 answers to edges in red, and all others to nothing."""
RED_EDGES["features.0.weight"][7, 0, :, 0], RED_EDGES["features.0.weight"][7, 0, :, 2] = -1, 1


def test_one_channel_is_raised_from_noise(tmp_path):
    output = tmp_path / "channel.png"
    flags = ["--layers", "{relu3_1: 1}", "--channel", "5", "--size", "48", "--octaves", "2", "--iterations", "10"]
    assert dream([*flags, "--output", str(output), "--perceptual", "vgg_small"]) == 0
    features = VGGFeatures("vgg_small", ["relu3_1"])
    after = to_tensor(to_array(decode(output)))
    assert after.shape == (1, 3, 48, 48)
    energy = [
        features(picture, ["relu3_1"])["relu3_1"].square().mean((0, 2, 3))
        for picture in (make_noise((1, 3, 48, 48), 0), after)
    ]
    growth = energy[1] / energy[0].clamp_min(1e-6)
    assert growth[5] > 10
    assert energy[1].argmax() == 5
    assert not output.with_suffix(".gif").exists()


def test_decay_leaves_color_only_where_it_raises_the_channel():
    features = VGGFeatures("vgg19", ["relu1_1"], RED_EDGES)
    config = DreamConfig("unused.png", layers={"relu1_1": 1.0}, channel=7, jitter=0, step=0.02)
    *_, (picture, _) = Ascent(features, config).climb(make_noise((1, 3, 32, 32), 1), 120)
    deviation = (picture[0] - 0.5).abs().mean((1, 2))
    assert deviation[0] > 0.1
    assert max(deviation[1], deviation[2]) < 0.01


def test_a_channel_that_noise_does_not_excite_is_raised_too():
    state = {**RED_EDGES, "features.0.bias": torch.full((64,), -12.0)}
    features = VGGFeatures("vgg19", ["relu1_1"], state)
    start = make_noise((1, 3, 32, 32), 1)
    assert not features(start, ["relu1_1"])["relu1_1"].any()
    config = DreamConfig("unused.png", layers={"relu1_1": 1.0}, channel=7, decay=0, step=0.02)
    *_, (picture, _) = Ascent(features, config).climb(start, 60)
    assert features(picture, ["relu1_1"])["relu1_1"][0, 7].max() > 1


def test_a_channel_that_no_pixel_can_change_is_refused(tmp_path, one_error, monkeypatch):
    monkeypatch.setattr("train.dream.run.VGGFeatures", lambda *_: VGGFeatures("vgg19", ["relu1_1"], RED_EDGES))
    flags = ["--layers", "{relu1_1: 1}", "--channel", "8", "--size", "32", "--output", str(tmp_path / "d.png")]
    assert dream(flags) == 2
    assert "no pixel can change channel 8" in one_error()


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_fine_patterns_are_weakened_by_a_power_of_their_frequency(exponent):
    across = torch.arange(64) * 2 * math.pi / 64
    coarse, fine = (torch.cos(cycles * across).expand(1, 3, 64, 64) for cycles in (2, 8))
    smoothed = [smooth_gradient(pattern, exponent) for pattern in (coarse, fine)]
    for pattern, result in zip((coarse, fine), smoothed, strict=True):
        torch.testing.assert_close(result / result.max(), pattern, atol=1e-4, rtol=0)
    assert float(smoothed[0].max() / smoothed[1].max()) == pytest.approx(4**exponent, rel=1e-3)
    assert smooth_gradient(coarse, 0.0) is coarse


def test_a_zoom_enlarges_the_middle():
    features = VGGFeatures("vgg19", ["relu1_1"], RED_EDGES)
    config = DreamConfig("unused.png", "photo.png", {"relu1_1": 1.0}, frames=2, zoom=2.0, step=1e-6, jitter=0)
    picture = torch.full((1, 3, 64, 64), 0.2)
    # A square of a quarter of the side, which fills the picture after two frames.
    picture[:, :, 24:40, 24:40] = 0.9
    first, second = zoom_in(picture, Ascent(features, config))
    assert float(first[0, 0, 32, 20]) == pytest.approx(0.9, abs=0.01)
    assert float(first[0, 0, 32, 12]) == pytest.approx(0.2, abs=0.01)
    assert second[0, :, 4:-4, 4:-4].min() > 0.85


def test_a_zoom_becomes_a_gif_beside_the_picture(photo):
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    flags += ["--layers", "{relu2_1: 1}", "--octaves", "1", "--iterations", "2", "--frames", "5"]
    assert dream(flags) == 0
    with PIL.Image.open(photo.parent / "dream.gif") as film:
        assert film.size == (64, 48)
        assert film.n_frames == 6
    (photo.parent / "dream.png").unlink()
    assert dream(flags) == 2


def test_ctrl_c_in_a_zoom_keeps_the_frames_so_far(photo, capsys, monkeypatch):
    def interrupt(picture, ascent):
        yield from list(zoom_in(picture, ascent))[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr("train.dream.run.zoom_in", interrupt)
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    assert dream([*flags, "--octaves", "1", "--iterations", "1", "--frames", "4"]) == 0
    assert "what there is so far is kept" in capsys.readouterr().err
    with PIL.Image.open(photo.parent / "dream.gif") as film:
        assert film.n_frames == 3


def test_overwriting_without_a_zoom_removes_the_earlier_one(photo, one_error):
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    flags += ["--layers", "{relu2_1: 1}", "--octaves", "1", "--iterations", "1"]
    animation = photo.parent / "dream.gif"
    animation.write_bytes(photo.read_bytes())
    assert dream([*flags, "--content", str(animation), "--overwrite"]) == 2
    assert "dream.gif' is also an input" in one_error()
    assert dream(flags) == 0
    assert animation.exists()
    assert dream([*flags, "--overwrite"]) == 0
    assert not animation.exists()


def test_a_photo_smaller_than_the_size_asked_for_is_told(photo, capsys):
    flags = ["--content", str(photo), "--output", str(photo.parent / "dream.png"), "--perceptual", "vgg_small"]
    assert dream([*flags, "--layers", "{relu2_1: 1}", "--octaves", "1", "--iterations", "1", "--size", "1000"]) == 0
    assert "the photo has 64 px on its longer side; it is not enlarged to 1000\n" in capsys.readouterr().err
