"""Nodes and constants of an ONNX graph, and the forms that one layer can take in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from export.contract import INPUT, OPSET, OUTPUT, PRODUCER, STRENGTH, STRENGTH_SIDES
from export.graph.targets import LEAN, Form
from models.layers import Conv, InstanceNorm, PaddingMode

IR_VERSION = 8
"""File format version that came with opset 18, so that the oldest runtimes with that opset read the file."""

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "zero": "constant"}
"""Our names of the padding modes to ONNX's."""

STRENGTH_LACK, STRENGTH_EXCESS = f"{STRENGTH}.lack", f"{STRENGTH}.excess"
"""Values of a graph with strength: by how much it is below 1 and above, each at least 0."""

# Height and width of (N, C, H, W).
SPATIAL = [2, 3]

Attribute = int | str | float | list[int]


class GraphBuilder:
    """Nodes and constants in the order in which they are added; each node's output carries the node's name."""

    def __init__(self, form: Form = LEAN) -> None:
        self.form = form
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
            operator: The ``ai.onnx`` operator, such as ``Conv``.
            name: The node's name, and its output's unless told otherwise.
            inputs: Names of values; an empty one leaves out an optional input.
            output: Name of the output, if it has to differ.
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

    def slice(self, name: str, value: str, axis: int, start: int, end: int) -> str:
        """Keep the rows or columns from ``start`` up to ``end``; negative numbers count from the end, as in Python."""
        bounds = [self.sizes(f"at{number}", [number]) for number in (start, end, axis)]
        return self.node("Slice", name, value, *bounds)

    def pad(self, name: str, value: str, margin: int, mode: PaddingMode) -> str:
        """Pad a picture by ``margin`` pixels on all sides."""
        if self.form.pads == "slices" and mode != "zero":
            return self._pad_by_slices(f"{name}.pad", value, margin, mode)
        pads = self.sizes(f"margin{margin}", [0, 0, margin, margin] * 2)
        return self.node("Pad", f"{name}.pad", value, pads, mode=PAD_MODES[mode])

    def _pad_by_slices(self, name: str, value: str, margin: int, mode: PaddingMode) -> str:
        for axis, letter in zip(SPATIAL, "yx", strict=True):
            # One line at a time: no delegate reverses a slice.
            if mode == "reflect":
                head = [(distance, distance + 1) for distance in range(margin, 0, -1)]
                tail = [(-distance - 1, -distance) for distance in range(1, margin + 1)]
            else:
                head, tail = [(0, 1)], [(-1, _END)]
            lines = [
                [self.slice(f"{name}.{letter}{side}{at}", value, axis, *bounds) for at, bounds in enumerate(found)]
                for side, found in (("a", head), ("b", tail))
            ]
            if mode != "reflect":
                lines = [line * margin for line in lines]
            value = self.node("Concat", f"{name}.{letter}", *lines[0], value, *lines[1], axis=axis)
        return value

    def convolve(
        self, name: str, value: str, weight: Tensor, bias: Tensor | None = None, stride: int = 1, margin: int = 0
    ) -> str:
        """Add a convolution of (N, C, H, W) by a kernel of shape (O, C, K, K) with ``margin`` zeros around."""
        constants = [self.constant(f"{name}.weight", to_numpy(weight))]
        if bias is not None:
            constants.append(self.constant(f"{name}.bias", to_numpy(bias)))
        size, steps, zeros = [weight.shape[-1]] * 2, [stride] * 2, [margin] * 4
        return self.node("Conv", name, value, *constants, kernel_shape=size, pads=zeros, strides=steps)

    def conv(self, name: str, layer: Conv, value: str) -> str:
        """Add a padded convolution without rewrites."""
        padded = self.pad(name, value, layer.kernel_size // 2, layer.padding)
        return self.convolve(name, padded, layer.weight, layer.bias, layer.stride)

    def norm(self, name: str, layer: InstanceNorm, value: str) -> str:
        """Add an affine instance norm."""
        if self.form.norms == "means":
            return self._norm_by_means(name, layer, value)
        weight, bias = (self._affine(name, layer, part) for part in ("weight", "bias"))
        return self.node("InstanceNormalization", name, value, weight, bias, epsilon=layer.eps)

    def _norm_by_means(self, name: str, layer: InstanceNorm, value: str) -> str:
        axes = self.sizes("spatial", SPATIAL)
        weight, bias = (self._affine(name, layer, part) for part in ("weight", "bias"))
        mean = self.node("ReduceMean", f"{name}.mean", value, axes, keepdims=1)
        centered = self.node("Sub", f"{name}.centered", value, mean)
        squared = self.node("Mul", f"{name}.squared", centered, centered)
        variance = self.node("ReduceMean", f"{name}.variance", squared, axes, keepdims=1)
        steadied = self.node("Add", f"{name}.steadied", variance, self.number("eps", layer.eps))
        scale = self.node("Div", f"{name}.scale", weight, self.node("Sqrt", f"{name}.deviation", steadied))
        return self.node("Add", name, self.node("Mul", f"{name}.scaled", centered, scale), bias)

    def _affine(self, name: str, layer: InstanceNorm, part: str) -> str:
        """Add a norm's scale or shift, which is computed from the strength if there is one."""
        own = self.constant(f"{name}.{part}", self._per_channel(getattr(layer, part)))
        if self.form.strength == "none":
            return own
        if layer.changes is None:
            raise ValueError("the form has a strength, and the network has none")
        below, above = (
            self.constant(f"{name}.{part}.{side}", self._per_channel(change[("weight", "bias").index(part)]))
            for side, change in zip(STRENGTH_SIDES, layer.changes, strict=True)
        )
        less = self.node("Mul", f"{name}.{part}.less", below, STRENGTH_LACK)
        more = self.node("Mul", f"{name}.{part}.more", above, STRENGTH_EXCESS)
        weaker = self.node("Sub", f"{name}.{part}.weaker", own, less)
        return self.node("Add", f"{name}.{part}.chosen", weaker, more)

    def _per_channel(self, values: Tensor) -> npt.NDArray[np.float32]:
        """Return one number per channel in the shape that the form's norms take."""
        found = to_numpy(values)
        return found[None, :, None, None] if self.form.norms == "means" else found

    def relu(self, name: str, value: str) -> str:
        """Add a ReLU, named after the layer before it."""
        return self.node("Relu", f"{name}.relu", value)

    def model(self, name: str) -> onnx.ModelProto:
        """Return the finished graph: a picture in, one out, (N, 3, H, W) in float32, sizes as the form has them.

        A form with strength has it as the second input.
        """
        height, width = self.form.size or ("height", "width")
        shape: list[str | int | None] = [1 if self.form.size else "batch", 3, height, width]
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)]
        if self.form.strength != "none":
            inputs.append(helper.make_tensor_value_info(STRENGTH, TensorProto.FLOAT, []))
        if self.form.strength == "optional":
            # A constant that is an input, too, is the input's default; number() would give it a dimension.
            self.constants[STRENGTH] = numpy_helper.from_array(np.array(1, np.float32), STRENGTH)
        graph = helper.make_graph(
            self.nodes,
            name,
            inputs,
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            list(self.constants.values()),
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name=PRODUCER)


# Past every end, which ONNX's Slice reads as up to the last element.
_END = 2**31 - 1


def to_numpy(weights: Tensor) -> npt.NDArray[np.float32]:
    """Return weights as float32 in NumPy, on the CPU."""
    return weights.detach().to("cpu", torch.float32).contiguous().numpy()
