"""An exported graph rewritten for tiles: one that measures its norms' statistics, and one that is given them.

Instance norm looks at the whole picture, a tile does not. With mean and variance given, instance norm is batch norm as
it is used after training (Ioffe and Szegedy 2015, algorithm 2), so each InstanceNormalization becomes a
BatchNormalization with the same scale, bias and epsilon and two more inputs. The serialized model is edited, not built
anew: whatever else the graph holds stays as it is, older files work, and neither torch nor the onnx package is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from export.runtime.protobuf import Field, read_fields, write_field

# Field numbers of onnx.proto3, as far as they are used.
_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSETS, _MODEL_FUNCTIONS = 1, 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TYPE, _ATTRIBUTE_TYPE_INT = 1, 3, 20, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_ELEMENT, _TENSOR_SHAPE, _SHAPE_DIMENSION, _DIMENSION_NAME = 1, 1, 2, 1, 2
_TENSOR_DIMENSIONS, _TENSOR_DATA_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT, _INT64 = 1, 7

SMALLEST_OPSET = 18
"""From here on, reductions take their axes as an input."""


class TileGraphError(ValueError):
    """A model cannot be rewritten for tiles; the message says why."""


@dataclass(frozen=True)
class TileGraphs:
    """A model's two rewritten forms.

    Args:
        statistics: Serialized model: pictures to the mean and variance of each channel at each norm, pooled over the
            pictures of the batch and their pixels.
        tiles: Serialized model: pictures and those statistics to stylized pictures.
        names: Names of the statistics, outputs of the one and inputs of the other, float32 of shape (C,).
    """

    statistics: bytes
    tiles: bytes
    names: list[str]


def rewrite_for_tiles(content: bytes) -> TileGraphs:
    """Rewrite a serialized ONNX model.

    Args:
        content: A model of opset 18 or newer with instance norms as nodes of its graph.

    Raises:
        TileGraphError: If it is older, holds no InstanceNormalization or one of another type, or is no ONNX model.
    """
    try:
        fields = list(read_fields(content))
        graph = [one for field in fields if field.number == _MODEL_GRAPH for one in read_fields(field.content)]
        opset = _opset(field for field in fields if field.number == _MODEL_OPSETS)
        nodes = [(field, _Node.read(field.content)) for field in graph if field.number == _GRAPH_NODE]
    except ValueError as error:
        raise TileGraphError(f"it is no serialized ONNX model: {error}") from error
    norms = [node for _, node in nodes if node.operator == "InstanceNormalization"]
    if opset < SMALLEST_OPSET or not norms:
        raise TileGraphError(f"it has opset {opset} and {len(norms)} InstanceNormalization nodes")
    kinds = dict(_name_and_kind(field.content) for field in graph if field.number == _GRAPH_INITIALIZER)
    if any(kinds.get(norm.inputs[1], _FLOAT) != _FLOAT for norm in norms):
        raise TileGraphError("its norms compute in another type than float32")
    names = [name for norm in norms for name in norm.statistics]
    vectors = {name: _vector(name) for name in names}
    kept = [field.raw for field in graph if field.number in (_GRAPH_NAME, _GRAPH_INITIALIZER)]
    inputs = [field.raw for field in graph if field.number == _GRAPH_INPUT]
    outputs = [field.raw for field in graph if field.number == _GRAPH_OUTPUT]
    measuring, given = [], []
    for field, node in nodes:
        is_norm = node.operator == "InstanceNormalization"
        given.append(node.with_given_statistics() if is_norm else field.raw)
        measuring += [*node.measure(), given[-1]] if is_norm else [given[-1]]
    inputs_and_statistics = inputs + [write_field(_GRAPH_INPUT, vector) for vector in vectors.values()]
    # Without the picture among its outputs, ONNX Runtime leaves out what follows the last norm.
    measured = [write_field(_GRAPH_OUTPUT, vector) for vector in vectors.values()]
    constants = [_axes(_PIXELS, [2, 3]), _axes(_PICTURES, [0]), _axes(_ALL, [0, 2, 3])]
    return TileGraphs(
        statistics=_model(fields, [*measuring, *kept, *constants, *inputs, *measured]),
        tiles=_model(fields, [*given, *kept, *inputs_and_statistics, *outputs]),
        names=names,
    )


_PIXELS, _PICTURES, _ALL = "tiles.pixels", "tiles.pictures", "tiles.all"


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: list[str]
    outputs: list[str]
    name: str
    attributes: list[bytes]

    @classmethod
    def read(cls, content: bytes) -> _Node:
        texts: dict[int, list[str]] = {}
        attributes = []
        for field in read_fields(content):
            if field.number == _NODE_ATTRIBUTE:
                attributes.append(field.raw)
            elif field.number in (_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR):
                texts.setdefault(field.number, []).append(field.text)
        return cls(
            "".join(texts.get(_NODE_OPERATOR, [])),
            texts.get(_NODE_INPUT, []),
            texts.get(_NODE_OUTPUT, []),
            "".join(texts.get(_NODE_NAME, [])),
            attributes,
        )

    @property
    def statistics(self) -> tuple[str, str]:
        """Names of mean and variance; the output's, being unique, is what they are made from."""
        return f"{self.outputs[0]}.tiles.mean", f"{self.outputs[0]}.tiles.variance"

    def with_given_statistics(self) -> bytes:
        """Turn an instance norm into a norm with mean and variance as further inputs."""
        inputs = [*self.inputs, *self.statistics]
        return _node("BatchNormalization", inputs, self.outputs[0], self.attributes, self.name)

    def measure(self) -> list[bytes]:
        """Compute mean and variance of the norm's input, in two steps, so that none is a difference of large sums."""
        features, (mean, variance) = self.inputs[0], self.statistics
        prefix = f"{self.outputs[0]}.tiles"
        flat = [_integer_attribute("keepdims", 0)]
        own, pooled, apart, spread = (f"{prefix}.{part}" for part in ("own_mean", "pooled_mean", "apart", "spread"))
        return [
            _node("ReduceMean", [features, _PIXELS], own),
            _node("ReduceMean", [own, _PICTURES], pooled),
            _node("ReduceMean", [pooled, _ALL], mean, flat),
            _node("Sub", [features, pooled], apart),
            _node("Mul", [apart, apart], spread),
            _node("ReduceMean", [spread, _PIXELS], f"{prefix}.own_variance", flat),
            _node("ReduceMean", [f"{prefix}.own_variance", _PICTURES], variance, flat),
        ]


