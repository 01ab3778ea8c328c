"""A style that changes nothing, so that a painted clip can be compared with the one that came in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.small_export import write_foreign


@pytest.fixture(scope="session")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an ONNX file named ``same`` whose output is its input."""
    return write_foreign(tmp_path_factory.mktemp("model") / "same.onnx")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
