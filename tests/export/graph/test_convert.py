"""An export is checked before it is kept, says what it is, and is the same every time."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import onnx
import pytest
import torch

from export import __main__ as command
from export.contract import PREFIX, has_seal, is_intact, seal
from export.errors import ExportError
from export.graph import convert as convert_module
from export.graph.convert import CHECKED_SHAPES, convert, draw_pictures
from export.runtime.memory import bytes_per_pixel
from models.errors import ModelFileError
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style

CARD = StyleCard(
    "wave", "CC0", "torchvision VGG19 IMAGENET1K_V1", "seed: 1\nmodel:\n  style: großé Welle\n", "0.1.0", 7, 0.711
)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("run") / "style.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(8, 2)), CARD)
    return path


def test_export_is_compared_with_torch_and_reported(style, tmp_path):
    report = convert(style, tmp_path / "wave.onnx")
    assert 0 <= report.max_difference <= 0.05
    assert report.size_bytes == (tmp_path / "wave.onnx").stat().st_size
    assert report.opset == 18
    assert report.pictures >= 4
    assert list(tmp_path.iterdir()) == [tmp_path / "wave.onnx"]


def test_plain_export_is_another_file_of_the_same_picture(style, tmp_path, capsys):
    assert command.main([str(style), "--output", str(tmp_path / "plain.onnx"), "--plain"]) == 0
    convert(style, tmp_path / "lean.onnx")
    models = [onnx.load(tmp_path / f"{name}.onnx") for name in ("plain", "lean")]
    assert [any(node.op_type == "Resize" for node in model.graph.node) for model in models] == [True, False]
    assert "of 255 from torch" in capsys.readouterr().out


def test_width_32_stays_within_the_tolerance(tmp_path):
    torch.manual_seed(1)
    save_style(tmp_path / "wide.safetensors", StyleNetwork(), CARD)
    assert convert(tmp_path / "wide.safetensors", tmp_path / "wide.onnx").max_difference <= 0.05


def test_checked_pictures_have_odd_sizes_and_a_batch():
    assert (1, 97, 131) in CHECKED_SHAPES
    assert (1, 16, 16) in CHECKED_SHAPES
    assert any(count > 1 for count, _, _ in CHECKED_SHAPES)
    pictures = draw_pictures(2, 97, 131)
    assert pictures.shape == (2, 3, 97, 131)
    assert 0 <= pictures.min() < 50 < 200 < pictures.max() <= 255
    np.testing.assert_array_equal(pictures, draw_pictures(2, 97, 131))


def test_two_exports_of_the_same_weights_are_byte_identical(style, tmp_path):
    shutil.copy(style, tmp_path / "copy.safetensors")
    convert(style, tmp_path / "one.onnx")
    convert(tmp_path / "copy.safetensors", tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_metadata_says_everything_needed_to_train_it_again(style, tmp_path):
    convert(style, tmp_path / "wave.onnx")
    model = onnx.load(tmp_path / "wave.onnx")
    onnx.checker.check_model(model, full_check=True)
    entries = {entry.key.removeprefix(PREFIX): entry.value for entry in model.metadata_props}
    card = asdict(CARD)
    assert entries["style"] == card.pop("name")
    assert {key: entries[key] for key in card} == {key: str(value) for key, value in card.items()}
    assert NetworkConfig(**json.loads(entries["network"])) == NetworkConfig(8, 2)
    assert int(entries["bytes_per_pixel"]) == bytes_per_pixel(8)
    assert json.loads(entries["contract"]) == {
        "input": "image",
        "output": "stylized",
        "dtype": "float32",
        "shape": ["batch", 3, "height", "width"],
        "layout": "NCHW",
        "channels": "RGB",
        "range": [0, 255],
        "smallest_side": 16,
    }
    assert entries["precision"] == "float32"
    assert list(entries)[-1] == "sha256"


def test_seal_fits_only_the_bytes_that_were_exported(style, tmp_path):
    convert(style, tmp_path / "wave.onnx")
    content = (tmp_path / "wave.onnx").read_bytes()
    assert is_intact(content)
    assert not is_intact(bytes([content[0] ^ 1]) + content[1:])
    assert has_seal(content)
    assert not has_seal(content + b"\n")
    assert not has_seal(b"")
    with pytest.raises(ValueError, match="last metadata entry"):
        seal(b"no model")


def test_graph_that_differs_from_torch_is_refused_and_nothing_is_written(style, tmp_path, monkeypatch):
    original = convert_module.build_graph

    def build_wrong(network, form):
        model = original(network, form)
        for constant in model.graph.initializer:
            if constant.name == "norm5.bias":
                constant.raw_data = (onnx.numpy_helper.to_array(constant) + np.float32(0.01)).tobytes()
        return model

    monkeypatch.setattr(convert_module, "build_graph", build_wrong)
    with pytest.raises(ExportError, match=r"differ from torch's by up to .* of 255 where 0.05 is allowed"):
        convert(style, tmp_path / "wave.onnx")
    assert not list(tmp_path.iterdir())


def test_refused_export_leaves_the_old_file_alone(style, tmp_path, monkeypatch):
    (tmp_path / "wave.onnx").write_text("old")
    monkeypatch.setattr(convert_module, "compare", lambda *_: 0.06)
    with pytest.raises(ExportError, match=r"0\.06 of 255"):
        convert(style, tmp_path / "wave.onnx", overwrite=True)
    assert (tmp_path / "wave.onnx").read_text() == "old"


@pytest.mark.parametrize("fault", ["checker", "size", "runtime"])
def test_graph_that_is_no_network_is_refused(style, tmp_path, monkeypatch, fault):
    original = convert_module.build_graph

    def build_wrong(network, form):
        model = original(network, form)
        if fault == "checker":
            model.graph.node[1].op_type = "Padd"
        elif fault == "size":
            next(node for node in model.graph.node if node.name == "crop").input[2] = "crop.start"
        else:
            next(constant for constant in model.graph.initializer if constant.name == "margin4").raw_data = b"\x7f" * 64
        return model

    monkeypatch.setattr(convert_module, "build_graph", build_wrong)
    with pytest.raises(ExportError) as caught:
        convert(style, tmp_path / "wave.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    network = StyleNetwork(NetworkConfig(8, 0))
    torch.nn.init.constant_(network.conv4.bias, float("nan"))
    save_style(tmp_path / "nan.safetensors", network, CARD)
    with pytest.raises(ExportError, match="nan of 255"):
        convert(tmp_path / "nan.safetensors", tmp_path / "nan.onnx")
    assert not (tmp_path / "nan.onnx").exists()


def test_run_folder_stands_for_its_style_file(style, tmp_path):
    convert(style.parent, tmp_path / "folder.onnx")
    convert(style, tmp_path / "file.onnx")
    assert (tmp_path / "folder.onnx").read_bytes() == (tmp_path / "file.onnx").read_bytes()
    with pytest.raises(ExportError, match=r"holds no style\.safetensors"):
        convert(tmp_path, tmp_path / "wave.onnx")


def test_existing_file_is_replaced_only_when_told(style, tmp_path):
    output = tmp_path / "wave.onnx"
    output.write_text("mine")
    with pytest.raises(ExportError, match="--overwrite"):
        convert(style, output)
    assert output.read_text() == "mine"
    convert(style, output, overwrite=True)
    assert is_intact(output.read_bytes())


@pytest.mark.parametrize(
    ("output", "sentence"),
    [("wave.pt", "does not end in .onnx"), ("absent/wave.onnx", "does not exist"), ("folder.onnx", "is a folder")],
)
def test_impossible_output_is_refused_before_the_work(style, tmp_path, output, sentence, monkeypatch):
    (tmp_path / "folder.onnx").mkdir()
    monkeypatch.setattr(convert_module, "load_style", None)
    with pytest.raises(ExportError, match=sentence):
        convert(style, tmp_path / output)


def test_absent_style_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        convert(tmp_path / "absent.safetensors", tmp_path / "wave.onnx")


def test_command_prints_one_summary(style, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main([str(style.parent), "--output", "wave.onnx"]) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for part in ["wave.onnx", f"{(tmp_path / 'wave.onnx').stat().st_size:,} bytes", "opset 18", "of 255"]:
        assert part in line


def test_command_names_the_output_after_the_style(style, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(style.parent, tmp_path / "runs/scream")
    shutil.copy(style, tmp_path / "starry.safetensors")
    assert command.main(["runs/scream"]) == 0
    assert command.main(["starry.safetensors"]) == 0
    assert (tmp_path / "scream.onnx").exists()
    assert (tmp_path / "starry.onnx").exists()


def test_command_explains_a_mistake_in_one_sentence(tmp_path, capsys):
    assert command.main([str(tmp_path / "absent"), "--output", str(tmp_path / "wave.onnx")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])
    assert caught.value.code == 0
    assert "python -m export runs/wave --output wave.onnx" in capsys.readouterr().out
