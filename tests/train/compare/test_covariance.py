"""The covariance distance is about 1 for a piece of the painting, and grows with the distance to its strokes."""

import numpy as np
import pytest
import torch

from data.drawings import draw_flowing_strokes
from data.images import decode, from_array, scale_short_side, to_array
from data.photos import to_tensor
from data.samples import sample_photo
from data.scenes import draw_scene
from models.vgg import VGGFeatures
from tests import ROOT
from tests.perceptual_weights import random_state
from train.compare.covariance import LAYERS, CovarianceDistance, covariance

PAINTING = decode(ROOT / "data" / "styles" / "flowing_strokes.jpg")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def distance():
    measure = CovarianceDistance(VGGFeatures("vgg_small", LAYERS), PAINTING, CPU)
    return lambda picture: measure(to_tensor(picture))


@pytest.fixture(scope="module")
def painting():
    return to_array(scale_short_side(PAINTING, 384))


def test_crops_of_the_painting_are_at_about_1(distance, painting):
    found = [distance(painting[down : down + 256, across : across + 256]) for down in (0, 128) for across in (0, 128)]
    assert all(0.6 < value < 1.3 for value in found)
    assert np.mean(found) == pytest.approx(1, abs=0.2)


def test_the_painting_itself_is_at_0(distance, painting):
    assert distance(painting) == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_other_strokes_lie_between_the_painting_and_a_scene(distance, painting):
    strokes, scene = distance(np.array(draw_flowing_strokes(256, seed=1))), distance(draw_scene(256, 2))
    assert distance(painting[:256, :256]) < strokes < 0.7 * scene


def test_a_photo_is_far_away(distance):
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    assert distance(to_array(scale_short_side(decode(sample_photo("chelsea")), 256))) > 1.8


@pytest.mark.slow
def test_same_picture_same_distance(distance):
    scene = draw_scene(128, 1)
    assert distance(scene) == distance(scene.copy())
    again = CovarianceDistance(VGGFeatures("vgg_small", LAYERS), PAINTING, CPU)
    assert again(to_tensor(scene)) == distance(scene)


@pytest.mark.slow
def test_painting_of_any_size_gives_the_same_unit(distance):
    half = CovarianceDistance(VGGFeatures("vgg_small", LAYERS), scale_short_side(PAINTING, 520), CPU)
    scene = draw_scene(256, 1)
    assert half(to_tensor(scene)) == pytest.approx(distance(scene), rel=0.05)


@pytest.mark.slow
def test_scale_of_the_activations_does_not_matter():
    one, other = (
        VGGFeatures("vgg_small", LAYERS, random_state("vgg_small", "relu4_1", scale)) for scale in (1.0, 100.0)
    )
    small = from_array(to_array(PAINTING)[:300, :300])
    scene = to_tensor(draw_scene(96, 1))
    assert CovarianceDistance(one, small, CPU)(scene) == pytest.approx(
        CovarianceDistance(other, small, CPU)(scene), rel=0.05
    )


def test_covariance_is_that_of_numpy():
    values = torch.randn(1, 5, 7, 6, generator=torch.Generator().manual_seed(0)) + 3
    expected = np.cov(values.flatten(2)[0].numpy(), bias=True)
    np.testing.assert_allclose(covariance(values)[0], expected, atol=1e-5)
