"""A delegate gets a graph that it takes whole, and whoever asks for the impossible is told what to type."""

import re
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.capi import _pybind_state
from onnxruntime.tools.ort_format_model import OperatorTypeUsageManager, OrtFormatModelProcessor
from onnxruntime.tools.reduced_build_config_parser import parse_config

from export import __main__ as command
from export.errors import ExportError, ModelError
from export.graph.convert import convert, draw_pictures, stylize_in_torch
from export.graph.mobile import OPERATORS, convert_to_ort, count_partitions, find_missing_kernels
from export.graph.network import build_graph
from export.graph.targets import LEAN, PLAIN, TARGETS, Form, choose_form
from export.runtime.stylizer import Stylizer
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style
from tests.export.small_export import export_folder, make_network

SIZE = (32, 48)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return StyleNetwork(NetworkConfig(8, 2)).eval()


@pytest.fixture(scope="module")
def style(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "style.safetensors"
    save_style(path, network, StyleCard("wave", "CC0"))
    return path


def write(folder, network, form):
    onnx.save(build_graph(network, form), folder / "part.onnx")
    return folder / "part.onnx"


@pytest.mark.parametrize("target", ["coreml", "nnapi"])
def test_phones_delegates_take_their_graph_in_one_piece(network, tmp_path, target):
    found = count_partitions(write(tmp_path, network, choose_form(target, SIZE)))[target]
    assert found["partitions"] == 1
    assert found["nodes"] == found["of"]


def test_checker_counts_the_pieces_of_the_plain_graph(network, tmp_path):
    found = count_partitions(write(tmp_path, network, PLAIN))
    assert min(found["nnapi"]["partitions"], found["coreml"]["partitions"]) > 5


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
@pytest.mark.parametrize("target", ["coreml", "nnapi", "qnn"])
def test_fixed_graph_gives_torchs_picture(tmp_path, padding, target):
    torch.manual_seed(1)
    network = StyleNetwork(NetworkConfig(8, 1, padding)).eval()
    model = build_graph(network, choose_form(target, SIZE))
    model.ClearField("producer_name")
    onnx.checker.check_model(model, full_check=True)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 3, *SIZE]
    onnx.save(model, tmp_path / "fixed.onnx")
    picture = draw_pictures(1, *SIZE)
    found = Stylizer(tmp_path / "fixed.onnx", threads=1)(picture[0].transpose(1, 2, 0).astype(np.uint8))
    assert np.abs(found.transpose(2, 0, 1) - stylize_in_torch(network, picture)[0]).max() <= 0.52


