"""The conditions of a measurement are read from what Linux says of x86 and ARM processors."""

import pytest

from export.benchmark import conditions
from export.benchmark.conditions import describe_conditions, read_instruction_sets, read_processor

X86 = "processor\t: 0\nmodel name\t: Fast CPU 9000\nflags\t\t: fpu sse4_1 avx avx2 made_up\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd crc32 asimddp\n\n"


@pytest.fixture
def write_information(tmp_path, monkeypatch):
    monkeypatch.setattr(conditions, "CPU_INFORMATION", tmp_path / "cpuinfo")
    return (tmp_path / "cpuinfo").write_text


def test_instruction_sets_are_those_that_kernels_are_written_for(write_information):
    write_information(X86)
    assert (read_processor(), read_instruction_sets()) == ("Fast CPU 9000", ("sse4_1", "avx", "avx2"))
    write_information(ARM)
    assert read_instruction_sets() == ("asimd", "asimddp")


def test_processor_without_a_name_is_told_by_its_architecture(write_information, monkeypatch):
    write_information(ARM)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert read_processor() == "aarch64"


def test_system_that_tells_nothing_has_no_instruction_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(conditions, "CPU_INFORMATION", tmp_path / "absent")
    assert read_instruction_sets() == ()
    assert read_processor()


def test_sentence_states_runs_threads_and_versions():
    said = str(describe_conditions(1, 7))
    assert said.startswith("median of 7 runs, 1 of ")
    assert all(f"{name} " in said for name in ("onestroke", "onnxruntime", "numpy", "python"))
