"""An exported graph rewritten for tiles: one that measures its norms' statistics, and one that is given them.

Instance norm takes its statistics from the whole picture, which a tile does not hold. With mean and variance given,
instance norm is batch norm as it is used after training (Ioffe and Szegedy 2015, algorithm 2), so each
InstanceNormalization becomes a BatchNormalization with the same scale, bias and epsilon and two more inputs. The
serialized model is edited, not built anew: whatever else the graph holds stays as it is, and every file that was ever
exported can be cut.

A network that adds noise to the image repeats a tile of it from the picture's upper left corner on. A tile of the
picture begins elsewhere, so the noise becomes an input, too, and the caller cuts it out of the file's own tile.

The package ``onnx`` would do for the editing, but takes as much room as ONNX Runtime itself and is not otherwise needed
to run a style; graphs for tiles that the exporter writes would make every file larger and leave out those that exist.
Protobuf, which ONNX Runtime depends on, needs no more than ``onnx_messages``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from export.contract import NOISE, NOISE_STEP, NOISE_TILE
from export.runtime.onnx_messages import FLOAT, INT64, AttributeProto, ModelProto, NodeProto, TensorProto

SMALLEST_OPSET = 18
"""From here on, reductions take their axes as an input."""

_PIXELS, _PICTURES, _ALL = "tiles.pixels", "tiles.pictures", "tiles.all"
_AXES = {_PIXELS: [2, 3], _PICTURES: [0], _ALL: [0, 2, 3]}


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
        noise: What the noise repeats, in levels of 255, shape (S, S): both models have the further input ``noise``,
            float32, shape (N, 1, H, W). None for a network without noise, which has no such input.
    """

    statistics: bytes
    tiles: bytes
    names: list[str]
    noise: npt.NDArray[np.float32] | None


def rewrite_for_tiles(content: bytes) -> TileGraphs:
    """Rewrite a serialized ONNX model.

    Args:
        content: A model of opset 18 or newer with instance norms as nodes of its graph.

    Raises:
        TileGraphError: If it is older, holds no InstanceNormalization or one of another type, or is not an ONNX model.
    """
    model: Any = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise TileGraphError(f"it is not a serialized ONNX model: {error}") from error
    opset = next((found.version for found in model.opset_import if found.domain in {"", "ai.onnx"}), 0)
    norms = [node for node in model.graph.node if node.op_type == "InstanceNormalization"]
    if opset < SMALLEST_OPSET or not norms:
        raise TileGraphError(f"it has opset {opset} and {len(norms)} InstanceNormalization nodes")
    types = {constant.name: constant.data_type for constant in model.graph.initializer}
    # Scales that are computed from a strength come through a Cast where norms compute in float16.
    types |= {node.output[0]: _cast_type(node) for node in model.graph.node if node.op_type == "Cast"}
    if any(types.get(norm.input[1], FLOAT) != FLOAT for norm in norms):
        raise TileGraphError("its norms compute in another type than float32")
    names = [name for norm in norms for name in _statistics(norm)]
    # The seal and the metadata describe the exported file, not these graphs.
    del model.metadata_props[:]
    noise = _take_noise(model.graph)
    return TileGraphs(_measure_statistics(model, names), _take_statistics(model, names), names, noise)


def _cast_type(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "to"), FLOAT)


def _take_noise(graph: Any) -> npt.NDArray[np.float32] | None:
    """Make the noise an input in place of what computes it; return the tile that it repeats, if there is noise."""
    if not any(node.output[0] == NOISE for node in graph.node):
        return None
    constants = {constant.name: constant for constant in graph.initializer}
    try:
        tile, step = constants[NOISE_TILE], constants[NOISE_STEP]
        levels = np.frombuffer(tile.raw_data, np.int8).reshape(tile.dims[2:])
        (size,) = np.frombuffer(step.raw_data, "<f4")
    except (KeyError, ValueError) as error:
        raise TileGraphError(f"its noise cannot be read ({error})") from error
    _replace(graph.node, [node for node in graph.node if not _makes_noise(node.name)])
    _replace(graph.initializer, [constant for constant in graph.initializer if not _makes_noise(constant.name)])
    _describe(graph.input.add(), NOISE, ["batch", 1, "height", "width"])
    noise: npt.NDArray[np.float32] = levels * size
    return noise