def test_fixed_file_is_exported_checked_and_takes_its_size_alone(style, tmp_path):
    output = tmp_path / "fixed.onnx"
    assert command.main([str(style), "--output", str(output), "--size", "48x32"]) == 0
    stylizer = Stylizer(output, threads=1)
    assert stylizer(np.zeros((32, 48, 3), np.uint8)).shape == (32, 48, 3)
    with pytest.raises(ModelError, match="only pictures of 48 x 32 pixels, and this one has 32 x 48") as caught:
        stylizer(np.zeros((48, 32, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_every_target_of_the_command_is_known():
    assert set(command.TARGETS) == set(TARGETS)
    assert choose_form(None, None) == choose_form("cpu", None) == choose_form("web", None) == LEAN
    assert choose_form(None, (32, 32), plain=True) == Form(lean=False, size=(32, 32))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "nnapi"], "add --size"),
        (["--target", "nnapi", "--size", "32x32", "--plain"], "exclude each other"),
        (["--size", "30x32"], "multiples of 4"),
        (["--size", "8x32"], "from 16 up"),
    ],
)
def test_impossible_demands_get_one_sentence(style, tmp_path, arguments, sentence, capsys):
    assert command.main([str(style), "--output", str(tmp_path / "a.onnx"), *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--size", "big"], ["--ort"], ["--photos", "p"], ["--variants", "u8,u9"]])
def test_mistyped_flags_are_refused(style, arguments):
    with pytest.raises(SystemExit) as caught:
        command.main([str(style), *arguments])
    assert caught.value.code == 2


def test_unfit_sizes_are_refused_by_the_function_too():
    with pytest.raises(ExportError, match="512x512"):
        choose_form("coreml", None)


def test_ort_format_comes_with_the_operators_that_it_needs(style, tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        convert(style, folder / "style.onnx")
    paths = convert_to_ort([tmp_path / "one" / "style.onnx"], tmp_path / "one")
    assert [path.name for path in paths] == ["style.ort", OPERATORS]
    config = paths[1].read_text()
    assert "Conv" in config
    assert "style.ort" in config
    assert re.search(r'^ai\.onnx;18;Pad\{"inputs": \{"0": \["float"\]\}\}$', config, re.MULTILINE)
    assert str(tmp_path) not in config
    again = convert_to_ort([tmp_path / "two" / "style.onnx"], tmp_path / "two")
    assert again[1].read_text() == config
    with pytest.raises(ModelError, match=r"is in ORT format.*name the one beside it"):
        Stylizer(paths[0])
    picture = draw_pictures(1, 20, 33)
    pictures = [
        onnxruntime.InferenceSession((tmp_path / "one" / name).read_bytes()).run(None, {"image": picture})[0]
        for name in ("style.ort", "style.onnx")
    ]
    np.testing.assert_allclose(*pictures, atol=0.01)


@pytest.fixture(scope="module")
def in_ort_format(tmp_path_factory):
    """Every variant in ORT format, and the list of what they need."""
    folder = tmp_path_factory.mktemp("ort")
    exported = export_folder(folder, make_network(), ort=True)
    return sorted(exported.glob("*.ort")), exported / OPERATORS


@pytest.mark.slow
def test_runtime_has_a_kernel_for_every_operator_and_type_of_every_variant(in_ort_format):
    models, _ = in_ort_format
    assert {model.stem for model in models} == {"style", "style.u8", "style.int8"}
    assert find_missing_kernels(models) == []


@pytest.mark.slow
def test_reduced_build_of_the_list_keeps_every_operator_and_type_of_every_variant(in_ort_format):
    models, config = in_ort_format
    kept, types = parse_config(str(config), enable_type_reduction=True)
    used, usage = {}, OperatorTypeUsageManager()
    for model in models:
        OrtFormatModelProcessor(str(model), used, usage).process()
    assert kept == used
    lines = types.get_cpp_entries()
    assert lines == usage.make_op_type_impl_filter().get_cpp_entries()
    assert any("Conv, Input, 0, float)" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda kernel: None, "ai.onnx 18 Pad"),
        (lambda kernel: SimpleNamespace(**kernel | {"version_range": (19, 2**31 - 1)}), "ai.onnx 18 Pad"),
        # A kernel for every later version serves only as long as the operator stays the same.
        (lambda kernel: SimpleNamespace(**kernel | {"version_range": (13, 2**31 - 1)}), "ai.onnx 18 Pad"),
        (
            lambda kernel: SimpleNamespace(**kernel | {"type_constraints": {"T": ["tensor(double)"]}}),
            "ai.onnx 18 Pad (float)",
        ),
    ],
)
def test_kernel_that_the_runtime_lacks_is_named(in_ort_format, monkeypatch, change, missing):
    fields = ("domain", "op_name", "version_range", "type_constraints")
    found = [{name: getattr(kernel, name) for name in fields} for kernel in _pybind_state.get_all_opkernel_def()]
    kernels = [
        change(one) if (one["domain"], one["op_name"]) == ("", "Pad") else SimpleNamespace(**one) for one in found
    ]
    monkeypatch.setattr(_pybind_state, "get_all_opkernel_def", lambda: list(filter(None, kernels)))
    assert find_missing_kernels(in_ort_format[0]) == [missing]


def test_file_that_no_build_runs_is_refused(style, tmp_path, monkeypatch):
    convert(style, tmp_path / "style.onnx")
    monkeypatch.setattr("export.graph.mobile.find_missing_kernels", lambda _: ["ai.onnx 18 Pad"])
    with pytest.raises(ExportError, match=r"no kernel for ai.onnx 18 Pad.*leave out --ort"):
        convert_to_ort([tmp_path / "style.onnx"], tmp_path)
