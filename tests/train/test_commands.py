"""All commands of the folder are listed, and their help does not wait for torch."""

import argparse
import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from export.cli import CommandParser
from export.commands import find_module
from tests import ROOT
from train.__main__ import COMMANDS, main


def test_every_command_is_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == listed
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ")]
    assert names == ["fit", "validate", *COMMANDS]
    assert {"slow", "slow.benchmark", "compare.pairs"} < set(names)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_with_a_main(name):
    spec = importlib.util.find_spec(find_module(f"train.{name}"))
    tree = ast.parse(Path(spec.origin).read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert "main" in defined | imported


def test_unknown_command_is_refused_with_the_known_ones(one_error):
    assert main(["paint"]) == 2
    assert "'paint' is not a command of python -m train; choose one of fit," in one_error()


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


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"slow", "dream", "start", "distill", "compare.pairs"}))
def test_help_says_what_a_flag_takes(name, monkeypatch):
    actions = []

    def look(parser, *_):
        actions.extend(parser._actions)
        raise SystemExit

    monkeypatch.setattr(CommandParser, "parse_args", look)
    with pytest.raises(SystemExit):
        importlib.import_module(find_module(f"train.{name}")).main([])
    flags = [action for action in actions if action.option_strings and action.help != argparse.SUPPRESS]
    assert len(flags) > 1
    assert [flag.dest for flag in flags if flag.nargs != 0 and not flag.choices and flag.metavar is None] == []
