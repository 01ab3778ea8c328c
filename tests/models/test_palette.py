"""The palette: colors as distributions along the painting's own axes."""

import numpy as np
import pytest
import torch

from models.palette import DIRECTIONS, FLAT_VARIANCE, FLOOR, find_palette, palette_distance


def average(picture):
    _, channels, height, width = picture.shape
    pixels = picture.numpy().astype(np.float64).reshape(channels, height // 2, 2, width // 2, 2).mean((2, 4))
    return pixels.reshape(channels, -1).T


def distance_in_numpy(picture, painting):
    """Compare two pictures with the same number of pixels, so that the sorted colors pair up."""
    own = average(painting)
    variances, axes = np.linalg.eigh(np.cov(own.T, bias=True))
    directions = np.array(DIRECTIONS) / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    axes = axes / np.sqrt(np.maximum(variances, FLOOR * variances.max())) @ directions.T
    ours, theirs = (np.sort((values - own.mean(0)) @ axes, axis=0) for values in (average(picture), own))
    return ((ours - theirs) ** 2).mean()


def smooth(seed):
    return torch.nn.functional.interpolate(
        torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)), size=64, mode="bilinear"
    )


def test_distance_is_what_numpy_computes():
    # 64 x 64 pixels make 1,024 cells, as many as there are quantiles.
    painting, picture = smooth(1), 0.5 * smooth(2)
    painting[:, 0] = 0.3 * painting[:, 0] + 0.6 * painting[:, 1]
    palette = find_palette([painting])
    assert palette_distance(picture, palette).item() == pytest.approx(distance_in_numpy(picture, painting), rel=1e-3)
    assert palette_distance(painting, palette).item() == pytest.approx(0, abs=1e-6)
    assert palette_distance(picture.bfloat16(), palette).dtype == torch.float32


def test_size_of_the_picture_does_not_matter():
    painting = smooth(3)
    larger = torch.nn.functional.interpolate(painting, scale_factor=3, mode="nearest")
    assert palette_distance(larger, find_palette([painting])).item() < 1e-3


def test_the_mean_color_alone_is_one_away():
    palette = find_palette([torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))])
    plain = palette.mean.view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert palette_distance(plain, palette).item() == pytest.approx(1, abs=0.03)


def test_a_few_black_blots_do_not_pass_for_a_range_of_tones():
    painting = smooth(5)
    palette = find_palette([painting])
    flat = palette.mean.view(1, 3, 1, 1).repeat(1, 1, 64, 64)
    blots = flat.clone()
    blots[:, :, :6, :6] = 0
    toned = flat + 0.5 * (painting - flat)
    assert palette_distance(toned, palette) < 0.5 * palette_distance(blots, palette)


@pytest.mark.parametrize("saturation", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("contrast", [0.0, 1e-3, 1.0])
def test_any_painting_is_matched_by_itself_and_gradients_are_finite(saturation, contrast):
    painting = smooth(7)
    painting = painting[:, :1] + saturation * (painting - painting[:, :1])
    painting = 0.4 + contrast * (painting - 0.4)
    palette = find_palette([painting])
    assert palette_distance(painting, palette).item() < 1e-4
    for picture in (painting, torch.rand(1, 3, 32, 32), torch.zeros(1, 3, 16, 16)):
        leaf = picture.clone().requires_grad_()
        palette_distance(leaf, palette).sum().backward()
        assert leaf.grad.isfinite().all()
    assert (palette.axes.norm(dim=0) <= 1.8 / FLAT_VARIANCE**0.5).all()


def test_paintings_count_by_their_shares_whatever_their_sizes():
    dark, light = torch.full((1, 3, 8, 8), 0.2), torch.full((1, 3, 32, 64), 0.8)
    torch.testing.assert_close(find_palette([dark, light], [3, 1]).mean, torch.full((3,), 0.35))
    torch.testing.assert_close(find_palette([dark, light]).mean, torch.full((3,), 0.5))
