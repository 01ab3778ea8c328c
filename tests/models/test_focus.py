"""Errors of the content term count by the energy of the photo's deep features."""

from itertools import pairwise

import pytest
import torch

from models.focus import LEAST_ENERGY, apply_focus, find_focus
from models.losses import LossConfig, PerceptualLoss
from train.limits import POWERS

THING, EMPTY = (slice(0, 2), slice(0, 2)), (slice(6, 8), slice(6, 8))


class Planted:
    """A network of two layers: the picture, and one that sees a thing in the upper left quarter of everything."""

    network = "planted"

    def __call__(self, pictures, layers):
        deep = torch.full((len(pictures), 4, 4, 4), 0.1)
        deep[:, :, :2, :2] = 1
        found = {"shallow": pictures, "deep": deep}
        return {layer: found[layer] for layer in layers}


def build(**given):
    off = dict.fromkeys(("style_weight", "tv_weight", "grid_weight", "palette_weight", "spectrum_weight"), 0.0)
    return PerceptualLoss(Planted(), LossConfig(content_layers={"shallow": 1.0}, focus_layer="deep", **off, **given))


def measure(loss, place):
    photo = torch.full((1, 3, 8, 8), 0.5)
    picture = photo.clone()
    picture[:, :, place[0], place[1]] = 0.9
    return loss(picture, loss.describe_content(photo)).total.item()


def test_weights_are_the_energy_relative_to_the_largest_and_to_the_power():
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 1.0]]]])  # energies of 5 and 10
    assert find_focus(features, 1).flatten().tolist() == pytest.approx([1 / 2, 1])
    assert find_focus(features, 2).flatten().tolist() == pytest.approx([1 / 4, 1])
    assert find_focus(features, 0).flatten().tolist() == [1, 1]
    torch.testing.assert_close(find_focus(10 * features, 1), find_focus(features, 1))
    assert find_focus(features, 1).shape == (1, 1, 1, 2)


def test_each_photo_is_measured_by_itself_and_what_is_empty_keeps_a_little():
    features = torch.zeros(3, 1, 1, 2)
    features[0, 0, 0], features[1, 0, 0] = torch.tensor([0.0, 2.0]), torch.tensor([50.0, 50.0])
    weights = find_focus(features, 1)
    assert weights.flatten().tolist() == pytest.approx([LEAST_ENERGY / 2, 1, 1, 1, 1, 1])


def test_the_largest_power_is_finite_where_one_place_has_all_of_the_energy():
    features = torch.zeros(1, 2, 30, 30)
    features[0, :, 3, 4] = 1e3
    weights = find_focus(features, POWERS[1])
    assert weights.isfinite().all()
    assert weights.max() == 1


def test_squared_errors_of_activations_of_any_size_are_multiplied_by_the_weights():
    focus = torch.tensor([[[[4.0, 4.0], [0.25, 0.25]]]])
    scaled = apply_focus(torch.full((1, 3, 2, 2), 3.0, dtype=torch.bfloat16), focus).square()
    assert scaled.dtype == torch.float32
    assert scaled[0, 0].flatten().tolist() == pytest.approx([36, 36, 2.25, 2.25])
    rows = apply_focus(torch.ones(1, 1, 8, 8), focus).square()[0, 0, :, 3]
    assert (rows[0].item(), rows[-1].item()) == pytest.approx((4, 0.25))
    assert all(upper >= lower for upper, lower in pairwise(rows.tolist()))


def test_an_error_in_a_thing_counts_for_more_and_one_in_empty_space_for_less():
    alike, focused, sharper = build(), build(content_focus=1), build(content_focus=2)
    assert measure(alike, THING) == pytest.approx(measure(alike, EMPTY))
    assert measure(focused, THING) > measure(alike, THING) > measure(focused, EMPTY) > measure(sharper, EMPTY)


def test_without_a_focus_the_deep_layer_is_not_computed():
    assert build().config.layers == ["shallow"]
    assert build(content_focus=1).config.layers == ["shallow", "deep"]
    photo = torch.rand(1, 3, 8, 8)
    alike, focused = build().describe_content(photo), build(content_focus=1).describe_content(photo)
    assert set(alike.activations) == set(focused.activations) == {"shallow"}
    assert alike.focus is None
    assert focused.focus.shape == (1, 1, 4, 4)
    assert LossConfig(content_weight=0, content_focus=1, style_weight=0).layers == []


@pytest.mark.parametrize("power", [0, 1])
def test_some_of_the_photos_are_kept_as_if_alone(power):
    loss, photos = build(content_focus=power), torch.rand(3, 3, 8, 8)
    part = slice(1, 3)
    selected, alone = loss.describe_content(photos).select(part), loss.describe_content(photos[part])
    torch.testing.assert_close(selected.activations, alone.activations)
    torch.testing.assert_close(selected.focus, alone.focus)


def test_the_photo_itself_has_no_content_loss_and_the_gradient_is_finite():
    loss, photo = build(content_focus=1), torch.rand(2, 3, 8, 8)
    assert loss(photo, loss.describe_content(photo)).content == 0
    picture = torch.rand(2, 3, 8, 8, requires_grad=True)
    loss(picture, loss.describe_content(photo)).total.backward()
    assert picture.grad.isfinite().all()
