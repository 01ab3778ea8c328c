"""The variant ``w8``: a quarter of the bytes, 8-bit weights, computed in float32."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from export.graph.edit import copy_message, replace_nodes
from models.quantization import quantize_weights


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
