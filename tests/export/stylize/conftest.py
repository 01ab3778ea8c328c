"""A style to repaint with, and a folder to work in."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.network import NetworkConfig
from tests.export.small_export import export_style, make_network


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ONNX file of a style named wave."""
    return export_style(tmp_path_factory.mktemp("run") / "wave.onnx", make_network(NetworkConfig(8, 0)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
