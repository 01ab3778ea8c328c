"""The filter for what stands still: noise is eased, and nothing trails behind what moves."""

from itertools import pairwise

import numpy as np
import pytest

from export.video.command import keep_steady
from export.video.steady import Steady, enlarge, spread_change
from tests.pictures import flat, noise, ramp


def noisy(picture, spread, seed):
    random = np.random.default_rng(seed)
    return np.clip(picture + random.normal(0, spread, picture.shape), 0, 255).astype(np.uint8)


def flicker(frames):
    return np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairwise(frames)])


@pytest.mark.parametrize("sensor", [0, 1, 4])
def test_strokes_stand_still_where_the_clip_does(sensor):
    steady = Steady()
    photo, painting = ramp(80, 60), noise(80, 60)
    painted = [noisy(painting, 15, seed) for seed in range(20)]
    eased = [steady(noisy(photo, sensor, seed + 100), frame) for seed, frame in enumerate(painted)]
    assert flicker(eased[10:]) < 0.3 * flicker(painted[10:])


@pytest.mark.parametrize("contrast", [25, 120])
def test_what_moves_leaves_no_trace(contrast):
    steady = Steady()
    for step in range(20):
        photo = flat((90, 100, 110), 96, 64)
        photo[20:32, 4 * step : 4 * step + 10] += np.uint8(contrast)
        painted = 255 - photo
        eased = steady(noisy(photo, 2, step), painted)
    assert np.abs(eased.astype(int) - painted).max() <= 1


def test_a_thin_line_that_moves_leaves_no_trace():
    steady = Steady()
    for step in range(12):
        photo = flat((90, 100, 110), 96, 64)
        photo[:, 5 * step + 3] = 150
        painted = 255 - photo
        eased = steady(noisy(photo, 2, step), painted)
    assert np.abs(eased.astype(int) - painted).max() <= 1


def test_a_slow_fade_is_followed():
    steady = Steady()
    for step in range(120):
        photo = flat((60 + step, 60 + step, 60 + step), 40, 40)
        eased = steady(photo, photo)
    assert np.abs(eased.astype(int) - photo).max() <= 6


def test_a_cut_shows_the_new_scene_at_once():
    steady = Steady()
    steady(noise(40, 40, 1), noise(40, 40, 2))
    painted = noise(40, 40, 4)
    np.testing.assert_array_equal(steady(noise(40, 40, 3), painted), painted)


def test_frames_of_another_size_begin_anew():
    steady = Steady()
    steady(ramp(40, 40), ramp(40, 40))
    painted = noise(31, 17)
    assert steady(ramp(31, 17), painted) is painted


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (33, 62), (64, 64)])
def test_blocks_cover_every_size(height, width):
    change = spread_change(np.full((height, width, 3), 7, np.float32))
    assert change.shape == (-(-height // 4), -(-width // 4))
    np.testing.assert_allclose(change, 7)
    np.testing.assert_allclose(enlarge(change, height, width), 7)
    assert enlarge(change, height, width).shape == (height, width)


def test_a_change_reaches_the_neighboring_blocks():
    difference = np.zeros((24, 24, 3), np.float32)
    difference[8:12, 8:12] = 5
    np.testing.assert_allclose(spread_change(difference)[1:4, 1:4], 5)
    assert spread_change(difference).sum() == pytest.approx(45)


def test_interpolation_is_linear_between_the_centers_of_blocks():
    values = np.arange(5, dtype=np.float32)[None]
    np.testing.assert_allclose(enlarge(values, 4, 20)[0], np.clip((np.arange(20) - 1.5) / 4, 0, 4), atol=1e-6)


def test_each_clip_has_a_filter_of_its_own():
    paint = keep_steady(lambda photo: 255 - photo)
    first = noise(16, 16, 0)
    np.testing.assert_array_equal(paint(first), 255 - first)
    np.testing.assert_array_equal(keep_steady(lambda photo: photo)(first), first)
