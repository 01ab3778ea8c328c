"""The benchmark tells latency, memory and load time of any variant, and explains a mistake in one sentence."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.benchmark import measure as benchmark
from export.benchmark import trial
from export.benchmark.measure import Measurement, find_models, main, measure_model
from export.errors import ModelError
from export.styles import find_style
from tests import ROOT
from tests.export.small_export import export_style, make_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_style(tmp_path_factory.mktemp("run") / "wave.onnx", make_network())


def write(path, kind=TensorProto.FLOAT, shape=("n", 3, "h", "w"), planes=1):
    """Write a model that repeats a picture ``planes`` times and gives the first."""
    path.parent.mkdir(exist_ok=True)
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("image", "stylized")]
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Tile", ["real", "repeats"], ["many"]),
        helper.make_node("Slice", ["many", "start", "end"], ["first"]),
        helper.make_node("Cast", ["first"], ["stylized"], to=kind),
    ]
    constants = [
        numpy_helper.from_array(np.array(values, np.int64), name)
        for name, values in (("repeats", [planes] + [1] * (len(shape) - 1)), ("start", [0]), ("end", [1]))
    ]
    graph = helper.make_graph(nodes, "first", values[:1], values[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def test_every_size_is_measured_in_order_and_larger_ones_take_more(model):
    small, large = measure_model(model, (192, 48), threads=1, runs=3)[::-1]
    assert (small.side, large.side) == (48, 192)
    assert 0 < 2 * small.latency_ms < large.latency_ms
    assert 0 < small.peak_memory_mb < large.peak_memory_mb
    assert small.load_ms > 1


@pytest.mark.parametrize("planes", [8, 32])
def test_peak_memory_is_what_the_graph_allocates(tmp_path, planes):
    (found,) = measure_model(write(tmp_path / "first.onnx", planes=planes), (512,), threads=1, runs=1)
    expected = 4 * 3 * 512 * 512 * planes / 1e6
    # The arena may keep what the run before used, and beside it are the picture as bytes and as numbers.
    assert expected <= found.peak_memory_mb <= 2 * expected + 30


def test_memory_held_by_the_caller_does_not_count(tmp_path):
    ballast = np.ones(20_000_000)
    (found,) = measure_model(write(tmp_path / "first.onnx"), (16,), threads=1, runs=1)
    assert ballast.nbytes / 1e6 > 10 * found.peak_memory_mb


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (TensorProto.FLOAT16, ("n", 3, "h", "w")),
        (TensorProto.UINT8, (1, "h", "w", 3)),
        (TensorProto.UINT8, ("n", "h", "w", 3)),
    ],
)
def test_other_types_and_layouts_are_fed_as_they_ask(tmp_path, kind, shape):
    found = measure_model(write(tmp_path / "other.onnx", kind, shape), (32, 64), threads=1, runs=1)
    assert [one.side for one in found] == [32, 64]


@pytest.mark.parametrize(("kind", "shape"), [(TensorProto.FLOAT, (1, 3, 40, 56)), (TensorProto.UINT8, (1, 56, 40, 3))])
def test_file_of_a_fixed_size_is_measured_at_that_size_once(tmp_path, kind, shape):
    assert [one.side for one in measure_model(write(tmp_path / "fixed.onnx", kind, shape), (32, 64), 1, 1)] == [56]


def test_latency_is_the_median_of_runs_after_the_warm_up(model, monkeypatch):
    times = iter([900.0, 0.1, 5.0, 1.0, 3.0])
    monkeypatch.setattr(trial, "_run", lambda *_: next(times))
    found = trial.measure(model, 16, 1, 3)
    assert (found["latency_ms"], found["fastest_ms"]) == (3, 1)


def test_progress_is_told_after_every_measurement(tmp_path):
    ticks = []
    measure_model(write(tmp_path / "first.onnx"), (16, 32), 1, 1, lambda: ticks.append(1))
    assert len(ticks) == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [({"sides": ()}, "at least one"), ({"sides": (8,)}, "16"), ({"threads": 0}, "threads 0"), ({"runs": 0}, "runs")],
)
def test_numbers_out_of_range_are_refused(model, options, match):
    with pytest.raises(ValueError, match=match):
        measure_model(model, **options)


@pytest.mark.parametrize("shape", [("n", 4, "h", "w"), (3, "h", "w")])
def test_model_that_takes_no_picture_is_refused_by_what_was_found(tmp_path, shape):
    with pytest.raises(ModelError, match=r"tensor\(float\).*must take one picture"):
        measure_model(write(tmp_path / "other.onnx", shape=shape), (16,), 1, 1)


def test_process_that_dies_is_reported(model, monkeypatch):
    dead = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: dead)
    with pytest.raises(ModelError, match=r"exit code -9.*smaller --sizes"):
        measure_model(model, (16,))


def test_folders_are_searched_and_files_listed_once(tmp_path):
    b, a = write(tmp_path / "wave" / "b.onnx"), write(tmp_path / "wave" / "a.onnx")
    (tmp_path / "wave" / "manifest.json").write_text("{}")
    assert find_models([b, tmp_path / "wave"]) == [b, a]


def test_ready_styles_are_measured_by_their_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    measured = []
    monkeypatch.setattr(
        benchmark, "measure_model", lambda path, *_: measured.append(path) or [Measurement(16, 1.0, 1.0, 1.0, 1.0)]
    )
    assert main(["wave_nano", str(write(tmp_path / "own.onnx"))]) == 0
    assert measured == [find_style("wave_nano"), tmp_path / "own.onnx"]


def test_command_prints_a_table_and_writes_the_same_figures_as_json(tmp_path, capsys, monkeypatch):
    measured = {"a.onnx": [Measurement(16, 1.25, 2.5, 3.75, 1.0)], "b.onnx": [Measurement(32, 10.5, 20.5, 30.5, 10.0)]}
    monkeypatch.setattr(benchmark, "measure_model", lambda path, *_: measured[path.name])
    for name in measured:
        write(tmp_path / name)
    report = tmp_path / "figures.json"
    assert main([str(tmp_path), "--sizes", "16", "32", "--threads", "1", "--runs", "4", "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "MB", "side", "latency", "ms", "peak", "MB", "load", "ms"]
    assert [line.split()[2:] for line in lines[1:3]] == [["16", "1.2", "2.5", "3.8"], ["32", "10.5", "20.5", "30.5"]]
    assert lines[3].startswith("median of 4 runs, 1 of ")
    found = json.loads(report.read_text())
    assert (found["threads"], found["runs"]) == (1, 4)
    assert found["processor"]
    assert found["versions"]["onnxruntime"] == onnxruntime.__version__
    assert [one["measurements"] for one in found["models"]] == [
        [asdict(one) for one in ones] for ones in measured.values()
    ]
    assert [one["bytes"] for one in found["models"]] == [(tmp_path / name).stat().st_size for name in measured]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.onnx"], "does not exist"),
        (["empty"], "holds no .onnx file"),
        (["letter.onnx"], "not an ONNX file that runs here"),
        (["first.onnx", "--json", "figures.json"], "--overwrite"),
        (["first.onnx", "--json", "first.onnx", "--overwrite"], "is also an input"),
        (["first.onnx", "--json", "absent/figures.json"], "create it"),
        (["first.onnx", "--json", "empty"], "is a folder"),
        (["first.onnx", "--json", "/proc/figures.json"], "cannot be written to"),
        (["first.onnx", "--compare", "absent.json"], "'absent.json' does not exist"),
        (["first.onnx", "--compare", "figures.json"], "does not hold this program's figures"),
        (["first.onnx", "--json", "figures.json", "--compare", "figures.json", "--overwrite"], "is also an input"),
    ],
)
def test_mistake_gets_one_sentence(tmp_path, arguments, sentence, one_error, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "letter.onnx").write_text("Dear sir or madam,\n")
    (tmp_path / "figures.json").write_text("kept")
    write(tmp_path / "first.onnx")
    assert main([*arguments, "--sizes", "16", "--runs", "1", "--threads", "1"]) == 2
    assert sentence in one_error()
    assert (tmp_path / "figures.json").read_text() == "kept"


def test_ctrl_c_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "_try_in_process", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    write(tmp_path / "first.onnx")
    assert main([str(tmp_path), "--json", str(tmp_path / "figures.json")]) == 130
    assert capsys.readouterr().err == "stopped: nothing was written\n"
    assert not (tmp_path / "figures.json").exists()


def test_comparison_tells_what_is_worse_by_text_json_and_exit_code(tmp_path, capsys, monkeypatch):
    write(tmp_path / "first.onnx")
    now = [Measurement(16, 10.0, 20.0, 30.0, 9.0)]
    monkeypatch.setattr(benchmark, "measure_model", lambda *_: now)
    kept, report = tmp_path / "kept.json", tmp_path / "now.json"
    assert main([str(tmp_path), "--json", str(kept)]) == 0
    assert main([str(tmp_path), "--compare", str(kept)]) == 0
    assert "0 figures worse" in capsys.readouterr().out
    now = [Measurement(16, 13.0, 20.0, 30.0, 12.0)]
    assert main([str(tmp_path), "--compare", str(kept), "--json", str(report)]) == 1
    assert "worse: first.onnx at 16 pixels, latency: 10.0 to 13.0 ms (+30 %)" in capsys.readouterr().out
    (found,) = json.loads(report.read_text())["changes"]["worse"]
    assert found == {"file": "first.onnx", "side": 16, "figure": "latency_ms", "before": 10.0, "now": 13.0}
    assert main([str(tmp_path), "--compare", str(kept), "--tolerance", "40"]) == 0


def test_benchmark_leaves_torch_out():
    code = "import sys, export.benchmark.measure, export.benchmark.trial; print({'torch', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_installed_package_of_another_name_measures_in_any_folder(model, tmp_path):
    for name in ("data", "export"):
        for path in (ROOT / name).rglob("*.py"):
            copy = tmp_path / "site" / "onestroke" / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(
                re.sub(r"^(\s*from) (data|export|models)\b", r"\1 onestroke.\2", path.read_text(), flags=re.M)
            )
    card = tmp_path / "site" / "onestroke-9.9.dist-info" / "METADATA"
    card.parent.mkdir()
    card.write_text("Metadata-Version: 2.1\nName: onestroke\nVersion: 9.9\n")
    for package in ("onestroke", "export"):
        (tmp_path / "work" / package).mkdir(parents=True)
        (tmp_path / "work" / package / "__init__.py").write_text("raise ImportError('not this one')")
    code = "import sys; from onestroke.export.benchmark.measure import main; sys.exit(main(sys.argv[1:]))"
    arguments = [str(model), "--sizes", "16", "--runs", "1", "--threads", "1"]
    command = [sys.executable, "-P", "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "wave.onnx" in done.stdout
    assert "onestroke 9.9" in done.stdout
