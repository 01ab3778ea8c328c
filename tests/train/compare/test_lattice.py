"""A lattice of any period is found where the photo is flat; strokes, photos, noise and gradients have none."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.drawings import STROKES, draw_flowing_strokes, draw_stained_glass
from data.images import decode, encode, from_array, to_array
from data.samples import sample_photo
from data.scenes import draw_scene, fractal_noise
from train.compare.artifacts import THRESHOLDS
from train.compare.lattice import find_lattice
from train.compare.measure import MEASURES, Measures, Spread
from train.compare.report import list_artifacts

SIDE = 192
PERIODS = (3, 4, 5, 7, 8, 12, 16, 24, 32)


def dots(down, across, period):
    """Squares of about half a period, which even of 3 pixels leaves a grid of bright ones."""
    return ((down % period < period / 2) & (across % period < period / 2)).astype(float)


def hatching(down, across, period):
    return (down % period < period / 2).astype(float)


def diagonal(down, across, period):
    return ((down + across) / 2**0.5 % period < period / 2).astype(float)


def oblique(down, across, period):
    return ((0.5 * down + 0.866 * across) % period < period / 2).astype(float)


def bricks(down, across, period):
    return dots(down, across + down // period % 2 * period / 2, period)


def sky(seed=0, roughness=1.0):
    """A gradient with clouds and a little noise, as a network paints a flat sky."""
    draw = np.random.default_rng(seed)
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    light = 120 + 40 * down - 30 * across + 3 * fractal_noise(draw, SIDE, 2.5)
    return np.repeat((light + roughness * draw.standard_normal((SIDE, SIDE)))[..., None], 3, 2)


def to_picture(values):
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def strength(picture):
    """Measure a picture as if its photo were flat everywhere."""
    return find_lattice(np.full_like(picture, 128), picture).strength


@settings(max_examples=25)
@given(
    pattern=st.sampled_from([dots, hatching, diagonal, oblique, bricks]),
    period=st.sampled_from(PERIODS),
    levels=st.floats(4, 10),
    seed=st.integers(0, 9),
)
@example(dots, 3, 4.0, 0)
@example(dots, 32, 4.0, 0)
@example(hatching, 24, 4.0, 0)
@example(diagonal, 32, 4.0, 0)
@example(oblique, 7, 4.0, 0)
def test_planted_lattices_are_found(pattern, period, levels, seed):
    planted = sky(seed) + levels * pattern(*np.mgrid[0:SIDE, 0:SIDE], period)[..., None]
    assert strength(to_picture(planted)) > THRESHOLDS.lattice


@pytest.mark.parametrize(("side", "period"), [(64, 3), (64, 8), (96, 16), (176, 32)])
@pytest.mark.parametrize("pattern", [dots, hatching, diagonal])
def test_small_flat_regions_suffice_for_short_periods(pattern, side, period):
    planted = sky() + 4 * pattern(*np.mgrid[0:SIDE, 0:SIDE], period)[..., None]
    assert strength(to_picture(planted[:side, :side])) > THRESHOLDS.lattice
    assert strength(to_picture(sky()[:side, :side])) < THRESHOLDS.lattice


@settings(max_examples=15)
@given(slope=st.floats(0, 3), levels=st.floats(1, 30), seed=st.integers(0, 99))
def test_noise_of_any_smoothness_has_none(slope, levels, seed):
    noise = 128 + levels * fractal_noise(np.random.default_rng(seed), SIDE, slope)[..., None]
    assert strength(to_picture(np.repeat(noise, 3, 2))) < THRESHOLDS.lattice / 2


@pytest.mark.parametrize("slope", [(10, 0), (0, 40), (30, 30), (200, 55)])
def test_gradients_have_none(slope):
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    gradient = 20 + slope[0] * down + slope[1] * across
    assert strength(to_picture(np.repeat(gradient[..., None], 3, 2))) < THRESHOLDS.lattice / 2


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("draw", [pytest.param(draw_flowing_strokes, marks=pytest.mark.slow), draw_stained_glass])
def test_drawn_paintings_have_none(draw, seed, monkeypatch):
    # A quarter of the strokes cover a picture of 256 px, too.
    monkeypatch.setattr("data.drawings.STROKES", [(width, length, count // 4) for width, length, count in STROKES])
    painting = np.array(draw(256, seed))
    for picture in (painting, painting[:128, 128:]):
        assert strength(picture) < THRESHOLDS.lattice / 2


@pytest.mark.parametrize("seed", range(4))
def test_scenes_have_none(seed):
    scene = draw_scene(256, seed)
    assert find_lattice(scene, scene).strength < THRESHOLDS.lattice / 2


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "rocket"])
def test_photos_have_none(name):
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    photo = to_array(decode(sample_photo(name)))
    assert find_lattice(photo, photo).strength < THRESHOLDS.lattice / 2


def test_steps_are_those_of_the_lattice():
    planted = sky() + 8 * dots(*np.mgrid[0:SIDE, 0:SIDE], 12)[..., None]
    found = find_lattice(np.full((SIDE, SIDE, 3), 128, np.uint8), to_picture(planted))
    for step in found.steps:
        assert all(min(length % 12, -length % 12) <= 1 for length in step)


def test_lattice_is_looked_for_where_the_photo_is_flat():
    planted = to_picture(sky() + 8 * dots(*np.mgrid[0:SIDE, 0:SIDE], 6)[..., None])
    busy = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert find_lattice(busy, planted).strength == 0
    busy[:, :96] = 128
    assert find_lattice(busy, planted).strength > THRESHOLDS.lattice
    clean = planted.copy()
    clean[:, :96] = to_picture(sky())[:, :96]
    assert find_lattice(busy, clean).strength < THRESHOLDS.lattice


def test_lattice_on_one_photo_of_many_is_reported():
    spreads = {name: Spread(0.0, 0.0, 0.0) for name in MEASURES}
    assert list_artifacts(Measures(**spreads)) == []
    spreads["lattice"] = Spread(0.0, 0.0, 0.3)
    assert list_artifacts(Measures(**spreads)) == [("lattice", 0.3, THRESHOLDS.lattice)]


def test_jpeg_blocks_of_a_flat_picture_are_too_faint(tmp_path):
    encode(from_array(to_picture(sky(roughness=0))), tmp_path / "sky.jpg", quality=85)
    assert strength(to_array(decode(tmp_path / "sky.jpg"))) < THRESHOLDS.lattice
