"""Every rewrite of the graph gives what the layer gives, at odd sizes, with any way of continuing borders."""

import numpy as np
import onnxruntime
import pytest
import torch

from export.contract import INPUT, OUTPUT
from export.graph import rewrites
from export.graph.builder import GraphBuilder
from export.graph.convert import draw_pictures, stylize_in_torch
from export.graph.network import build_graph
from export.graph.targets import LEAN, PLAIN, Form
from models.layers import Conv, InstanceNorm, PhasedConv, UpsampledConv
from models.network import NetworkConfig, StyleNetwork

PADDINGS = ["reflect", "replicate", "zero"]
SIZES = [(5, 7), (8, 5), (13, 10)]


def run(write, features, form=LEAN):
    """Run the nodes that ``write(graph, value)`` adds to an empty graph; their last output has any shape."""
    graph = GraphBuilder(form)
    graph.node("Identity", "end", write(graph, INPUT), output=OUTPUT)
    model = graph.model("part")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], {INPUT: features.numpy()})[0], [node.op_type for node in model.graph.node]


def agree(found, layer, features):
    with torch.no_grad():
        np.testing.assert_allclose(found, layer(features).numpy(), atol=2e-5, rtol=1e-4)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", SIZES)
def test_upsampling_before_a_convolution_is_one_small_convolution(padding, size):
    layer, features = UpsampledConv(6, 5, padding), torch.randn(2, 6, *size)
    torch.nn.init.zeros_(layer.bias)
    found, operators = run(lambda graph, value: rewrites.upsampled_conv(graph, "up", layer, value), features)
    agree(found, layer, features)
    assert "Resize" not in operators
    assert operators.count("Pad") == (padding != "zero")


@pytest.mark.parametrize("padding", PADDINGS)
def test_learned_shuffle_keeps_its_bias_and_its_phases(padding):
    layer, features = UpsampledConv(6, 5, padding, shuffle=True), torch.randn(2, 6, 7, 9)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    found, _ = run(lambda graph, value: rewrites.upsampled_conv(graph, "up", layer, value), features)
    agree(found, layer, features)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("phases", "size"), [(2, (10, 14)), (2, (18, 6)), (4, (12, 20))])
def test_last_convolution_takes_several_pixels_at_a_time(padding, phases, size):
    layer, features = PhasedConv(4, 3, 9, 2, padding), torch.randn(2, 4, *size)
    found, _ = run(lambda graph, value: rewrites.phased_conv(graph, "last", layer, value, phases), features)
    agree(found, layer, features)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("kernel", "stride"), [(9, 1), (3, 2)])
def test_scale_of_the_input_goes_into_the_first_kernel(padding, kernel, stride):
    layer, features = Conv(3, 5, kernel, stride, padding), 255 * torch.rand(2, 3, 11, 17)
    found, operators = run(
        lambda graph, value: rewrites.conv(graph, "first", layer, value, 1 / 255, bias=True), features
    )
    agree(found, layer, features / 255)
    assert "Mul" not in operators


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", [1, 2])
def test_bias_before_an_instance_norm_does_nothing(padding, stride):
    layer, norm, features = Conv(4, 5, 3, stride, padding), InstanceNorm(5), torch.randn(2, 4, 9, 12)
    torch.nn.init.normal_(layer.bias)
    torch.nn.init.normal_(norm.weight)
    found, _ = run(lambda graph, value: graph.norm("norm", norm, rewrites.conv(graph, "conv", layer, value)), features)
    agree(found, lambda features: norm(layer(features)), features)


def test_borders_of_zeros_are_the_convolutions_own():
    layer, features = Conv(4, 5, 3, 2, "zero"), torch.randn(1, 4, 9, 12)
    found, operators = run(lambda graph, value: rewrites.conv(graph, "conv", layer, value, bias=True), features)
    agree(found, layer, features)
    assert "Pad" not in operators


@pytest.mark.parametrize("mode", PADDINGS)
@pytest.mark.parametrize("margin", [1, 4])
def test_pad_of_slices_equals_the_pad(mode, margin):
    features = torch.randn(2, 3, 6, 9)
    pads = [run(lambda graph, value: graph.pad("a", value, margin, mode), features, form) for form in FORMS]
    np.testing.assert_array_equal(pads[0][0], pads[1][0])
    assert ("Pad" in pads[1][1]) == (mode == "zero")


def test_norm_of_means_equals_the_norm():
    norm = InstanceNorm(4)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    features = 30 * torch.randn(2, 4, 9, 7) + 50
    found, operators = run(lambda graph, value: graph.norm("norm", norm, value), features, FORMS[1])
    with torch.no_grad():
        np.testing.assert_allclose(found, norm(features).numpy(), atol=1e-4)
    assert "InstanceNormalization" not in operators


FORMS = [LEAN, Form(pads="slices", norms="means")]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("upsampling", ["nearest", "pixel_shuffle"])
def test_rewritten_network_gives_the_plain_ones_picture(padding, upsampling):
    network = StyleNetwork(NetworkConfig(8, 1, padding, upsampling)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    pictures = draw_pictures(2, 35, 22)
    expected = stylize_in_torch(network, pictures)
    for form in (PLAIN, *FORMS):
        session = onnxruntime.InferenceSession(build_graph(network, form).SerializeToString())
        np.testing.assert_allclose(session.run([OUTPUT], {INPUT: pictures})[0], expected, atol=0.02)


def test_lean_graph_has_no_dead_constants_and_no_resize():
    model = build_graph(StyleNetwork(NetworkConfig(8, 2)))
    names = {constant.name for constant in model.graph.initializer}
    assert {name for name in names if "conv" in name and name.endswith(".bias")} == {"conv4.bias"}
    operators = [node.op_type for node in model.graph.node]
    assert "Resize" not in operators
    assert operators.count("DepthToSpace") == 3
    assert "to_unit_range" not in {node.name for node in model.graph.node}
