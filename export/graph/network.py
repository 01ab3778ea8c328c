"""The style network as an ONNX graph, written node by node.

Written by hand instead of traced, because the graph is the product: every node has the name of its layer, the bytes
depend on the weights alone, and no version of torch changes them.
"""

from __future__ import annotations

import numpy as np
import onnx
from torch import nn

from export.contract import INPUT, OUTPUT
from export.graph import rewrites
from export.graph.builder import SPATIAL, GraphBuilder
from export.graph.targets import LEAN, Form
from models.layers import UpsampledConv
from models.network import PICTURE_GAIN, StyleNetwork


def build_graph(network: StyleNetwork, form: Form = LEAN) -> onnx.ModelProto:
    """Write a network as an ONNX model, without metadata.

    Args:
        network: The network; only its weights and its configuration are read.
        form: How it is written down.

    Returns:
        A model of opset 18 that maps ``image`` to ``stylized``, both RGB, float32, shape (N, 3, H, W), in 0 to 255, for
        every H and W from 16 up, or for the form's size alone. The same weights give the same bytes.
    """
    graph = GraphBuilder(form)
    value = _first_conv(graph, network)
    value = graph.relu("norm1", graph.norm("norm1", network.norm1, value))
    for index in (2, 3):
        value = graph.relu(f"norm{index}", _conv_norm(graph, network, index, value))
    for index, block in enumerate(network.residual):
        value = _residual_block(graph, f"residual.{index}", block, value)
    for up, norm in (("up1", "norm4"), ("up2", "norm5")):
        value = _upsampled_conv(graph, up, getattr(network, up), value)
        value = graph.relu(norm, graph.norm(norm, getattr(network, norm), value))
    last = rewrites.phased_conv if form.lean else GraphBuilder.conv
    value = _to_picture(graph, last(graph, "conv4", network.conv4, value))
    _crop_to_input(graph, value)
    return graph.model("style_network")


def _first_conv(graph: GraphBuilder, network: StyleNetwork) -> str:
    if graph.form.lean:
        return rewrites.conv(graph, "conv1", network.conv1, INPUT, gain=1 / 255)
    value = graph.node("Mul", "to_unit_range", INPUT, graph.number("unit", 1 / 255))
    return graph.conv("conv1", network.conv1, value)


def _conv_norm(graph: GraphBuilder, owner: nn.Module, index: int, value: str, prefix: str = "") -> str:
    conv, norm = f"conv{index}", f"norm{index}"
    write = rewrites.conv if graph.form.lean else GraphBuilder.conv
    value = write(graph, prefix + conv, getattr(owner, conv), value)
    return graph.norm(prefix + norm, getattr(owner, norm), value)


def _residual_block(graph: GraphBuilder, name: str, block: nn.Module, value: str) -> str:
    hidden = graph.relu(f"{name}.norm1", _conv_norm(graph, block, 1, value, f"{name}."))
    return graph.node("Add", f"{name}.add", value, _conv_norm(graph, block, 2, hidden, f"{name}."))


def _upsampled_conv(graph: GraphBuilder, name: str, layer: UpsampledConv, value: str) -> str:
    """Double the resolution: rewritten, or as nearest-neighbor x2 and a convolution, or as pixel shuffle."""
    if graph.form.lean:
        return rewrites.upsampled_conv(graph, name, layer, value)
    if layer.shuffle:
        return graph.node("DepthToSpace", f"{name}.shuffle", graph.conv(name, layer, value), blocksize=2, mode="CRD")
    doubled = graph.node(
        "Resize",
        f"{name}.resize",
        value,
        "",
        graph.constant("double", np.array([1, 1, 2, 2], np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return graph.conv(name, layer, doubled)


def _to_picture(graph: GraphBuilder, value: str) -> str:
    """Map unbounded values to 0 to 255: ``models.network.to_picture`` times 255, clamped."""
    bent = graph.node("Tanh", "picture.tanh", value)
    scaled = graph.node("Mul", "picture.scale", bent, graph.number("picture.gain", 255 * PICTURE_GAIN))
    shifted = graph.node("Add", "picture.shift", scaled, graph.number("picture.gray", 255 / 2))
    # A fixed size has nothing to crop, so the clamp ends the graph.
    output = OUTPUT if graph.form.size else None
    black, white = graph.number("black", 0), graph.number("white", 255)
    return graph.node("Clip", "picture.clamp", shifted, black, white, output=output)


def _crop_to_input(graph: GraphBuilder, value: str) -> None:
    """Cut the whole cells that the network works on back to the input's height and width."""
    if graph.form.size:
        return
    size = graph.node("Shape", "crop.size", INPUT, start=SPATIAL[0], end=SPATIAL[-1] + 1)
    start = graph.sizes("crop.start", [0, 0])
    graph.node("Slice", "crop", value, start, size, graph.sizes("spatial", SPATIAL), output=OUTPUT)
