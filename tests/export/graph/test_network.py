"""The ONNX graph is the network: same pictures at every size, and nothing in it but what is needed."""

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.contract import CELL, SMALLEST_SIDE
from export.graph.convert import draw_pictures, stylize_in_onnxruntime, stylize_in_torch
from export.graph.edit import rename_values, replace_nodes
from export.graph.network import build_graph
from export.graph.targets import LEAN, PLAIN, Form
from models import network as models_network
from models.network import NetworkConfig, StyleNetwork

PADDINGS = ["reflect", "replicate", "zero"]
UPSAMPLINGS = ["nearest", "pixel_shuffle"]


@cache
def build(padding="reflect", upsampling="nearest", width=8, blocks=1, form=LEAN):
    torch.manual_seed(3)
    network = StyleNetwork(NetworkConfig(width, blocks, padding, upsampling)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model = build_graph(network, form)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return network, model, session


def stylize(session, pictures):
    return session.run(["stylized"], {"image": pictures})[0]


@settings(max_examples=40)
@given(
    height=st.integers(16, 40),
    width=st.integers(16, 40),
    padding=st.sampled_from(PADDINGS),
    upsampling=st.sampled_from(UPSAMPLINGS),
    form=st.sampled_from([LEAN, PLAIN]),
)
def test_graph_matches_torch_at_odd_sizes(height, width, padding, upsampling, form):
    network, _, session = build(padding, upsampling, form=form)
    pictures = draw_pictures(1, height, width)
    stylized = stylize(session, pictures)
    assert stylized.shape == pictures.shape
    np.testing.assert_allclose(stylized, stylize_in_torch(network, pictures), atol=0.02)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_one_session_takes_every_batch_and_size(padding, upsampling):
    network, _, session = build(padding, upsampling)
    for shape in [(1, 16, 16), (3, 17, 31), (2, 40, 19), (1, 64, 48)]:
        pictures = draw_pictures(*shape)
        np.testing.assert_allclose(stylize(session, pictures), stylize_in_torch(network, pictures), atol=0.02)


def test_pictures_of_a_batch_do_not_touch_each_other():
    _, _, session = build()
    pictures = draw_pictures(2, 24, 33)
    np.testing.assert_allclose(stylize(session, pictures)[1:], stylize(session, pictures[1:]), atol=1e-3)


@pytest.mark.parametrize("form", [LEAN, PLAIN])
@pytest.mark.parametrize("size", [(17, 259), (300, 520), (256, 512)])
def test_noise_is_torchs_at_sizes_beyond_the_tile(form, size):
    network, model, session = build(form=form)
    pictures = draw_pictures(2, *size)
    expected = stylize_in_torch(network, pictures)
    np.testing.assert_allclose(stylize(session, pictures), expected, atol=0.05)
    still = stylize_in_onnxruntime(remove_noise(model).SerializeToString(), [pictures])[0]
    assert np.abs(still - expected).max() > 5


def remove_noise(model):
    """Let the graph go on with the image itself."""
    still = onnx.ModelProto()
    still.CopyFrom(model)
    rename_values(still.graph, {"noisy": "image"})
    nodes = [node for node in still.graph.node if not node.output[0].startswith("noise") and node.name != "noisy"]
    replace_nodes(still.graph, nodes)
    return still


def test_fixed_size_holds_the_noise_as_a_constant():
    torch.manual_seed(3)
    network = StyleNetwork(NetworkConfig(8, 1)).eval()
    for size in ((300, 520), (32, 48)):
        model = build_graph(network, Form(size=size))
        operators = {node.op_type for node in model.graph.node}
        assert not {"Tile", "Shape"} & operators
        pictures = draw_pictures(1, *size)
        (found,) = stylize_in_onnxruntime(model.SerializeToString(), [pictures])
        np.testing.assert_allclose(found, stylize_in_torch(network, pictures), atol=0.05)


@pytest.mark.parametrize("form", [LEAN, PLAIN, Form(size=(32, 32))])
def test_network_without_noise_has_nothing_of_it_in_its_graph(form):
    graph = build_graph(StyleNetwork(NetworkConfig(8, 1, noise=0)), form).graph
    names = [name for node in graph.node for name in (node.name, *node.input, *node.output)]
    assert not [name for name in (*names, *(constant.name for constant in graph.initializer)) if "nois" in name]


def test_constant_gray_gets_a_picture_with_something_in_it():
    _, _, session = build()
    assert stylize(session, np.full((1, 3, 64, 80), 127, np.float32)).std() > 3


def test_output_is_clamped_to_0_and_255():
    torch.manual_seed(0)
    network = StyleNetwork(NetworkConfig(8, 0))
    with torch.no_grad():
        network.conv4.weight.mul_(50)
    session = onnxruntime.InferenceSession(build_graph(network).SerializeToString())
    stylized = stylize(session, draw_pictures(1, 20, 20))
    assert stylized.min() == 0
    assert stylized.max() == 255


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("form", [LEAN, PLAIN])
def test_graph_passes_the_full_check_and_is_plain_opset_18(padding, upsampling, form):
    _, model, _ = build(padding, upsampling, form=form)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    assert not model.training_info


def test_nodes_are_named_after_layers_and_carry_no_debris():
    for form, count, own in [(LEAN, 82, "up1.shuffle"), (PLAIN, 80, "up1.resize")]:
        graph = build(blocks=5, form=form)[1].graph
        names = [node.name for node in graph.node]
        assert len(set(names)) == len(names) == count
        assert {"conv1", "norm1", "norm1.relu", "residual.0.conv1", "residual.4.add", own, "crop"} <= set(names)
        assert not any(node.doc_string or node.metadata_props for node in graph.node)
        assert not graph.doc_string
        assert not graph.value_info
    assert not build()[1].doc_string


def test_every_constant_is_used_and_inside_the_file():
    _, model, _ = build(blocks=5)
    used = {name for node in model.graph.node for name in node.input}
    assert {constant.name for constant in model.graph.initializer} <= used
    assert all(constant.data_location == onnx.TensorProto.DEFAULT for constant in model.graph.initializer)


def test_weights_of_the_plain_graph_stand_under_torchs_names():
    network, model, _ = build(blocks=2, form=PLAIN)
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer}
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(constants[name], tensor.numpy())


def test_batch_height_and_width_are_free():
    _, model, _ = build()
    for value, name in [(model.graph.input[0], "image"), (model.graph.output[0], "stylized")]:
        dims = value.type.tensor_type.shape.dim
        assert value.name == name
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, "height", "width"]


def test_contract_has_the_networks_own_numbers():
    assert SMALLEST_SIDE == models_network.SMALLEST_SIDE
    assert CELL == models_network.CELL