def _opset(imports: Iterable[Field]) -> int:
    for field in imports:
        values = {one.number: one.value for one in read_fields(field.content)}
        version = values.get(_OPSET_VERSION, 0)
        if values.get(_OPSET_DOMAIN, b"") in (b"", b"ai.onnx") and isinstance(version, int):
            return version
    return 0


def _name_and_kind(tensor: bytes) -> tuple[str, int | bytes]:
    fields = {field.number: field for field in read_fields(tensor) if field.number in (_TENSOR_NAME, _TENSOR_DATA_TYPE)}
    return fields[_TENSOR_NAME].text, fields[_TENSOR_DATA_TYPE].value


def _model(fields: Iterable[Field], graph: Iterable[bytes]) -> bytes:
    kept = (_MODEL_IR_VERSION, _MODEL_OPSETS, _MODEL_FUNCTIONS)
    header = b"".join(field.raw for field in fields if field.number in kept)
    return header + write_field(_MODEL_GRAPH, b"".join(graph))


def _node(operator: str, inputs: Iterable[str], output: str, attributes: Iterable[bytes] = (), name: str = "") -> bytes:
    written = [write_field(_NODE_INPUT, value) for value in inputs]
    written += [write_field(_NODE_OUTPUT, output), write_field(_NODE_NAME, name or output)]
    return write_field(_GRAPH_NODE, b"".join([*written, write_field(_NODE_OPERATOR, operator), *attributes]))


def _integer_attribute(name: str, value: int) -> bytes:
    written = write_field(_ATTRIBUTE_NAME, name) + write_field(_ATTRIBUTE_INT, value)
    return write_field(_NODE_ATTRIBUTE, written + write_field(_ATTRIBUTE_TYPE, _ATTRIBUTE_TYPE_INT))


def _vector(name: str) -> bytes:
    """Describe a float32 value of one free dimension."""
    length = write_field(_SHAPE_DIMENSION, write_field(_DIMENSION_NAME, f"{name}.length"))
    tensor = write_field(_TENSOR_ELEMENT, _FLOAT) + write_field(_TENSOR_SHAPE, length)
    return write_field(_VALUE_NAME, name) + write_field(_VALUE_TYPE, write_field(_TYPE_TENSOR, tensor))


def _axes(name: str, axes: list[int]) -> bytes:
    raw = b"".join(axis.to_bytes(8, "little") for axis in axes)
    tensor = write_field(_TENSOR_DIMENSIONS, len(axes)) + write_field(_TENSOR_DATA_TYPE, _INT64)
    return write_field(_GRAPH_INITIALIZER, tensor + write_field(_TENSOR_NAME, name) + write_field(_TENSOR_RAW, raw))
