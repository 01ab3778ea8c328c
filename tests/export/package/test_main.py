"""The command ``onestroke`` runs the command that its first word names."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from export import commands
from export.commands import COMMANDS, find_module
from export.package import __main__ as program
from export.version import project_version
from tests import ROOT


@pytest.fixture
def stand_in(monkeypatch):
    """Put a module in place of every command's; it does what ``main`` is set to."""
    module = SimpleNamespace(main=lambda words: 0)
    monkeypatch.setattr(program.importlib, "import_module", lambda name: module)
    return module


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_has_a_module_with_a_main(command):
    path = Path(importlib.util.find_spec(find_module(command.module)).origin)
    tree = ast.parse(path.read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert "main" in defined | imported


def test_every_folder_with_a_main_has_a_command():
    folders = {path.parent for name in ("export", "train") for path in (ROOT / name).rglob("__main__.py")}
    modules = {".".join(folder.relative_to(ROOT).parts) for folder in folders} - {"export.package"}
    assert modules <= {command.module for command in COMMANDS.values()}


def test_the_words_after_the_first_reach_the_command(stand_in):
    seen = []
    stand_in.main = lambda words: seen.append(words) or 3
    assert program.main(["slow", "--help", "--content", "photo.jpg"]) == 3
    assert seen == [["--help", "--content", "photo.jpg"]]


def test_a_command_goes_by_its_former_name_too(stand_in, monkeypatch):
    asked = []
    monkeypatch.setattr(program, "find_module", lambda module: asked.append(module) or module)
    assert program.main(["gallery", "--help"]) == program.main(["sheet", "--help"]) == 0
    assert asked == ["export.sheet", "export.sheet"]


def test_a_missing_extra_is_one_sentence(stand_in, capsys):
    def fail(words):
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    stand_in.main = fail
    assert program.main(["train", "fit"]) == 2
    expected = "error: 'onestroke train' needs torch, which is not installed; run pip install \"onestroke[train]\"\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(("word", "missing"), [("train", "train.nothing"), ("stylize", "numpy")])
def test_a_module_missing_by_our_own_fault_keeps_its_traceback(stand_in, word, missing):
    def fail(words):
        raise ModuleNotFoundError(name=missing)

    stand_in.main = fail
    with pytest.raises(ModuleNotFoundError):
        program.main([word])


def test_an_unknown_word_is_one_sentence_that_lists_the_commands(capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["stylise"])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "stylize" in said


def test_no_word_at_all_prints_the_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        program.main([])
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)


def test_the_version_is_the_projects(capsys):
    with pytest.raises(SystemExit, match="0"):
        program.main(["--version"])
    assert capsys.readouterr().out == f"onestroke {project_version()}\n"


def test_an_installed_package_finds_its_commands_within_itself(monkeypatch):
    monkeypatch.setattr(commands, "_ROOT", "onestroke.")
    asked = []
    monkeypatch.setattr(commands.importlib.util, "find_spec", asked.append)
    assert commands.find_module("export.styles") == "onestroke.export.styles"
    assert asked == ["onestroke.export.styles"]
    assert commands.spell("styles") == "onestroke styles"


def test_help_and_public_names_need_no_torch():
    script = (
        "import sys; import export.package, export.package.__main__ as program\n"
        "try: program.main(['--help'])\nexcept SystemExit: pass\n"
        "print('loaded', {'torch', 'onnx', 'pytorch_lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded set()"
