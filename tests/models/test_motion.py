"""Photos move a little, each in its own way, and the same way again for the same seed and step."""

import itertools

import pytest
import torch

from models import motion
from models.motion import MARGIN, SHIFT, draw_motion

INSIDE = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))


def displacements(photos, seed=0, step=0):
    """Return rows and columns by which each pixel's source lies beside it, shape (B, H, W) each."""
    height, width = photos.shape[-2:]
    columns, rows = draw_motion(photos, seed, step).positions.unbind(-1)
    return (
        (rows + 1) / 2 * (height - 1) - torch.arange(height)[:, None],
        (columns + 1) / 2 * (width - 1) - torch.arange(width),
    )


def test_a_photo_that_is_not_bent_is_shifted_by_whole_pixels(monkeypatch):
    monkeypatch.setattr(motion, "BENT_SHARE", 0)
    photos = torch.rand(8, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    moved = draw_motion(photos, 0, 0).move(photos)
    shifts = list(itertools.product(range(-SHIFT, SHIFT + 1), repeat=2))
    found = set()
    for photo, picture in zip(photos, moved, strict=True):
        errors = [(picture - photo.roll(shift, (1, 2)))[INSIDE].abs().max().item() for shift in shifts]
        assert min(errors) < 1e-4
        found.add(shifts[errors.index(min(errors))])
    assert len(found) > 4


def test_some_photos_are_bent_and_no_place_moves_in_from_outside():
    photos = torch.zeros(64, 3, 64, 80)
    bent = []
    for moved in displacements(photos):
        assert moved.abs().max() < MARGIN - 2  # Cubic interpolation reads two pixels further.
        bent.append(moved.amax((1, 2)) - moved.amin((1, 2)) > 0.5)
    assert torch.equal(*bent)
    assert 16 < bent[0].sum() < 48


def test_motions_depend_on_seed_and_step_alone():
    photos = torch.rand(2, 3, 64, 64)
    first, again = draw_motion(photos, 3, 5), draw_motion(1 - photos, 3, 5)
    assert torch.equal(first.positions, again.positions)
    assert torch.equal(first.noise, again.noise)
    for seed, step in ((3, 6), (4, 5)):
        assert not torch.equal(first.positions, draw_motion(photos, seed, step).positions)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_the_next_frame_has_the_noise_of_a_sensor(level):
    photos = torch.full((1, 3, 64, 64), level)
    noise = 255 * (draw_motion(photos, 0, 0).take_next(photos) - photos)
    assert noise.mean().abs() < 0.5
    assert noise.std() == pytest.approx(motion.SENSOR_NOISE, rel=0.05)
    assert (noise[..., 1:] * noise[..., :-1]).mean().abs() < 0.05 * motion.SENSOR_NOISE**2
