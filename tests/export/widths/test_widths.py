"""The table of widths says what the manifests say, and compares only what was measured alike."""

import json
import shutil
import subprocess
import sys

import pytest

from export.widths.table import compare_widths, main
from models.network import NetworkConfig
from models.style_file import StyleCard
from tests import ROOT
from tests.export.small_export import export_folder, make_network


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    network, card = make_network(NetworkConfig(16, 0)), StyleCard("wave_half", steps=1400, held_out_loss=0.81234)
    return export_folder(tmp_path_factory.mktemp("half"), network, card, variants=("float32", "fp16", "u8"))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    network = make_network(NetworkConfig(4, 0))
    return export_folder(tmp_path_factory.mktemp("narrow"), network, StyleCard("tiny"), variants=("float32", "u8"))


def read_table(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(heads, row, strict=True)) for row in rows]


def read(folder):
    return json.loads((folder / "manifest.json").read_text())


def change(folder, copy, **entries):
    shutil.copytree(folder, copy)
    (copy / "manifest.json").write_text(json.dumps(read(folder) | entries))
    return copy


def test_manifest_tells_network_and_held_out_loss(half, narrow):
    found = read(half)
    assert found["network"] == NetworkConfig(16, 0).to_dict()
    assert found["parameters"] == sum(weights.numel() for weights in make_network(NetworkConfig(16, 0)).parameters())
    assert (found["steps"], found["held_out_loss"]) == (1400, 0.81234)
    assert read(narrow)["held_out_loss"] is None


def test_table_says_what_the_manifests_say(half, narrow):
    table = read_table(compare_widths([half, narrow]))
    assert [row["width"] for row in table] == ["`half`, 16", "4"]
    assert [row["style"] for row in table] == ["`wave_half`", "`tiny`"]
    assert [row["held-out loss"] for row in table] == ["0.812", "not known"]
    assert [row["steps"] for row in table] == ["1,400", "0"]
    for row, folder in zip(table, (half, narrow), strict=True):
        manifest = read(folder)
        assert row["parameters"] == f"{manifest['parameters']:,}"
        for entry in manifest["files"]:
            assert row[f"{entry['precision']}, MB"] == f"{entry['bytes'] / 1e6:.2f}"
    assert table[1]["fp16, MB"] == "none"
    assert "int8, MB" not in table[0]


def test_time_and_memory_are_those_of_the_variant_asked_for(half, tmp_path, capsys):
    manifest = read(half)
    for entry, latency in zip(manifest["files"], (1234.5, 7.25, 80), strict=True):
        entry["measurements"] = [{"side": 512, "latency_ms": latency, "peak_memory_mb": 9.96, "load_ms": 1}]
    folder = change(half, tmp_path / "half", files=manifest["files"])
    for variant, file, cell in (
        ("float32", "style.onnx", "1234, 10.0"),
        ("fp16", "style.fp16.onnx", "7.2, 10.0"),
        ("u8", "style.u8.onnx", "80, 10.0"),
    ):
        assert main([str(folder), "--variant", variant]) == 0
        shown = capsys.readouterr().out
        assert read_table(shown)[0]["512 px: ms, MB"] == cell
        assert f"of `{file}` on" in shown


def test_what_cannot_be_compared_is_refused_in_one_sentence(half, narrow, tmp_path, capsys):
    elsewhere = change(half, tmp_path / "elsewhere", machine=read(half)["machine"] | {"cores": 999})
    other = change(half, tmp_path / "other", target="nnapi")
    foreign = change(half, tmp_path / "foreign", format="someone's")
    files = read(half)["files"]
    for entry in files:
        entry["measurements"][0]["side"] = 48
    another_size = change(half, tmp_path / "size", files=files)
    files = read(half)["files"]
    for entry in files:
        entry["input"]["shape"] = ["batch", 3, entry["measurements"][0]["side"], 16]
    narrow_shape = change(half, tmp_path / "shape", files=files)
    for arguments, sentence in (
        ([half, elsewhere], "on another machine than"),
        ([half, other], "for another target than"),
        ([foreign], "holds no manifest.json of this program"),
        ([tmp_path / "absent"], "holds no manifest.json of this program"),
        ([half, another_size], "no size was measured in all of 2 folders"),
        ([half, narrow_shape], "takes pictures of another shape than"),
        ([half, narrow, "--variant", "fp16"], "holds no style.fp16.onnx"),
    ):
        assert main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert sentence in error
        assert error.count("\n") == 1


def test_folder_of_an_earlier_version_is_to_be_exported_again(half, tmp_path, capsys):
    folder = change(half, tmp_path / "old")
    manifest = read(folder)
    del manifest["parameters"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert main([str(folder)]) == 2
    assert "export it again" in capsys.readouterr().err


def test_table_needs_no_torch():
    code = "import sys, export.widths.table; print({'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
