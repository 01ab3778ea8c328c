"""The house is in order: layers, names, sizes, and a README whose commands exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.small_run import ROOT

PACKAGES = ("data", "models", "export", "train")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
README = (ROOT / "README.md").read_text()


def test_imports_point_down_the_layers():
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed; pip install import-linter")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_is_short(path):
    source = path.read_text()
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= 300
    assert path.stem not in {"utils", "helpers", "misc", "manager", "common"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_asserted_of_the_user(path):
    asserts = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert asserts == []


def commands():
    """Find every ``python -m`` line of the README's code blocks."""
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if "python -m " in line and " pip " not in line and "venv" not in line.split()]


def test_readme_has_commands():
    assert len(commands()) >= 5


@pytest.mark.parametrize("line", commands())
def test_readme_commands_have_the_flags_they_show(line):
    words = line.split()
    module = words[words.index("-m") + 1]
    call = [sys.executable, "-m", module] + (["fit"] if "fit" in words else []) + ["--help"]
    shown = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert shown.returncode == 0, shown.stderr
    for word in words:
        if word.startswith("--") and module != "tensorboard.main":
            assert word.split("=")[0] in shown.stdout, f"{word} is no flag of python -m {module}"


def test_readme_make_targets_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert {"demo", "test"} <= shown <= targets


def test_readme_pictures_exist():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
