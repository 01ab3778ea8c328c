"""A batch of many paintings has the loss that each picture would have in a training of its own painting."""

from dataclasses import replace

import pytest
import torch

from models.losses import LossConfig
from models.palette import DIRECTIONS, QUANTILES
from models.spectrum import WINDOW
from models.turned_loss import ORIENTATIONS, TurnedLoss
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, random_state
from train.start.targets import PaintingsLoss

CONFIG = LossConfig(SHALLOW_CONTENT, SHALLOW_STYLE)


@pytest.mark.parametrize("orientations", [1, ORIENTATIONS])
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, emd_weight=1, emd_layers={"relu1_2": 1.0}),
        replace(
            CONFIG, emd_weight=1, emd_layers={"relu1_2": 1.0}, emd_rarity=4, content_focus=1, focus_layer="relu2_1"
        ),
    ],
)
def test_each_picture_is_compared_with_its_own_painting(config, orientations):
    torch.manual_seed(0)
    features = VGGFeatures("vgg19", config.layers, random_state())
    paintings = [torch.rand(1, 3, 48, 64) ** power for power in (1, 3)]
    pictures, photos = torch.rand(4, 3, 64, 64), torch.rand(4, 3, 64, 64)
    pictures[2:] = pictures[2:] ** 3
    loss = PaintingsLoss(features, config, orientations)
    alone = []
    for painting in paintings:
        loss.add(painting)
        one = TurnedLoss(features, config, orientations)
        one.set_style([painting])
        alone.append(one)
    for step in (0, 3):
        found = loss(pictures, photos, [1, 0], step)
        expected = [alone[1](pictures[:2], photos[:2], step), alone[0](pictures[2:], photos[2:], step)]
        for value, one, other in zip(found, *expected, strict=True):
            torch.testing.assert_close(value, (one + other) / 2, rtol=1e-3, atol=1e-6)
        swapped = loss(pictures, photos, [0, 1], step)
        assert abs(swapped.style - found.style) > 0.01


def test_the_loss_has_a_gradient_for_every_picture():
    loss = PaintingsLoss(VGGFeatures("vgg19", CONFIG.layers, random_state()), CONFIG)
    for _ in range(2):
        loss.add(torch.rand(1, 3, 48, 48))
    pictures = torch.rand(4, 3, 64, 64, requires_grad=True)
    loss(pictures, torch.rand(4, 3, 64, 64), [0, 1]).total.backward()
    assert (pictures.grad.flatten(1).abs().sum(1) > 0).all()


def test_activations_far_beyond_half_precision_are_kept_all_the_same():
    torch.manual_seed(0)
    config = replace(CONFIG, content_weight=0, tv_weight=0).without_training_terms()
    painting, pictures = torch.rand(1, 3, 48, 48), torch.rand(1, 3, 64, 64)
    found = []
    for scale in (1, 1e4):
        loss = PaintingsLoss(VGGFeatures("vgg19", config.layers, random_state(scale=scale)), config)
        loss.add(painting)
        found.append(loss(pictures, pictures, [0]).style)
    torch.testing.assert_close(*found, rtol=1e-3, atol=0)


def test_targets_take_half_the_memory():
    loss = PaintingsLoss(VGGFeatures("vgg19", CONFIG.layers, random_state()), CONFIG)
    loss.add(torch.rand(1, 3, 48, 48))
    # Two Gram matrices, the palette's quantiles along its directions, and the spectrum's limit.
    elements = 64**2 + 128**2 + len(DIRECTIONS) * QUANTILES + 3 * WINDOW * (WINDOW // 2 + 1)
    assert 2 * elements <= 1e6 * loss.megabytes < 2 * elements + 200


def test_a_batch_that_cannot_be_shared_out_is_refused():
    loss = PaintingsLoss(VGGFeatures("vgg19", CONFIG.layers, random_state()), CONFIG)
    with pytest.raises(ValueError, match="3 pictures"):
        loss(torch.rand(3, 3, 64, 64), torch.rand(3, 3, 64, 64), [0, 1])
