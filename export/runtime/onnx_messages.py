"""The messages of a serialized ONNX model, as many fields as the runtime reads or changes; needs protobuf only.

Numbers and types are those of ``onnx.proto3`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Protobuf keeps
the fields that it does not know, so that a model that is read and written again loses nothing; it writes them last, so
those of ``ModelProto`` are known up to the metadata, whose seal ends a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FLOAT, INT8, INT64 = 1, 3, 7
"""Three of ``TensorProto.DataType``."""

# Each field: its number and type, a list for a repeated one; types that are not scalars are messages of this table.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str | list[str]]]] = {
    "ModelProto": {
        "ir_version": (1, "int64"),
        "producer_name": (2, "string"),
        "producer_version": (3, "string"),
        "domain": (4, "string"),
        "model_version": (5, "int64"),
        "doc_string": (6, "string"),
        "graph": (7, "GraphProto"),
        "opset_import": (8, ["OperatorSetIdProto"]),
        "metadata_props": (14, ["StringStringEntryProto"]),
        "functions": (25, ["FunctionProto"]),
    },
    "OperatorSetIdProto": {"domain": (1, "string"), "version": (2, "int64")},
    "StringStringEntryProto": {"key": (1, "string"), "value": (2, "string")},
    "GraphProto": {
        "node": (1, ["NodeProto"]),
        "initializer": (5, ["TensorProto"]),
        "input": (11, ["ValueInfoProto"]),
        "output": (12, ["ValueInfoProto"]),
    },
    "FunctionProto": {"name": (1, "string"), "node": (7, ["NodeProto"]), "domain": (10, "string")},
    "NodeProto": {
        "input": (1, ["string"]),
        "output": (2, ["string"]),
        "name": (3, "string"),
        "op_type": (4, "string"),
        "attribute": (5, ["AttributeProto"]),
        "domain": (7, "string"),
    },
    "AttributeProto": {
        "name": (1, "string"),
        "i": (3, "int64"),
        "g": (6, "GraphProto"),
        "graphs": (11, ["GraphProto"]),
        "type": (20, "int32"),
    },
    "TensorProto": {
        "dims": (1, ["int64"]),
        "data_type": (2, "int32"),
        "int64_data": (7, ["int64"]),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
    },
    "ValueInfoProto": {"name": (1, "string"), "type": (2, "TypeProto")},
    "TypeProto": {"tensor_type": (1, "TensorTypeProto")},
    "TensorTypeProto": {"elem_type": (1, "int32"), "shape": (2, "TensorShapeProto")},
    "TensorShapeProto": {"dim": (1, ["DimensionProto"])},
    "DimensionProto": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
}


def _build_classes() -> dict[str, Any]:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="onestroke/onnx.proto", package="onestroke.onnx", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            scalar = kind[0] if isinstance(kind, list) else kind
            described = message.field.add(name=field, number=number)
            described.label = kinds.LABEL_REPEATED if isinstance(kind, list) else kinds.LABEL_OPTIONAL
            if scalar in _MESSAGES:
                described.type, described.type_name = kinds.TYPE_MESSAGE, f".{file.package}.{scalar}"
            else:
                described.type = kinds.Type.Value(f"TYPE_{scalar.upper()}")
    # A pool of its own: the default one belongs to the package onnx, should it be imported as well.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _build_classes()
ModelProto, NodeProto = _CLASSES["ModelProto"], _CLASSES["NodeProto"]
TensorProto, AttributeProto = _CLASSES["TensorProto"], _CLASSES["AttributeProto"]
