"""Figures are compared with earlier ones of the same file and size, and what is worse is told apart from noise."""

import json
from dataclasses import asdict

import pytest

from export.benchmark.changes import find_changes, read_figures
from export.benchmark.conditions import describe_conditions
from export.errors import ExportError


def measure(side=256, latency=100.0, memory=50.0, load=60.0, fastest=95.0):
    return {"side": side, "latency_ms": latency, "peak_memory_mb": memory, "load_ms": load, "fastest_ms": fastest}


def report(*measurements, path="wave/style.onnx", **conditions):
    models = [{"path": path, "bytes": 1, "measurements": list(measurements)}]
    return asdict(describe_conditions(1, 10)) | conditions | {"models": models}


def compare(before, now, **options):
    return find_changes(report(before), report(now), "earlier.json", **options)


def test_same_figures_under_the_same_conditions_have_no_changes():
    found = compare(measure(), measure())
    assert (found.compared, found.worse, found.better, found.missing, found.conditions) == (1, [], [], [], [])


@pytest.mark.parametrize(
    ("now", "figure"),
    [
        ({"latency": 120.0, "fastest": 110.0}, "latency_ms"),
        ({"memory": 60.0}, "peak_memory_mb"),
        ({"load": 90.0}, "load_ms"),
    ],
)
def test_rise_is_worse_and_its_reverse_is_better(now, figure):
    risen, fallen = compare(measure(), measure(**now)), compare(measure(**now), measure())
    assert [change.figure for change in risen.worse] == [change.figure for change in fallen.better] == [figure]
    assert not risen.better
    assert not fallen.worse


@pytest.mark.parametrize(
    "now",
    [
        # Something else took the processor in half of the runs.
        {"latency": 150.0},
        {"latency": 109.0, "fastest": 104.0},
        {"memory": 53.9},
        {"load": 79.0},
    ],
)
def test_noise_is_not_told(now):
    assert compare(measure(), measure(**now)).worse == []
    assert compare(measure(**now), measure()).better == []


def test_tolerance_is_what_decides():
    now = measure(latency=120.0, fastest=115.0)
    assert len(compare(measure(), now, tolerance_percent=15).worse) == 1
    assert compare(measure(), now, tolerance_percent=25).worse == []


def test_load_time_is_the_shortest_of_all_sizes_and_told_once():
    before = report(measure(256, load=60), measure(512, load=200))
    now = report(measure(256, load=400), measure(512, load=100))
    (change,) = find_changes(before, now, "earlier.json").worse
    assert (change.side, change.before, change.now) == (None, 60, 100)


def test_file_that_moved_is_found_by_its_name_unless_two_have_it():
    slow = measure(latency=200.0, fastest=190.0)
    moved = report(slow, path="elsewhere/style.onnx")
    assert len(find_changes(report(measure()), moved, "earlier.json").worse) == 1
    twice = report(measure())
    twice["models"] += report(measure(), path="half/style.onnx")["models"]
    found = find_changes(twice, moved, "earlier.json")
    assert (found.compared, found.missing) == (0, ["style.onnx at 256 pixels"])


def test_size_that_was_not_measured_then_is_named():
    found = find_changes(report(measure(256)), report(measure(256), measure(512)), "earlier.json")
    assert (found.compared, found.missing) == (1, ["style.onnx at 512 pixels"])


def test_other_conditions_are_named_and_so_are_those_that_were_not_stated():
    versions = describe_conditions(1, 10).versions
    before = report(measure(), threads=2, instruction_sets=["avx2"], versions=versions | {"onnxruntime": "1.22.0"})
    del before["processor"]
    said = "\n".join(find_changes(before, report(measure(), instruction_sets=("avx2", "avx512f")), "old").conditions)
    assert "processor not stated then" in said
    assert "threads 2 then, 1 now" in said
    assert "instruction sets avx2 then, avx2, avx512f now" in said
    assert "onnxruntime 1.22.0 then" in said
    assert "numpy" not in said


def test_figures_of_version_0_2_are_read_and_compared_by_their_median(tmp_path):
    old = {"onnxruntime": "1.22.0", "machine": "x86_64", "models": report(measure())["models"]}
    del old["models"][0]["measurements"][0]["fastest_ms"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = find_changes(read_figures(tmp_path / "old.json"), report(measure(latency=150.0)), "old.json")
    assert [change.figure for change in found.worse] == ["latency_ms"]


@pytest.mark.parametrize(
    "content",
    [
        "Dear sir or madam",
        "[]",
        "{}",
        '{"models": 3}',
        '{"models": [{"path": 1, "measurements": []}]}',
        json.dumps(report(measure(latency="fast"))),
        json.dumps(report(measure(latency=float("nan")))),
        json.dumps(report({"side": 256})),
        json.dumps(report(measure(side=[256]))),
        "[" * 100_000,
    ],
)
def test_file_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ExportError, match=r"does not hold this program's figures.*--json"):
        read_figures(tmp_path / "other.json")


def test_file_too_large_for_figures_is_not_read(tmp_path):
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(10_000_001)
    with pytest.raises(ExportError, match="larger than figures can be"):
        read_figures(tmp_path / "large.json")
