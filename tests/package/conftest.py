"""The wheel, built once from a copy of the checkout, and an environment in which nothing else is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from export.package.requirements import list_requirements
from tests import ROOT

IN_PACKAGE = ("data", "models", "export", "train", "configs")
BESIDE = ("pyproject.toml", ".gitignore", "README.md", "LICENSE")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel.

    Args:
        python: Its interpreter.
        packages: Its ``site-packages``.
    """

    python: Path
    packages: Path

    def run(self, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run ``python`` with these words, without the checkout on its path."""
        command = [str(self.python), *map(str, words)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a wheel is made of, as a fresh clone has it."""
    folder = tmp_path_factory.mktemp("package") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.tmp")
    for name in (*IN_PACKAGE, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in BESIDE:
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(folder: Path, output: Path, target: str) -> Path:
    """Build ``wheel`` or ``sdist`` from a folder, without an index; return the file."""
    pytest.importorskip("hatchling", reason="the package is built with hatchling; pip install hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(output)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = output.iterdir()
    return built


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return build(checkout, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel, and what it requires, into an empty environment."""
    folder = tmp_path_factory.mktemp("environment")
    # The tests' own pip installs there: a pip of its own, and compiling what few commands import, would take longer.
    venv.create(folder)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    pip += ["install", "--quiet", "--no-compile"]
    fetched = subprocess.run([*pip, *list_requirements([])], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(f"the package index cannot be had: {fetched.stderr.strip().splitlines()[-1]}")
    # Everything that the wheel requires is there by now, or else its metadata asks for more than the project says.
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    return Installed(python, Path(packages))
