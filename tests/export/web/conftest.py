"""Two exported styles, and a package that stands for the browser's runtime; tests copy what they change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.graph.targets import choose_form
from export.web import onnxruntime_web
from models.style_file import StyleCard
from tests.export.small_export import add_strength, export_style, make_network


@pytest.fixture(scope="session")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a style named wave."""
    path = tmp_path_factory.mktemp("styles") / "wave" / "style.onnx"
    return export_style(path, make_network(), StyleCard("wave", license="CC0 1.0")).parent


@pytest.fixture(scope="session")
def starry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a style named starry_night, whose strength can be chosen."""
    path = tmp_path_factory.mktemp("styles") / "starry" / "style.onnx"
    network, form = add_strength(make_network(seed=1)), choose_form(None, None, strength=True)
    return export_style(path, network, StyleCard("starry_night", license="CC0 1.0"), form).parent


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package of version 1.2.3 of onnxruntime-web, with a few bytes in place of each file's many."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "dist").mkdir()
    for name in onnxruntime_web._FILES:
        (folder / "dist" / name).write_text(name)
    (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": "1.2.3"}))
    return folder
