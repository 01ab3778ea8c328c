"""Change a finished graph: copies, other nodes, other names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import onnx

Message = TypeVar("Message", onnx.ModelProto, onnx.NodeProto)


def copy_message(message: Message) -> Message:
    """Return an independent copy of a model or a node."""
    twin = type(message)()
    twin.CopyFrom(message)
    return twin


def rename_values(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give values other names wherever a node reads or writes them."""
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.get(name, name)


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give a graph these nodes, of which some may be its own, in place of what it has."""
    kept = [copy_message(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
