"""A model that takes too much memory or time is refused before it is prepared; others are not held up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.benchmark.measure import measure_model
from export.errors import ModelError
from export.runtime import probe as module
from export.runtime.stylizer import Stylizer
from tests import ROOT
from tests.export.small_export import draw, write_foreign


def write_graph(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray] | None = None) -> Path:
    """Write a model from ``image`` to ``stylized`` of the nodes, as others than this project write them."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 3, "h", "w")) for name in ("image", "stylized")
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "foreign", values[:1], values[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def write_loop(path: Path, rounds: int | None, start: str = "image") -> Path:
    """Write a model that passes its picture, or a constant beside it, through a loop; None for one without end."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("Identity", ["before"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Loop", ["" if rounds is None else "rounds", "always", start], ["looped"], body=body),
        helper.make_node("Add" if start != "image" else "Max", ["looped", "image"], ["stylized"]),
    ]
    constants = {"always": np.array(True), "zero": np.zeros(1, np.float32)}
    return write_graph(path, nodes, constants if rounds is None else constants | {"rounds": np.array(rounds)})


def add_most(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Add the largest of the last node's values to the picture."""
    return [
        *nodes,
        helper.make_node("ReduceMax", nodes[-1].output, ["most"], keepdims=0),
        helper.make_node("Add", ["image", "most"], ["stylized"]),
    ]


HUGE = {
    "constant": (
        add_most(helper.make_node("ConstantOfShape", ["shape"], ["constant"])),
        {"shape": np.array([700, 1000, 1000])},
    ),
    "tile": (
        add_most(helper.make_node("Tile", ["image", "repeats"], ["tiled"])),
        {"repeats": np.array([1, 1, 200, 200])},
    ),
    "product": (
        add_most(helper.make_node("Mul", ["rows", "columns"], ["outer"])),
        {"rows": np.ones((40_000, 1), np.float32), "columns": np.ones((1, 40_000), np.float32)},
    ),
}

MEASURE = """
import resource, sys
from export.errors import ModelError
from export.runtime.stylizer import Stylizer
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Stylizer(sys.argv[1], threads=1)
except ModelError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is in kilobytes on Linux only")
@pytest.mark.parametrize("name", HUGE)
def test_a_value_of_gigabytes_is_never_allocated(tmp_path: Path, name: str):
    path = write_graph(tmp_path / "huge.onnx", *HUGE[name])
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    sentence, peak = done.stdout.splitlines()
    assert "huge.onnx' takes more than 1.0 GB of memory for a picture of 64 x 64 pixels" in sentence
    assert int(peak) < 300_000


@pytest.mark.parametrize("start", ["image", "zero"])
def test_a_loop_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str):
    monkeypatch.setattr(module, "MAX_SECONDS", 0.3)
    path = write_loop(tmp_path / "loop.onnx", None, start)
    for work in (Stylizer, lambda path: measure_model(path, (64,))):
        with pytest.raises(ModelError, match=r"loop\.onnx' takes more than 0\.3 seconds for a picture of 64 x 64"):
            work(path)


def write_functions(path: Path, depth: int) -> Path:
    """Write a model of functions, each of which calls the one before it twice."""
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    nodes = [helper.make_node("Relu", ["a"], ["b"])]
    functions = []
    for index in range(depth):
        functions.append(helper.make_function("own", f"f{index}", ["a"], ["b"], nodes, versions))
        nodes = [
            helper.make_node(f"f{index}", ["a"], ["c"], domain="own"),
            helper.make_node(f"f{index}", ["c"], ["b"], domain="own"),
        ]
    model = onnx.load(write_graph(path, [helper.make_node(f"f{depth - 1}", ["image"], ["stylized"], domain="own")]))
    model.functions.extend(functions)
    model.opset_import.append(versions[1])
    onnx.save(model, path)
    return path


def test_functions_are_counted_as_often_as_they_are_called(tmp_path: Path):
    picture = draw(20, 30)
    np.testing.assert_array_equal(Stylizer(write_functions(tmp_path / "few.onnx", 5))(picture), picture)
    with pytest.raises(ModelError, match=r"many\.onnx' has more than 10,000 nodes, its functions written out"):
        Stylizer(write_functions(tmp_path / "many.onnx", 60))


def test_a_name_of_control_characters_is_not_repeated_raw(tmp_path: Path):
    path = write_graph(tmp_path / "x.onnx", [helper.make_node("Identity", ["\x1b[31mred"], ["stylized"])])
    with pytest.raises(ModelError, match=r"\\x1b\[31mred") as caught:
        Stylizer(path)
    assert str(caught.value).isprintable()


def test_a_loop_that_ends_runs(tmp_path: Path):
    picture = draw(20, 30)
    np.testing.assert_array_equal(Stylizer(write_loop(tmp_path / "loop.onnx", 3))(picture), picture)


def test_a_model_that_fails_on_the_small_picture_alone_runs(tmp_path: Path):
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["deep"], blocksize=10),
        helper.make_node("DepthToSpace", ["deep"], ["stylized"], blocksize=10),
    ]
    path = write_graph(tmp_path / "x.onnx", nodes)
    np.testing.assert_array_equal(Stylizer(path)(draw(20, 30)), draw(20, 30))


def test_a_model_for_one_large_size_is_opened_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_foreign(tmp_path / "x.onnx", shape=(1, 3, 2048, 2048))
    # A run begins with a timer, which would not start.
    monkeypatch.setattr(module.threading, "Timer", None)
    assert Stylizer(path).layout.size == (2048, 2048)
    with pytest.raises(TypeError):
        Stylizer(write_foreign(tmp_path / "y.onnx", shape=(1, 3, 64, 64)))
