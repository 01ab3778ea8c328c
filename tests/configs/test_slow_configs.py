"""The layer sets of the slow mode name the activations that their sources compute."""

import torch
import yaml
from torchvision.models.vgg import cfgs as layouts
from torchvision.models.vgg import make_layers

from models.vgg import VGGFeatures
from tests import ROOT

SETS = ("gatys", "keras_tutorial", "tensorflow_tutorial", "slides", "overview", "pytorch_tutorial")


def test_layer_sets_of_the_literature_are_read_after_the_relu():
    for name in SETS:
        config = yaml.safe_load((ROOT / "configs" / "slow" / f"{name}.yaml").read_text())
        layers = {**config["content_layers"], **config["style_layers"]}
        assert all(layer.startswith("relu") for layer in layers), name


def test_sets_of_the_literature_have_no_palette_and_a_distance_for_each_layer():
    for name in (*SETS, "texture"):
        config = yaml.safe_load((ROOT / "configs" / "slow" / f"{name}.yaml").read_text())
        assert (config["style_norm"], config["palette_weight"]) == ("layers", 0), name


def test_a_convolution_recorded_in_torchvisions_network_is_rectified_in_place():
    torch.manual_seed(0)
    network = make_layers(layouts["E"][:4])
    picture = torch.rand(1, 3, 32, 32)
    features = VGGFeatures(
        "vgg19", ["relu1_1", "relu2_1"], {f"features.{key}": value for key, value in network.state_dict().items()}
    )
    noted, hidden = {}, (picture - features.mean) / features.std
    with torch.no_grad():
        for index, layer in enumerate(network):
            hidden = layer(hidden)
            if index in (0, 5):
                noted[index] = hidden
    ours = features(picture, ["relu1_1", "relu2_1"])
    torch.testing.assert_close(noted[0], ours["relu1_1"])
    torch.testing.assert_close(noted[5], ours["relu2_1"])
