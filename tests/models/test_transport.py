"""The relaxed earth mover's distance gives the answers known on paper, and sees what Gram matrices do not."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.losses import gram_matrix
from models.transport import PLACES, sample_places, share_places
from models.transport import relaxed_emd as weighted_emd

EAST, NORTH, NORTHEAST = (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)


def relaxed_emd(features, painting, rarity=0):
    return weighted_emd(features, painting, share_places(painting, rarity))


def features_of(*places, pictures=1):
    """Lay places, each a vector of two channels, in one row of a feature map."""
    rows = torch.tensor(places).reshape(pictures, -1, 2)
    return rows.transpose(1, 2)[:, :, None]


def test_a_picture_of_all_places_of_the_painting_in_any_order_number_and_brightness_has_no_distance():
    painting = sample_places(features_of(EAST, NORTH))
    shuffled = features_of(NORTH, (5.0, 0.0), EAST, EAST)
    assert relaxed_emd(shuffled, painting).item() == pytest.approx(0, abs=1e-6)


def test_what_the_painting_lacks_and_what_the_picture_lacks_both_count_and_the_larger_one_is_taken():
    painting = sample_places(features_of(EAST, EAST, EAST, NORTH))
    # One of four places of the painting is not found.
    assert relaxed_emd(features_of(EAST), painting).item() == pytest.approx(1 / 4)
    # One of three places of the picture is nowhere in the painting, and all of the painting is found.
    turned = 1 - math.cos(math.pi / 4)
    assert relaxed_emd(features_of(EAST, NORTH, NORTHEAST), painting).item() == pytest.approx(turned / 3, rel=1e-5)
    assert relaxed_emd(features_of((-1.0, 0.0)), sample_places(features_of(EAST))).item() == pytest.approx(2)


def test_a_rare_place_of_the_painting_counts_by_the_power_of_its_distance_from_the_mean():
    painting = sample_places(features_of(EAST, EAST, EAST, NORTH))
    assert share_places(painting, 0).tolist() == pytest.approx([1 / 4] * 4)
    # The mean lies at (3, 1): its cosine with east is 3, and with north 1, divided by the root of 10.
    common, rare = ((1 - cosine / math.sqrt(10)) ** 2 for cosine in (3, 1))
    share = rare / (3 * common + rare)
    assert share_places(painting, 2).tolist() == pytest.approx([(1 - share) / 3] * 3 + [share], rel=1e-5)
    assert relaxed_emd(features_of(EAST), painting, 2).item() == pytest.approx(share, rel=1e-5)
    assert relaxed_emd(features_of(NORTH, EAST), painting, 2).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("rarity", [1, 4, 16])
def test_places_of_a_flat_painting_count_alike_and_those_of_any_painting_add_up_to_1(rarity):
    flat = sample_places(torch.ones(1, 5, 4, 4))
    assert share_places(flat, rarity).tolist() == pytest.approx([1 / 16] * 16)
    shares = share_places(sample_places(torch.rand(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))), rarity)
    assert shares.sum().item() == pytest.approx(1)
    assert shares.isfinite().all()


def test_the_pictures_of_a_batch_may_share_the_places_of_the_painting():
    painting = sample_places(features_of(EAST, NORTH))
    first, second = features_of(EAST, EAST), features_of(NORTH, NORTH)
    assert [relaxed_emd(part, painting).item() for part in (first, second)] == pytest.approx([0.5, 0.5])
    assert relaxed_emd(torch.cat([first, second]), painting).item() == pytest.approx(0, abs=1e-6)


def test_gradient_is_that_of_the_distance():
    generator = torch.Generator().manual_seed(0)
    painting = sample_places(torch.randn(1, 5, 4, 4, generator=generator))
    features = torch.randn(2, 5, 3, 3, generator=generator, requires_grad=True)
    step = torch.randn(2, 5, 3, 3, generator=generator)
    relaxed_emd(features, painting).backward()
    with torch.no_grad():
        ahead, behind = (relaxed_emd(features + sign * 1e-3 * step, painting) for sign in (1, -1))
    assert ((ahead - behind) / 2e-3).item() == pytest.approx((features.grad * step).sum().item(), rel=1e-2)


def test_gradient_is_the_same_each_time_on_several_threads():
    # Places that are nearly alike: the painting's all find the same few of them, and lie far from these.
    features = 1 + 0.1 * torch.randn(1, 128, 24, 24, generator=torch.Generator().manual_seed(0))
    features.requires_grad_()
    painting = sample_places(torch.randn(1, 128, 32, 32, generator=torch.Generator().manual_seed(1)))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = [torch.autograd.grad(relaxed_emd(features, painting), features)[0] for _ in range(20)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, found[0]) for gradient in found)


def test_features_without_any_activation_are_at_distance_1_and_their_gradient_is_finite():
    features = torch.zeros(1, 2, 1, 3, requires_grad=True)
    distance = relaxed_emd(features, sample_places(features_of(EAST)))
    distance.backward()
    assert distance.item() == pytest.approx(1)
    assert features.grad.isfinite().all()


def test_half_precision_features_are_compared_in_float32():
    features = torch.randn(1, 64, 12, 12)
    painting = sample_places(torch.randn(1, 64, 12, 12))
    with torch.autocast("cpu", torch.bfloat16):
        found = relaxed_emd(features, painting)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, relaxed_emd(features, painting))


def test_a_sample_of_a_large_painting_is_always_the_same_and_of_places_that_are_there():
    features = torch.rand(1, 3, 60, 80)
    first, second = (sample_places(features) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (PLACES, 3)
    every = F.normalize(features.flatten(2)[0].T, dim=1)
    assert ((first @ every.T).max(1).values > 1 - 1e-6).all()
    assert len(first.unique(dim=0)) == PLACES
    assert sample_places(features[..., :10, :10]).shape == (100, 3)
    assert sample_places(features, 7).shape == (7, 3)


def test_strokes_of_one_kind_that_have_the_right_gram_matrix_do_not_have_the_right_places():
    # Two kinds of places, and a rotation of both by 45 degrees: means of products are the same.
    painting, picture = features_of(EAST, NORTH), features_of(NORTHEAST, (-1.0, 1.0))
    picture = picture / 2**0.5
    torch.testing.assert_close(gram_matrix(painting), gram_matrix(picture))
    assert relaxed_emd(picture, sample_places(painting)).item() > 0.25
