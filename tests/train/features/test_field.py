"""A unit's receptive field is what the network lets it see."""

import pytest
import torch
from safetensors.torch import save_file

from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style
from models.vgg import VGGFeatures
from tests.perceptual_weights import random_state
from train.features.deconvnet import project, rectified_activations
from train.features.field import Window, field_size, find_inside, trace_field, unit_spacing
from train.features.network import open_perceptual, open_style

CPU = torch.device("cpu")


def seen_pixels(projection):
    """Return the first and last row and the first and last column that are not 0."""
    rows, columns = (projection.abs().sum(0).sum(axis).nonzero() for axis in (1, 0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def test_fields_of_vgg19_are_those_of_the_literature():
    network = open_perceptual("vgg19", ["relu1_1"], random_state(deepest="relu1_1"), CPU)
    sizes = {"relu1_1": 3, "relu1_2": 5, "relu2_1": 10, "relu2_2": 14, "relu3_1": 24, "relu4_1": 68}
    assert {layer: field_size(network.windows[layer]) for layer in sizes} == sizes
    assert [unit_spacing(network.windows[layer]) for layer in ("relu1_2", "relu2_1", "relu4_1")] == [1, 2, 8]


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_2", "relu3_2"])
@pytest.mark.parametrize("place", [(4, 5), (5, 4)])
def test_a_vgg_unit_sees_its_field_and_no_more(layer, place):
    # Mean pooling and positive filters hide nothing of what is seen.
    state = {name: value.abs() for name, value in random_state(deepest="relu3_2").items()}
    features = VGGFeatures("vgg19", [layer], state, "average")
    picture = torch.rand(1, 3, 48, 56, requires_grad=True)
    features(picture, [layer])[layer][(0, 3, *place)].backward()
    windows = open_perceptual("vgg19", [layer], state, CPU).windows[layer]
    traced = [trace_field(windows, index) for index in place]
    assert seen_pixels(picture.grad[0]) == tuple(
        (max(first, 0), min(last, side - 1)) for (first, last), side in zip(traced, (48, 56), strict=True)
    )


@pytest.mark.parametrize("upsampling", ["nearest", "pixel_shuffle"])
@pytest.mark.parametrize("layer", ["relu1", "relu2", "relu3", "residual1", "residual2", "relu4", "relu5"])
def test_a_style_networks_unit_sees_its_field_and_no_more(tmp_path, layer, upsampling):
    torch.manual_seed(5)
    network = StyleNetwork(NetworkConfig(width=2, residual_blocks=2, upsampling=upsampling, noise=0))
    for name, parameter in network.named_parameters():
        parameter.data.abs_()
        if name.rpartition(".")[0][-5:-1] == "norm":
            # Every unit is above 0, and sends something back.
            parameter.data.fill_(1 if name.endswith("weight") else 10)
    save_style(tmp_path / "style.safetensors", network, StyleCard("small"))
    opened = open_style(tmp_path / "style.safetensors", CPU)
    picture = torch.rand(1, 3, 128, 136, requires_grad=True)
    activations = rectified_activations(opened.run, picture, [opened.number(layer)])[opened.number(layer)]
    # In the middle, once with an even and once with an odd row and column.
    for shift in (0, 1):
        row, column = activations.shape[2] // 2 + shift, activations.shape[3] // 2 + shift
        projection = project(activations, picture, (0, row, column))
        traced = tuple(trace_field(opened.windows[layer], index) for index in (row, column))
        assert seen_pixels(projection) == traced


def test_units_at_the_border_are_told_from_those_inside():
    windows = [Window(3, padding=1), Window(2, stride=2), Window(3, padding=1)]
    assert find_inside(windows, 8, 16) == (2, 6)
    assert trace_field(windows, 2) == (1, 8)
    assert find_inside(windows, 2, 4) == (0, 2)


def test_weights_of_a_file_are_opened_too(tmp_path):
    save_file(random_state(), tmp_path / "vgg.safetensors")
    opened = open_perceptual("vgg19", ["relu2_1"], str(tmp_path / "vgg.safetensors"), CPU)
    assert opened.count_channels("relu2_1") == 128
    assert opened.least_side == 16