def _makes_noise(name: str) -> bool:
    return name == NOISE or name.startswith(f"{NOISE}.")


def _measure_statistics(model: Any, names: Iterable[str]) -> bytes:
    measuring = _copy(model)
    graph = measuring.graph
    nodes: list[Message] = []
    for node in model.graph.node:
        if node.op_type == "InstanceNormalization":
            nodes += _measure(node)
        nodes.append(_with_given_statistics(node))
    _replace(graph.node, nodes)
    graph.initializer.extend(_axes(name, axes) for name, axes in _AXES.items())
    # Without the picture among its outputs, ONNX Runtime leaves out what follows the last norm.
    del graph.output[:]
    for name in names:
        _describe_vector(graph.output.add(), name)
    return bytes(measuring.SerializeToString())


def _take_statistics(model: Any, names: Iterable[str]) -> bytes:
    taking = _copy(model)
    _replace(taking.graph.node, [_with_given_statistics(node) for node in model.graph.node])
    for name in names:
        _describe_vector(taking.graph.input.add(), name)
    return bytes(taking.SerializeToString())


def _statistics(norm: Any) -> tuple[str, str]:
    """Name a norm's mean and variance after its output, which is unique."""
    return f"{norm.output[0]}.tiles.mean", f"{norm.output[0]}.tiles.variance"


def _with_given_statistics(node: Any) -> Any:
    """Turn an instance norm into a norm with mean and variance as further inputs; return other nodes as they are."""
    if node.op_type != "InstanceNormalization":
        return node
    norm = _copy(node)
    norm.op_type = "BatchNormalization"
    norm.input.extend(_statistics(node))
    return norm


def _measure(norm: Any) -> list[Message]:
    """Compute mean and variance of the norm's input, in two steps, so that none is a difference of large sums."""
    features, (mean, variance) = norm.input[0], _statistics(norm)
    own_mean, pooled_mean, centered, squared, own_variance = (
        f"{norm.output[0]}.tiles.{part}" for part in ("own_mean", "pooled_mean", "centered", "squared", "own_variance")
    )
    return [
        _node("ReduceMean", [features, _PIXELS], own_mean),
        _node("ReduceMean", [own_mean, _PICTURES], pooled_mean),
        _node("ReduceMean", [pooled_mean, _ALL], mean, keepdims=0),
        _node("Sub", [features, pooled_mean], centered),
        _node("Mul", [centered, centered], squared),
        _node("ReduceMean", [squared, _PIXELS], own_variance, keepdims=0),
        _node("ReduceMean", [own_variance, _PICTURES], variance, keepdims=0),
    ]


def _node(operator: str, inputs: Iterable[str], output: str, **attributes: int) -> Any:
    node = NodeProto(op_type=operator, input=list(inputs), output=[output], name=output)
    node.attribute.extend(AttributeProto(name=key, i=value, type=2) for key, value in attributes.items())
    return node


def _axes(name: str, axes: list[int]) -> Message:
    return TensorProto(name=name, data_type=INT64, dims=[len(axes)], int64_data=axes)


def _describe_vector(value: Any, name: str) -> None:
    """Describe a float32 value of one free dimension."""
    _describe(value, name, [f"{name}.length"])


def _describe(value: Any, name: str, shape: Iterable[str | int]) -> None:
    """Describe a float32 value; names stand for free dimensions."""
    value.name = name
    value.type.tensor_type.elem_type = FLOAT
    for length in shape:
        key = "dim_param" if isinstance(length, str) else "dim_value"
        value.type.tensor_type.shape.dim.add(**{key: length})


def _copy(message: Any) -> Any:
    twin = type(message)()
    twin.CopyFrom(message)
    return twin


def _replace(values: Any, others: Iterable[Message]) -> None:
    del values[:]
    values.extend(others)
