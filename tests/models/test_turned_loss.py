"""A loss that looks from eight sides sees each picture in eight different ways, and each photo and painting alike."""

import pytest
import torch

from models.losses import PerceptualLoss
from models.turned_loss import SIDES, TurnedLoss, turn
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from train.fit.module import choose_sides

SETTINGS = {"content_layers": SHALLOW_CONTENT, "style_layers": SHALLOW_STYLE}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    weights = write_weights(tmp_path_factory.mktemp("views") / "random.safetensors")
    return VGGFeatures("vgg19", [*SHALLOW_CONTENT, *SHALLOW_STYLE], str(weights))


def test_eight_sides_are_all_there_are():
    picture = torch.arange(9.0).view(1, 1, 3, 3)
    seen = {tuple(turn(picture, side).flatten().tolist()) for side in range(SIDES)}
    assert len(seen) == 8
    turned = {
        tuple(torch.rot90(flipped, count, (2, 3)).flatten().tolist())
        for count in range(4)
        for flipped in (picture, picture.flip(3))
    }
    assert seen == turned


def test_one_side_is_the_plain_loss_at_every_step(features):
    painting, pictures, photos = torch.rand(1, 3, 40, 56), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    plain = PerceptualLoss(features, **SETTINGS)
    plain.set_style([painting])
    loss = TurnedLoss(features, SETTINGS)
    loss.set_style([painting])
    expected = plain(pictures, plain.describe_content(photos)).total
    assert all(loss(pictures, photos, step).total == expected for step in range(3))


def test_each_of_eight_steps_looks_from_another_side_with_its_own_target(features):
    painting, pictures, photos = torch.rand(1, 3, 40, 56), torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    loss = TurnedLoss(features, SETTINGS, SIDES)
    loss.set_style([painting])
    totals = [loss(pictures, photos, step).total.item() for step in range(2 * SIDES)]
    assert len(set(totals[:SIDES])) == SIDES
    assert totals[:SIDES] == totals[SIDES:]
    # From every side the painting itself has its style, and a photo its content.
    for step in range(SIDES):
        assert loss(painting, painting, step).style.item() == pytest.approx(0, abs=1e-6)
        assert loss(photos, photos, step).content.item() == 0


def test_only_the_small_network_looks_from_all_sides_unless_told():
    assert [choose_sides("auto", name) for name in ("vgg19", "vgg16", "vgg_small")] == [1, 1, SIDES]
    assert choose_sides("on", "vgg19") == SIDES
    assert choose_sides("off", "vgg_small") == 1
