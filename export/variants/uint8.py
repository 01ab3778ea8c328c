"""The variant ``u8``: bitmaps in and out, for canvases and cameras."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from export.contract import INPUT, OUTPUT
from export.graph.edit import copy_message, rename_values, replace_nodes


def to_uint8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let a graph take and give bitmaps: uint8, shape (1, H, W, 3), rounded to the nearest and clamped inside."""
    model = copy_message(model)
    graph = model.graph
    rename_values(graph, {INPUT: "bytes.planes", OUTPUT: "bytes.clamped"})
    unpack = [
        helper.make_node("Cast", [INPUT], ["bytes.float"], "bytes.float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["bytes.float"], ["bytes.planes"], "bytes.planes", perm=[0, 3, 1, 2]),
    ]
    pack = [
        helper.make_node("Round", ["bytes.clamped"], ["bytes.rounded"], "bytes.rounded"),
        helper.make_node("Cast", ["bytes.rounded"], ["bytes.cast"], "bytes.cast", to=TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes.cast"], [OUTPUT], "bytes.pixels", perm=[0, 2, 3, 1]),
    ]
    replace_nodes(graph, [*unpack, *graph.node, *pack])
    for value in (graph.input[0], graph.output[0]):
        height, width = (dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim[2:])
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, [1, height, width, 3]))
    return model
