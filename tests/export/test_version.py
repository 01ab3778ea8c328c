"""The version is stated once, in ``pyproject.toml``."""

import importlib.metadata
import tomllib

from export import version
from tests import ROOT


def test_a_checkout_has_the_version_of_its_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version.project_version() == project["version"]


def test_an_installed_package_has_the_version_of_its_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "__file__", str(tmp_path / "onestroke" / "export" / "version.py"))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{name} 9")
    assert version.project_version() == "onestroke 9"
