"""Scenes are drawn from the seed alone, differ from one another, and mix with photos in the share asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset

from data.photos import Sample
from data.scenes import MixedStream, SceneStream, draw_scene, fractal_noise


@settings(max_examples=20)
@given(st.integers(16, 90), st.integers(0, 2**64 - 1))
def test_scene_is_a_picture_and_the_same_every_time(side, seed):
    scene = draw_scene(side, seed)
    assert scene.shape == (side, side, 3)
    assert scene.dtype == np.uint8
    assert np.array_equal(scene, draw_scene(side, seed))


def test_scenes_differ_and_are_not_dull():
    scenes = [draw_scene(64, seed).astype(float) for seed in range(40)]
    assert len({scene.tobytes() for scene in scenes}) == 40
    assert np.mean([scene.std() for scene in scenes]) > 30
    assert 60 < np.mean(scenes) < 190


def test_fractal_noise_is_standardised_and_smoother_with_a_steeper_slope():
    rough, smooth = (fractal_noise(np.random.default_rng(0), 64, slope) for slope in (0.5, 2.0))
    for noise in (rough, smooth):
        assert abs(noise.mean()) < 1e-9
        assert noise.std() == pytest.approx(1)
    assert np.diff(smooth, axis=1).std() < 0.5 * np.diff(rough, axis=1).std()


def test_stream_depends_on_seed_and_number_only():
    one, same, other = SceneStream(32, 1), SceneStream(32, 1), SceneStream(32, 2)
    assert torch.equal(one[7].photo, same[7].photo)
    assert not torch.equal(one[7].photo, other[7].photo)
    assert not torch.equal(one[7].photo, one[8].photo)
    assert one[7].photo.shape == (3, 32, 32)


class BlackPhotos(Dataset):
    def __getitem__(self, n):
        return Sample(torch.zeros(3, 16, 16, dtype=torch.uint8), ())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixture_holds_the_share_asked_for(share):
    stream = MixedStream(BlackPhotos(), SceneStream(16, 0), share, seed=5)
    drawn = sum(bool(stream[n].photo.any()) for n in range(200)) / 200
    assert drawn == pytest.approx(share, abs=0.08)
