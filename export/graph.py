"""The style network as an ONNX graph, written node by node.

Written by hand instead of traced, because the graph is the product: every node has the name of the layer that it stands
for, the bytes depend on the weights alone, and no version of torch changes them. The layers that torch computes in a
rearranged form (``models.layers``) stand here in the textbook's form; the function is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.contract import INPUT, OPSET, OUTPUT, PRODUCER
from models.layers import Conv, InstanceNorm, UpsampledConv
from models.network import PICTURE_GAIN, StyleNetwork

IR_VERSION = 8
"""File format version that came with opset 18, so that the oldest runtimes with that opset read the file."""

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "zero": "constant"}
"""Our names of the padding modes to ONNX's."""

# Height and width of (N, C, H, W).
SPATIAL = [2, 3]


Attribute = int | str | float | list[int]


class GraphBuilder:
    """Nodes and constants in the order in which they are added; each node's output carries the node's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(
        self,
        operator: str,
        name: str,
        *inputs: str,
        output: str | None = None,
        **attributes: Attribute,
    ) -> str:
        """Add one operator.

        Args:
            operator: The ``ai.onnx`` operator, ``Conv`` say.
            name: The node's name, and its output's unless told otherwise.
            inputs: Names of values; an empty one leaves out an optional input.
            output: Name of the output where it has to differ.
            attributes: The operator's attributes.

        Returns:
            The name of the output.
        """
        output = output or name
        node = helper.make_node(operator, list(inputs), [output], name=name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return output

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant once and return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def number(self, name: str, value: float) -> str:
        """Add a float32 scalar and return its name."""
        return self.constant(name, np.array(value, np.float32))

    def sizes(self, name: str, values: list[int]) -> str:
        """Add a list of int64 and return its name."""
        return self.constant(name, np.array(values, np.int64))

    def pad(self, name: str, value: str, margin: int, mode: str) -> str:
        """Continue a picture by ``margin`` on all sides; ``mode`` is one of ``PAD_MODES``."""
        pads = self.sizes(f"margin{margin}", [0, 0, margin, margin] * 2)
        return self.node("Pad", f"{name}.pad", value, pads, mode=PAD_MODES[mode])

    def conv(self, name: str, layer: Conv, value: str) -> str:
        """Add a padded convolution with the layer's own weight."""
        padded = self.pad(name, value, layer.kernel_size // 2, layer.padding)
        weight = self.constant(f"{name}.weight", _array(layer.weight))
        bias = self.constant(f"{name}.bias", _array(layer.bias))
        size, step = [layer.kernel_size] * 2, [layer.stride] * 2
        return self.node("Conv", name, padded, weight, bias, kernel_shape=size, strides=step)

    def norm(self, name: str, layer: InstanceNorm, value: str) -> str:
        """Add an affine instance norm."""
        weight = self.constant(f"{name}.weight", _array(layer.weight))
        bias = self.constant(f"{name}.bias", _array(layer.bias))
        return self.node("InstanceNormalization", name, value, weight, bias, epsilon=layer.eps)

    def relu(self, name: str, value: str) -> str:
        """Add a ReLU, named after the layer before it."""
        return self.node("Relu", f"{name}.relu", value)

    def upsampled_conv(self, name: str, layer: UpsampledConv, value: str) -> str:
        """Add nearest-neighbour x2 and a convolution, or a convolution and depth to space."""
        if layer.shuffle:
            return self.node("DepthToSpace", f"{name}.shuffle", self.conv(name, layer, value), blocksize=2, mode="CRD")
        doubled = self.node(
            "Resize",
            f"{name}.resize",
            value,
            "",
            self.constant("double", np.array([1, 1, 2, 2], np.float32)),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self.conv(name, layer, doubled)

    def model(self, name: str) -> onnx.ModelProto:
        """Close the graph: one input, one output, (N, 3, H, W) in float32 with all of N, H and W free."""
        shape: list[str | int | None] = ["batch", 3, "height", "width"]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            list(self.constants.values()),
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name=PRODUCER)


def build_graph(network: StyleNetwork) -> onnx.ModelProto:
    """Write a network as an ONNX model, without metadata.

    Args:
        network: The network; only its weights and its configuration are read.

    Returns:
        A model of opset 18 that maps ``image`` to ``stylized``, both RGB, float32, shape (N, 3, H, W), in 0 to 255, for
        every H and W from 16 up. The same weights give the same bytes.
    """
    graph = GraphBuilder()
    value = graph.node("Mul", "to_unit_range", INPUT, graph.number("unit", 1 / 255))
    for index in (1, 2, 3):
        normed = _conv_norm(graph, network, index, value)
        value = graph.relu(f"norm{index}", normed)
    for index, block in enumerate(network.residual):
        value = _residual_block(graph, f"residual.{index}", block, value)
    for up, norm in (("up1", "norm4"), ("up2", "norm5")):
        value = graph.upsampled_conv(up, getattr(network, up), value)
        value = graph.relu(norm, graph.norm(norm, getattr(network, norm), value))
    value = _to_picture(graph, graph.conv("conv4", network.conv4, value))
    _crop_to_input(graph, value)
    return graph.model("style_network")


def _conv_norm(graph: GraphBuilder, owner: nn.Module, index: int, value: str, prefix: str = "") -> str:
    conv, norm = f"conv{index}", f"norm{index}"
    value = graph.conv(prefix + conv, getattr(owner, conv), value)
    return graph.norm(prefix + norm, getattr(owner, norm), value)


def _residual_block(graph: GraphBuilder, name: str, block: nn.Module, value: str) -> str:
    hidden = graph.relu(f"{name}.norm1", _conv_norm(graph, block, 1, value, f"{name}."))
    return graph.node("Add", f"{name}.add", value, _conv_norm(graph, block, 2, hidden, f"{name}."))


def _to_picture(graph: GraphBuilder, value: str) -> str:
    """Bend unbounded values into 0 to 255: ``models.network.to_picture`` times 255, clamped."""
    bent = graph.node("Tanh", "picture.tanh", value)
    scaled = graph.node("Mul", "picture.scale", bent, graph.number("picture.gain", 255 * PICTURE_GAIN))
    shifted = graph.node("Add", "picture.shift", scaled, graph.number("picture.grey", 255 / 2))
    return graph.node("Clip", "picture.clamp", shifted, graph.number("black", 0), graph.number("white", 255))


def _crop_to_input(graph: GraphBuilder, value: str) -> None:
    """Cut the whole cells that the network works on back to the input's height and width."""
    size = graph.node("Shape", "crop.size", INPUT, start=SPATIAL[0], end=SPATIAL[-1] + 1)
    start = graph.sizes("crop.start", [0, 0])
    axes = graph.sizes("crop.axes", SPATIAL)
    graph.node("Slice", "crop", value, start, size, axes, output=OUTPUT)


def _array(weights: Tensor) -> npt.NDArray[np.float32]:
    return weights.detach().to("cpu", torch.float32).contiguous().numpy()
