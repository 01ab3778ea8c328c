"""The noise is smooth, has no seam where it repeats, and is the same for ever."""

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.noise import NOISE_GRAINS, NOISE_SCALE, NOISE_SIDE, _interpolate, draw_offset, noise_tile, repeat_tile


def test_tile_is_the_one_that_every_style_was_trained_with():
    digest = hashlib.sha256(noise_tile().tobytes()).hexdigest()
    assert digest == "8a0666e305f8f6d1a2f72063488083d837634f0da5dfb8131d0aeee7f8bcfa57"


def test_tile_has_mean_0_and_the_scale_that_is_told():
    tile = noise_tile()
    assert tile.shape == (NOISE_SIDE, NOISE_SIDE)
    assert tile.dtype == np.int8
    assert abs(tile.mean()) < 0.01 * NOISE_SCALE
    assert tile.std() == pytest.approx(NOISE_SCALE, rel=2e-3)
    assert np.abs(tile.astype(int)).max() <= 127


def test_tile_is_smooth_and_continues_at_its_other_side():
    tile = noise_tile().astype(float)
    for axis in (0, 1):
        inside, across = np.diff(tile, axis=axis), np.diff(tile.take([-1, 0], axis), axis=axis)
        assert np.square(across).mean() < 1.5 * np.square(inside).mean()
        # White noise would have twice the tile's own variance.
        assert np.square(inside).mean() < 0.2 * tile.var()


@pytest.mark.parametrize("grain", NOISE_GRAINS)
def test_interpolation_is_torchs_with_wrapped_borders(grain):
    values = torch.randn(1, 1, 5, 6, dtype=torch.float64)
    wrapped = F.interpolate(F.pad(values, (1, 1, 1, 1), mode="circular"), scale_factor=grain, mode="bilinear")
    found = torch.from_numpy(_interpolate(values[0, 0].numpy(), grain))
    torch.testing.assert_close(found, wrapped[0, 0, grain:-grain, grain:-grain])


@pytest.mark.parametrize("offset", [(0, 0), (3, 255), (200, 17)])
@pytest.mark.parametrize("size", [(7, 9), (300, 520)])
def test_tile_is_repeated_from_an_offset_on(size, offset):
    tile = torch.arange(256 * 256.0).view(1, 1, 256, 256)
    found = repeat_tile(tile, *size, offset)
    rows, columns = torch.meshgrid(*(torch.arange(length) for length in size), indexing="ij")
    expected = (rows + offset[0]) % 256 * 256 + (columns + offset[1]) % 256
    assert torch.equal(found[0, 0], expected.float())


def test_offset_follows_from_seed_and_step_and_covers_the_tile():
    assert draw_offset(3, 5) == draw_offset(3, 5)
    found = np.array([draw_offset(seed, step) for seed in (0, 1) for step in range(500)])
    assert len(np.unique(found, axis=0)) > 900
    assert found.min() < 5
    assert 250 < found.max() < NOISE_SIDE
