"""Smaller and handier forms of a finished graph: float16, 8-bit weights, and pictures as bytes.

Each function takes a model that ``export.graph`` wrote and returns a new one; names of values and nodes stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.contract import INPUT, OUTPUT

Message = TypeVar("Message", onnx.ModelProto, onnx.NodeProto)

_CLIPS = np.linspace(0.6, 1, 21)
"""Shares of a channel's largest weight at which its 8 bits may end: cutting a lone peak serves all others."""


def to_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let a graph take and give bitmaps: uint8, shape (1, H, W, 3), rounded to the nearest and clamped inside."""
    model = copy_message(model)
    graph = model.graph
    _rename(graph, {INPUT: "bytes.planes", OUTPUT: "bytes.clamped"})
    to_planes = [
        helper.make_node("Cast", [INPUT], ["bytes.float"], "bytes.float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["bytes.float"], ["bytes.planes"], "bytes.planes", perm=[0, 3, 1, 2]),
    ]
    to_pixels = [
        helper.make_node("Round", ["bytes.clamped"], ["bytes.rounded"], "bytes.rounded"),
        helper.make_node("Cast", ["bytes.rounded"], ["bytes.cast"], "bytes.cast", to=TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes.cast"], [OUTPUT], "bytes.pixels", perm=[0, 2, 3, 1]),
    ]
    replace_nodes(graph, [*to_planes, *graph.node, *to_pixels])
    for value in (graph.input[0], graph.output[0]):
        height, width = (dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim[2:])
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, [1, height, width, 3]))
    return model


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store and compute in float16 between the float32 picture that comes in and the float32 colors that go out.

    Out of the last convolution on, values are float32 again: there a float16 would be a sixteenth to an eighth of a
    level off. Norms spelt out as means stay float32, whatever their runtime adds them up in: the sum of a large
    picture's squares is no float16. The operator InstanceNormalization takes float16 and leaves that to the runtime.
    """
    model = copy_message(model)
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    # Resize wants its scales in float32, whatever it resizes.
    exact = {name for node in graph.node if node.op_type == "Resize" or _stays_float32(node) for name in node.input}
    for name, constant in constants.items():
        if constant.data_type == TensorProto.FLOAT and name not in exact:
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), name))
    replace_nodes(graph, _cast_between_precisions(graph.node))
    return model


def _cast_between_precisions(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Put a Cast wherever a value passes from a node of one precision to one of the other."""
    found: list[onnx.NodeProto] = []
    is_half = {INPUT: False}
    casts: set[str] = set()
    for original in nodes:
        node, half = copy_message(original), not _stays_float32(original)
        found.append(node)
        if node.op_type == "Shape":
            continue
        for index, name in enumerate(node.input):
            # Constants have their reader's precision already.
            if is_half.get(name, half) == half:
                continue
            node.input[index] = cast = f"{name}.{'float16' if half else 'float32'}"
            if cast not in casts:
                kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
                found.insert(-1, helper.make_node("Cast", [name], [cast], cast, to=kind))
                casts.add(cast)
        is_half[node.output[0]] = half
    return found


def _stays_float32(node: onnx.NodeProto) -> bool:
    spelt_norm = "norm" in node.name and node.op_type not in {"InstanceNormalization", "Relu"}
    return spelt_norm or node.name.startswith(("picture.", "crop"))


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
        levels, scales = quantize_weights(numpy_helper.to_array(constants[name]))
        constants[name].CopyFrom(numpy_helper.from_array(levels, f"{name}.levels"))
        graph.initializer.append(numpy_helper.from_array(scales[:, None, None, None], f"{name}.steps"))
        restored += [
            helper.make_node("Cast", [f"{name}.levels"], [f"{name}.cast"], f"{name}.cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.steps"], [name], name),
        ]
    replace_nodes(graph, [*restored, *graph.node])
    return model


def quantize_weights(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Round weights to whole levels of -127 to 127 with one step per output channel, the step of least squared error.

    Args:
        weights: Shape (O, C, K, K).

    Returns:
        The levels, shape (O, C, K, K), and the steps, shape (O,).
    """
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    peaks = np.maximum(np.abs(rows).max(1, keepdims=True), np.finfo(np.float32).tiny * 127)
    best, steps = np.full(len(rows), np.inf), np.zeros(len(rows))
    for clip in _CLIPS:
        step = clip * peaks / 127
        error = np.square(np.clip(np.rint(rows / step), -127, 127) * step - rows).sum(1)
        steps = np.where(error < best, step[:, 0], steps)
        best = np.minimum(error, best)
    levels = np.clip(np.rint(rows / steps[:, None]), -127, 127).astype(np.int8)
    return levels.reshape(weights.shape), steps.astype(np.float32)


def copy_message(message: Message) -> Message:
    """Return an independent copy of a model or a node."""
    twin = type(message)()
    twin.CopyFrom(message)
    return twin


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.get(name, name)


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Give a graph these nodes, of which some may be its own, in place of what it has."""
    kept = [copy_message(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
