"""The frozen network is torchvision's VGG, no deeper than needed, and never trains."""

from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.vgg import cfgs, make_layers

from models.vgg import PerceptualWeightsError, VGGFeatures, load_perceptual_weights, name_layers
from tests.perceptual_weights import random_state, write_weights


def test_layer_names_are_the_papers():
    names = name_layers("vgg19")
    assert names[:5] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"]
    assert names.index("conv4_2") == 21
    assert names.index("relu5_1") == 29
    assert name_layers("vgg16").index("relu3_3") == 15


@pytest.mark.parametrize(("network", "layout"), [("vgg16", "D"), ("vgg19", "E")])
def test_features_equal_torchvisions(network, layout, tmp_path):
    state = random_state(network, "relu3_1")
    save_file(state, tmp_path / "weights.safetensors")
    # The layers up to relu3_1, which come before the third pooling.
    reference = make_layers(cfgs[layout][:7])
    reference.load_state_dict({name.removeprefix("features."): value for name, value in state.items()}, strict=False)
    pictures = torch.rand(2, 3, 32, 40)
    frozen = VGGFeatures(network, ["relu1_2", "conv2_2", "relu3_1"], str(tmp_path / "weights.safetensors"))
    found = frozen(pictures, ["relu1_2", "conv2_2", "relu3_1"])
    hidden = (pictures - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    names = name_layers(network)
    for index, layer in enumerate(reference[: names.index("relu3_1") + 1]):
        hidden = layer(hidden)
        if names[index] in found:
            # torchvision's ReLU works in place, on what the layer before returned.
            torch.testing.assert_close(found[names[index]], hidden, atol=1e-4, rtol=1e-4)
            hidden = hidden.clone()


def test_network_is_built_no_deeper_than_the_deepest_layer(tmp_path):
    frozen = VGGFeatures("vgg19", ["relu1_1"], str(write_weights(tmp_path / "w.safetensors", deepest="relu1_1")))
    assert frozen.layer_names == ["conv1_1", "relu1_1"]


def test_nothing_trains_and_nothing_is_stored(tmp_path):
    frozen = VGGFeatures("vgg19", ["relu2_1"], str(write_weights(tmp_path / "w.safetensors")))
    assert list(frozen.parameters()) == []
    assert frozen.state_dict() == {}


def test_pth_files_load_too(tmp_path):
    torch.save(random_state(), tmp_path / "w.pth")
    assert VGGFeatures("vgg19", ["relu2_1"], str(tmp_path / "w.pth")).layer_names[-1] == "relu2_1"


@pytest.mark.parametrize("name", ["missing.safetensors", "text.safetensors", "text.pth", "number.pth", "folder.pth"])
def test_unusable_weights_are_named_in_one_sentence(tmp_path, name):
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "folder.pth").mkdir()
    torch.save(3, tmp_path / "number.pth")
    with pytest.raises(PerceptualWeightsError, match=name) as caught:
        VGGFeatures("vgg19", ["relu1_1"], str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)
    assert str(caught.value.with_flag("--weights")) == f"--weights: {caught.value}"


def test_too_shallow_a_file_names_the_layer(tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", deepest="relu2_1")
    with pytest.raises(PerceptualWeightsError, match="conv2_2"):
        VGGFeatures("vgg19", ["relu3_1"], str(weights))


def test_weights_of_another_network_are_refused(tmp_path):
    state = random_state()
    state["features.0.weight"] = torch.zeros(32, 3, 3, 3)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(PerceptualWeightsError, match="another network"):
        VGGFeatures("vgg19", ["relu1_1"], str(tmp_path / "w.safetensors"))


def test_unknown_layer_and_network_are_refused(tmp_path):
    with pytest.raises(ValueError, match="relu9_1"):
        VGGFeatures("vgg19", ["relu9_1"])
    with pytest.raises(ValueError, match="resnet"):
        VGGFeatures("resnet", ["relu1_1"])


def test_deeper_layer_than_built_is_refused(tmp_path):
    frozen = VGGFeatures("vgg19", ["relu1_1"], str(write_weights(tmp_path / "w.safetensors")))
    with pytest.raises(ValueError, match="relu2_1"):
        frozen(torch.rand(1, 3, 16, 16), ["relu2_1"])


def test_failed_download_says_how_to_get_the_weights(monkeypatch):
    def refuse(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(PerceptualWeightsError, match="fetch that file elsewhere and name it as the perceptual weights"):
        load_perceptual_weights("vgg19", "default")


def test_real_weights_load_truncated_and_in_half_precision(real_vgg19):
    frozen = VGGFeatures("vgg19", ["relu5_1"], str(real_vgg19))
    found = frozen(torch.rand(1, 3, 32, 32), ["relu5_1"])["relu5_1"]
    assert found.shape == (1, 512, 2, 2)
    assert found.dtype == torch.float32
    assert 0 < found.mean() < 1e4
