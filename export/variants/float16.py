"""The variant ``fp16``: half the bytes, computed in float16, float32 pictures in and out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.contract import INPUT, NOISE, NOISY, STRENGTH
from export.graph.edit import copy_message, replace_nodes


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store and compute in float16 between the float32 picture that comes in and the float32 colors that go out.

    After the last convolution values are float32 again: there float16 would be a sixteenth to an eighth of a level off.
    So is the image until its noise is added, and so are scales and shifts until they are computed from a strength.
    Norms that are written as means stay float32, because the sum of a large picture's squares exceeds float16. The
    operator InstanceNormalization takes float16, and the runtime chooses the precision of its sums.
    """
    model = copy_message(model)
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    # Resize takes its scales in float32 only.
    exact = {name for node in graph.node if node.op_type == "Resize" or _stays_float32(node) for name in node.input}
    for name, constant in constants.items():
        if constant.data_type == TensorProto.FLOAT and name not in exact:
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), name))
    replace_nodes(graph, _cast_between_precisions(graph.node))
    return model


def _cast_between_precisions(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Put a Cast wherever a value passes from a node of one precision to one of the other."""
    found: list[onnx.NodeProto] = []
    is_half = {INPUT: False, STRENGTH: False}
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
    norm_by_means = "norm" in node.name and node.op_type not in {"InstanceNormalization", "Relu"}
    return norm_by_means or node.name.startswith(("picture.", "crop", NOISE, NOISY, f"{STRENGTH}."))
