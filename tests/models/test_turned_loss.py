"""A loss that mirrors and turns pictures treats photos and paintings alike."""

import pytest
import torch

from models.losses import LossConfig, PerceptualLoss
from models.turned_loss import ORIENTATIONS, TurnedLoss, turn
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from train.fit.step import choose_orientations

CONFIG = LossConfig(SHALLOW_CONTENT, SHALLOW_STYLE)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    weights = write_weights(tmp_path_factory.mktemp("views") / "random.safetensors")
    return VGGFeatures("vgg19", [*SHALLOW_CONTENT, *SHALLOW_STYLE], str(weights))


def test_there_are_eight_different_orientations():
    picture = torch.arange(9.0).view(1, 1, 3, 3)
    seen = {tuple(turn(picture, side).flatten().tolist()) for side in range(ORIENTATIONS)}
    assert len(seen) == 8
    turned = {
        tuple(torch.rot90(flipped, count, (2, 3)).flatten().tolist())
        for count in range(4)
        for flipped in (picture, picture.flip(3))
    }
    assert seen == turned


def test_with_one_orientation_it_is_the_plain_loss_at_every_step(features):
    painting, pictures, photos = torch.rand(1, 3, 40, 56), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    plain = PerceptualLoss(features, CONFIG)
    plain.set_style([painting])
    loss = TurnedLoss(features, CONFIG)
    loss.set_style([painting])
    expected = plain(pictures, plain.describe_content(photos)).total
    assert all(loss(pictures, photos, step).total == expected for step in range(3))


def test_each_of_eight_steps_has_another_orientation_with_a_target_of_its_own(features):
    painting, pictures, photos = torch.rand(1, 3, 40, 56), torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    loss = TurnedLoss(features, CONFIG, ORIENTATIONS)
    loss.set_style([painting])
    totals = [loss(pictures, photos, step).total.item() for step in range(2 * ORIENTATIONS)]
    assert len(set(totals[:ORIENTATIONS])) == ORIENTATIONS
    assert totals[:ORIENTATIONS] == totals[ORIENTATIONS:]
    # In every orientation the painting itself has its style, and a photo its content.
    for step in range(ORIENTATIONS):
        assert loss(painting, painting, step).style.item() == pytest.approx(0, abs=1e-6)
        assert loss(photos, photos, step).content.item() == 0


def test_only_the_small_network_sees_all_orientations_by_default():
    assert [choose_orientations("auto", name) for name in ("vgg19", "vgg16", "vgg_small")] == [1, 1, ORIENTATIONS]
    assert choose_orientations("on", "vgg19") == ORIENTATIONS
    assert choose_orientations("off", "vgg_small") == 1
