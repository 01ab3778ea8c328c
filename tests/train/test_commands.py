"""All commands of the folder are listed, and their help does not wait for torch."""

import ast
import subprocess
import sys

import pytest

from tests.errors import one_error
from tests.train.small_run import ROOT
from train.__main__ import COMMANDS, main


def test_every_command_is_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == listed
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_with_a_main(name):
    path = ROOT.joinpath("train", *COMMANDS[name][0].removeprefix(".").split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text())
    assert "main" in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_unknown_command_is_refused_with_the_known_ones(capsys):
    assert main(["paint"]) == 2
    assert "'paint' is not a command of python -m train; choose one of fit," in one_error(capsys)


@pytest.mark.parametrize("words", [["-m", "train"], ["-m", "train", "keep", "-h"], ["-m", "train.keep", "-h"]])
def test_help_is_shown(words):
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python -m train")


@pytest.mark.parametrize("module", ["train.keep", "train.bench", "train.demo"])
def test_help_imports_no_torch(module):
    code = (
        f"import sys, importlib\nmain = importlib.import_module('{module}.command').main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "print(sorted({'torch', 'pytorch_lightning', 'jsonargparse'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
