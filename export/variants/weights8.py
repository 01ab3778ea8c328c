"""The variant ``w8``: a quarter of the bytes, 8-bit weights, computed in float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.graph.edit import copy_message, replace_nodes

_CLIPS = np.linspace(0.6, 1, 21)
"""Shares of a channel's largest weight among which the largest of its 8-bit values is chosen: cutting one outlier off
rounds all other weights more finely."""


def to_weights8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every convolution's weights in 8 bits per output channel; computation stays float32.

    The weights are restored by a Cast and a Mul, which every runtime folds into constants when it loads the file.
    """
    model = copy_message(model)
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    restored: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        name = node.input[1]
        quantized, scales = quantize_weights(numpy_helper.to_array(constants[name]))
        constants[name].CopyFrom(numpy_helper.from_array(quantized, f"{name}.levels"))
        graph.initializer.append(numpy_helper.from_array(scales[:, None, None, None], f"{name}.steps"))
        restored += [
            helper.make_node("Cast", [f"{name}.levels"], [f"{name}.cast"], f"{name}.cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.steps"], [name], name),
        ]
    replace_nodes(graph, [*restored, *graph.node])
    return model


def quantize_weights(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Quantize weights symmetrically to -127 to 127, one scale per output channel, the one of least squared error.

    Args:
        weights: Shape (O, C, K, K).

    Returns:
        The quantized weights, shape (O, C, K, K), and the scales, shape (O,).
    """
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    peaks = np.maximum(np.abs(rows).max(1, keepdims=True), np.finfo(np.float32).tiny * 127)
    best, scales = np.full(len(rows), np.inf), np.zeros(len(rows))
    for clip in _CLIPS:
        scale = clip * peaks / 127
        error = np.square(np.clip(np.rint(rows / scale), -127, 127) * scale - rows).sum(1)
        scales = np.where(error < best, scale[:, 0], scales)
        best = np.minimum(error, best)
    quantized = np.clip(np.rint(rows / scales[:, None]), -127, 127).astype(np.int8)
    return quantized.reshape(weights.shape), scales.astype(np.float32)
