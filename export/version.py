"""The version of this program, which ``pyproject.toml`` alone states; standard library only."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path


def project_version() -> str:
    """Return the version: a checkout's from its ``pyproject.toml``, an installed package's from its metadata."""
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return importlib.metadata.version("onestroke")
