"""ONNX files, mutated in their bytes and in their graph, some with a seal that is valid, and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from data.images import encode, from_array
from export.contract import PREFIX, has_seal, seal
from tests.fuzz.mutations import WORDS, mutate_bytes, nasty_json
from tests.fuzz.trial import Case

OPERATORS = (
    "Identity", "Relu", "Tile", "Expand", "ConstantOfShape", "Range", "Resize", "Pad", "Concat", "MatMul", "Loop", "If",
    "Scan", "Conv", "ConvTranspose", "Transpose", "Reshape", "NonZero", "Shape", "Nonsense", "RandomNormal", "TopK",
)  # fmt: skip
SIZES = (-(2**63), -1, 0, 1, 2, 3, 64, 5000, 100_000, 2**31, 2**40, 2**63 - 1)


def write_inputs(sandbox: Path) -> None:
    """Export the models, and write the photo."""
    from tests.export.small_export import draw, export_style, make_network, write_foreign

    encode(from_array(draw(40, 36)), sandbox / "photo.png")
    export_style(sandbox / "exported" / "wave.onnx", make_network())
    write_foreign(sandbox / "foreign.onnx")


def read_inputs(sandbox: Path) -> Callable[[Random], Case]:
    """Return what writes a mutant and gives the command on it."""
    contents = [(sandbox / name).read_bytes() for name in ("exported/wave.onnx", "foreign.onnx")]

    def make(random: Random) -> Case:
        content = random.choice(contents)
        if random.random() < 0.7:
            content = change_graph(random, content)
        if random.random() < 0.4:
            content = mutate_bytes(random, content, random.choice(contents))
        if has_seal(content) and random.random() < 0.8:
            content = seal(content)
        (sandbox / "mutant.onnx").write_bytes(content)
        if random.random() < 0.05:
            return Case("export.benchmark.measure", ["mutant.onnx", "--sizes", "32", "--runs", "1", "--threads", "1"])
        if random.random() < 0.05:
            shares = "exported/wave.onnx:1,mutant.onnx:1" if random.random() < 0.5 else "mutant.onnx:1,foreign.onnx:1"
            return Case("export.blend.command", [shares, "--output", "mix.onnx"], ("mix.onnx",))
        tile = ["--tile", "64"] if random.random() < 0.2 else []
        words = ["mutant.onnx", "photo.png", "--output", "out.png", "--threads", "1", *tile]
        return Case("export.stylize.command", words, ("out.png",))

    return make


def change_graph(random: Random, content: bytes) -> bytes:
    """Change a few things of a model: constants, nodes, attributes, shapes, metadata, versions."""
    model = onnx.load_from_string(content)
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(CHANGES)(random, model)
    return bytes(model.SerializeToString())


def _change_constant(random: Random, model: Any) -> None:
    if model.graph.initializer:
        constant = random.choice(model.graph.initializer)
        kind = random.randrange(4)
        if kind == 0 and constant.dims:
            constant.dims[random.randrange(len(constant.dims))] = random.choice(SIZES)
        elif kind == 1:
            constant.data_type = random.randrange(25)
        elif kind == 2:
            constant.raw_data = mutate_bytes(random, constant.raw_data)
        else:
            constant.name = random.choice(WORDS)


def _change_node(random: Random, model: Any) -> None:
    if not model.graph.node:
        return
    node = random.choice(model.graph.node)
    kind = random.randrange(5)
    if kind == 0:
        node.op_type = random.choice(OPERATORS)
    elif kind == 1:
        model.graph.node.append(node)
    elif kind == 2:
        model.graph.node.remove(node)
    elif kind == 3 and node.input:
        node.input[random.randrange(len(node.input))] = random.choice(node.output)
    else:
        node.attribute.append(helper.make_attribute(random.choice(("axis", "blocksize", "shape", "to")), 2**31))


def _change_attribute(random: Random, model: Any) -> None:
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    if attributes:
        attribute = random.choice(attributes)
        attribute.i = random.choice(SIZES)
        if attribute.ints:
            attribute.ints[random.randrange(len(attribute.ints))] = random.choice(SIZES)


def _insert_size(random: Random, model: Any) -> None:
    """Let the picture pass an operator that makes values of a size that a constant says."""
    graph = model.graph
    operator = random.choice(("Tile", "Expand", "ConstantOfShape", "Resize", "Pad", "Range"))
    sizes = [random.choice(SIZES[2:]) for _ in range({"Pad": 8}.get(operator, 4))]
    graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "sizes"))
    graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.float32), "scales"))
    inputs = {
        "ConstantOfShape": ["sizes"],
        "Range": ["sizes", "sizes", "sizes"],
        "Resize": ["image", "", "scales"],
    }
    nodes = [
        helper.make_node(operator, inputs.get(operator, ["image", "sizes"]), ["made"]),
        helper.make_node("ReduceMax", ["made"], ["most"], keepdims=0),
        helper.make_node("Add", ["image", "most"], ["passed"]),
    ]
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == "image":
                node.input[index] = "passed"
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _insert_loop(random: Random, model: Any) -> None:
    """Let a constant pass a loop of many rounds, or without end."""
    scalar = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("round", 7), ("going", 9))]
    value = helper.make_tensor_value_info("before", 1, None)
    after = [helper.make_tensor_value_info("on", 9, []), helper.make_tensor_value_info("after", 1, None)]
    double = random.random() < 0.5
    body = [
        helper.make_node("Identity", ["going"], ["on"]),
        helper.make_node("Concat", ["before"] * (2 if double else 1), ["after"], axis=0),
    ]
    loop = helper.make_graph(body, "loop", [*scalar, value], after)
    rounds = random.choice((1, 40, 10**6, 2**62))
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array(rounds, np.int64), "rounds"))
    graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "seed"))
    graph.node.insert(0, helper.make_node("Loop", ["rounds", "always", "seed"], ["looped"], body=loop))
    graph.node.insert(1, helper.make_node("ReduceMax", ["looped"], ["peak"], keepdims=0))
    graph.node.insert(2, helper.make_node("Add", ["image", "peak"], ["raised"]))
    for node in list(graph.node)[3:]:
        for index, name in enumerate(node.input):
            if name == "image":
                node.input[index] = "raised"


def _change_shape(random: Random, model: Any) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    shape = value.type.tensor_type.shape
    if shape.dim:
        dim = random.choice(shape.dim)
        dim.ClearField("dim_param")
        dim.dim_value = random.choice(SIZES)
    if random.random() < 0.2:
        value.type.tensor_type.elem_type = random.randrange(20)


def _change_metadata(random: Random, model: Any) -> None:
    entries = list(model.metadata_props)[:-1]
    if entries:
        entry = random.choice(entries)
        entry.value = nasty_json(random) if random.random() < 0.6 else random.choice((*WORDS, "9" * 5000))
    else:
        model.metadata_props.add(key=PREFIX + random.choice(("style", "format")), value=random.choice(WORDS))


def _change_versions(random: Random, model: Any) -> None:
    model.ir_version = random.choice((0, 3, 8, 99, 2**31))
    model.opset_import[0].version = random.choice((0, 1, 7, 13, 18, 99))


CHANGES = (
    _change_constant,
    _change_node,
    _change_attribute,
    _insert_size,
    _insert_loop,
    _change_shape,
    _change_metadata,
    _change_versions,
)
