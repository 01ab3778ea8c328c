"""Each artifact's number stays below its threshold for a clean picture, and rises above it for a planted defect."""

from dataclasses import asdict

import numpy as np
import pytest

from data.scenes import draw_scene, fractal_noise
from train.compare.artifacts import THRESHOLDS, measure_artifacts


@pytest.fixture(params=[0, 1, 2])
def photo(request):
    """A scene on the left, a flat sky on the right."""
    scene = draw_scene(160, request.param)
    scene[:, 80:] = 140
    return scene


@pytest.fixture
def clean(photo):
    """Strokes everywhere, as a clean stylized picture has them."""
    strokes = 18 * fractal_noise(np.random.default_rng(1), 160, 0.8)[..., None]
    return np.clip(0.7 * photo + 40 + strokes, 1, 254).astype(np.uint8)


def exceeded(photo, picture):
    found = measure_artifacts(photo, picture)
    return {name for name, value in asdict(found).items() if value > getattr(THRESHOLDS, name)}


def test_clean_pictures_have_no_artifact(photo, clean):
    assert exceeded(photo, clean) == set()


def test_photo_itself_has_none(photo):
    found = measure_artifacts(photo, photo)
    assert found.blotches < 0.01
    assert found.border == 0


def test_blotches_in_flat_regions_are_found(photo, clean):
    rows, columns = np.mgrid[0:160, 0:160]
    for row, column in ((30, 110), (75, 140), (120, 105), (140, 140), (30, 145)):
        clean[np.hypot(rows - row, columns - column) < 11] = (20, 160, 30)
    assert "blotches" in exceeded(photo, clean)


@pytest.mark.parametrize("stride", [2, 4])
def test_checkerboards_are_found(photo, clean, stride):
    rows, columns = np.mgrid[0:160, 0:160]
    pattern = 7 * np.cos(2 * np.pi * rows / stride) * np.cos(2 * np.pi * columns / stride)
    assert "checkerboard" in exceeded(photo, np.clip(clean + pattern[..., None], 0, 255).astype(np.uint8))


def test_bad_borders_are_found(photo, clean):
    clean[:, :4] = clean[:, :4] // 2
    assert exceeded(photo, clean) == {"border"}


def test_saturation_is_found(photo, clean):
    harsh = np.clip((clean.astype(float) - 128) * 6 + 128, 0, 255).astype(np.uint8)
    assert "saturation" in exceeded(photo, harsh)
