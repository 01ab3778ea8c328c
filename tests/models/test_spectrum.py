"""The spectrum of fine structure gives the answers known on paper, and sees a weave that Gram matrices let pass."""

import math

import pytest
import torch

from models.spectrum import LONGEST_PERIOD, SLACK, WINDOW, find_limit, power_spectrum, spectrum_excess


def noise(*shape, deviation=0.1, seed=0):
    return 0.5 + deviation * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def wave(side, period, angle=0.0, height=0.1):
    """Draw waves of a period in pixels, running at an angle in degrees: shape (1, 3, side, side)."""
    down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = across * math.cos(math.radians(angle)) + down * math.sin(math.radians(angle))
    return (height * torch.sin(2 * math.pi * phase / period)).expand(1, 3, side, side)


@pytest.mark.parametrize("size", [(192, 192), (64, 200), (40, 48), (7, 90)])
def test_white_noise_has_its_variance_at_every_frequency_and_size(size):
    power = power_spectrum(noise(64, 3, *size))
    assert power.shape == (64, 3, WINDOW, WINDOW // 2 + 1)
    # But at the lowest, which the windows' means take with them.
    assert power[:, :, 16:48, 8:].mean().item() == pytest.approx(0.01, rel=0.05)


def test_a_picture_of_one_color_has_no_power():
    assert power_spectrum(torch.full((1, 3, 80, 80), 0.7)).max() < 1e-9


def test_waves_have_their_power_at_their_own_frequency():
    power = power_spectrum(wave(128, WINDOW / 12))[0, 0]
    assert divmod(power.argmax().item(), WINDOW // 2 + 1) == (0, 12)
    turned = power_spectrum(wave(128, WINDOW / 12, angle=90))[0, 0]
    assert turned.argmax().item() // (WINDOW // 2 + 1) in {12, WINDOW - 12}


def test_the_painting_itself_and_its_crops_have_next_to_no_excess():
    painting = noise(1, 3, 384, 300)
    limit = find_limit([painting])
    assert spectrum_excess(painting, limit).item() == 0
    assert spectrum_excess(painting[:, :, 100:292, 50:242], limit).item() < 0.02
    assert spectrum_excess(0.5 * painting[:, :, :192, :192], limit).item() == 0


@pytest.mark.parametrize("period", [2.5, 3.9, 6.0])
@pytest.mark.parametrize("angle", [0, 37, 133])
def test_a_planted_weave_is_found_in_whatever_direction(period, angle):
    limit = find_limit([noise(1, 3, 300, 300)])
    picture = noise(1, 3, 192, 192, seed=1)
    woven = picture + wave(192, period, angle)
    assert spectrum_excess(woven, limit) > spectrum_excess(picture, limit) + 0.01


def test_strokes_longer_than_fine_structure_may_have_any_direction():
    limit = find_limit([noise(1, 3, 300, 300, deviation=0.02)])
    picture = noise(1, 3, 192, 192, deviation=0.02, seed=1)
    before, after = (spectrum_excess(each, limit) for each in (picture, picture + wave(192, 2 * LONGEST_PERIOD, 45)))
    assert after.item() == pytest.approx(before.item(), abs=1e-3)


def test_the_directions_of_the_painting_are_allowed_and_other_ones_up_to_their_mean():
    hatched = noise(1, 3, 256, 256, deviation=0.01) + wave(256, 4, 0)
    limit = find_limit([hatched])
    assert spectrum_excess(hatched[:, :, :192, :192], limit) < 0.01
    turned = noise(1, 3, 192, 192, deviation=0.01, seed=1) + wave(192, 4, 90)
    assert spectrum_excess(turned, limit) > 0.01
    ring = 16  # of a period of 4 pixels
    faint = limit.exp()[0, ring, 0] / SLACK
    peak = power_spectrum(hatched)[0, 0, 0, ring]
    assert 0.01 * peak < faint < 0.2 * peak


def test_limit_of_several_paintings_counts_each_with_its_share():
    paintings = [noise(1, 3, 128, 128, deviation=0.2), noise(1, 3, 96, 160, deviation=0.1, seed=1)]
    both, first, second = (
        find_limit(*given).exp().mean() for given in ((paintings, [3, 1]), ([paintings[0]],), ([paintings[1]],))
    )
    assert both.item() == pytest.approx((0.75 * first + 0.25 * second).item(), rel=0.05)


def test_each_picture_has_an_excess_of_its_own_and_a_gradient_that_takes_the_weave_away():
    limit = find_limit([noise(1, 3, 300, 300)])
    plain, woven = noise(1, 3, 128, 128, seed=1), noise(1, 3, 128, 128, seed=2) + wave(128, 4, 133)
    pictures = torch.cat([plain, woven]).requires_grad_()
    excess = spectrum_excess(pictures, limit)
    assert excess.shape == (2,)
    excess[1].backward()
    assert pictures.grad[0].abs().max() == 0
    assert (pictures.grad[1] * wave(128, 4, 133)).sum() > 0
