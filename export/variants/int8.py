"""Full integer convolutions: QuantizeLinear and DequantizeLinear around those that bear it.

Weights have 8 bits per output channel, activations 8 per tensor. The first and the last convolution stay
float32: they see the picture and make it. So do norms: they need few operations and all of the precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from export.variants.equalization import Activations
from export.variants.float16 import copy_message, quantize_weights, replace_nodes

SENSITIVE = ("conv1", "conv4")
"""Convolutions that stay float32."""

_SHARES = (0.999, 0.9995, 0.9999, 0.99999, 1.0)
"""Shares of the values among which a range is chosen; what lies outside is clipped."""


@dataclass(frozen=True)
class Steps:
    """How an activation is rounded: to whole multiples of ``step``, of which the level ``zero`` stands for 0."""

    step: float
    zero: int


def choose_steps(values: npt.NDArray[np.float32]) -> Steps:
    """Choose the percentile whose range gives the least squared error in 8 bits, clipping included.

    Args:
        values: Samples of the activation, any shape.
    """
    values = values.ravel().astype(np.float64)
    best, found = np.inf, Steps(1, 0)
    lows, highs = np.quantile(values, [[1 - share for share in _SHARES], _SHARES])
    for low, high in zip(np.minimum(lows, 0), np.maximum(highs, 0), strict=True):
        # What a ReLU leaves has no negative values, and all levels for the positive ones.
        step = max(float(high - low) / 255, float(np.finfo(np.float32).tiny))
        zero = int(np.rint(-low / step))
        levels = np.clip(np.rint(values / step) + zero, 0, 255)
        error = np.square((levels - zero) * step - values).mean()
        if error < best:
            best, found = error, Steps(step, zero)
    return found


def to_integers(model: onnx.ModelProto, seen: dict[str, Activations]) -> onnx.ModelProto:
    """Round the inputs, weights and outputs of a graph's convolutions, all but the sensitive ones.

    Args:
        model: What ``export.graph`` wrote, in any form.
        seen: What ``export.equalization.observe`` recorded of the same weights.

    Returns:
        A new model with float32 pictures in and out.
    """
    model = copy_message(model)
    writer = _Writer(model.graph)
    for node in model.graph.node:
        if node.op_type != "Conv" or node.name in SENSITIVE:
            writer.nodes.append(node)
            continue
        before, after = seen[node.name].before, seen[node.name].after
        writer.conv(node, choose_steps(before), choose_steps(after))
    replace_nodes(model.graph, writer.nodes)
    return model


class _Writer:
    """The graph's nodes with roundings between them."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = graph
        self._constants = {constant.name: constant for constant in graph.initializer}

    def conv(self, node: onnx.NodeProto, before: Steps, after: Steps) -> None:
        """Add a convolution of whole numbers; the border's lines are rounded before they are copied."""
        node = copy_message(node)
        pads = [found for found in self.nodes if found.name.startswith(f"{node.name}.pad")]
        if pads:
            at = self.nodes.index(pads[0])
            pads, self.nodes[at:] = self.nodes[at:], []
            source = pads[0].input[0]
            rounded = self._round(source, f"{node.name}.input", before)
            for pad in pads:
                for index, name in enumerate(pad.input):
                    if name == source:
                        pad.input[index] = rounded
            self.nodes += pads
        node.input[0] = self._round(node.input[0], f"{node.name}.padded", before)
        weights = self._constants[node.input[1]]
        levels, steps = quantize_weights(numpy_helper.to_array(weights))
        node.input[1] = self._restore(weights, levels, steps)
        if len(node.input) > 2:
            bias = self._constants[node.input[2]]
            units = (steps * np.float32(before.step)).astype(np.float32)
            node.input[2] = self._restore(bias, np.rint(numpy_helper.to_array(bias) / units).astype(np.int32), units)
        output, node.output[0] = node.output[0], f"{node.name}.sum"
        self.nodes.append(node)
        self._round(node.output[0], output, after, output)

    def _round(self, value: str, name: str, steps: Steps, output: str | None = None) -> str:
        constants = [
            self._constant(f"{name}.step", np.array(steps.step, np.float32)),
            self._constant(f"{name}.zero", np.array(steps.zero, np.uint8)),
        ]
        levels, restored = f"{name}.levels", output or f"{name}.rounded"
        self.nodes += [
            helper.make_node("QuantizeLinear", [value, *constants], [levels], levels),
            helper.make_node("DequantizeLinear", [levels, *constants], [restored], f"{name}.rounded"),
        ]
        return restored

    def _restore(
        self, constant: onnx.TensorProto, levels: npt.NDArray[np.signedinteger], steps: npt.NDArray[np.float32]
    ) -> str:
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(levels, f"{name}.levels"))
        inputs = [constant.name, self._constant(f"{name}.step", steps)]
        inputs.append(self._constant(f"{name}.zero", np.zeros(len(steps), levels.dtype)))
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [name], f"{name}.rounded", axis=0))
        return name

    def _constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name
