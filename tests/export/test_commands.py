"""Every command of the folder is named by ``python -m export``, helps at once, and says a mistake in one sentence."""

import re
import subprocess
import sys

import pytest

from export import __main__ as command
from export.commands import COMMANDS as INSTALLED_COMMANDS
from tests import ROOT

# The installed program's own; export.package is that program, which a checkout does without.
COMMANDS = [command.module for command in INSTALLED_COMMANDS.values() if command.module.split(".")[0] == "export"]


def named(text):
    return set(re.findall(r"^  python -m (export[.\w]*)  +\w", text, re.MULTILINE))


def test_export_alone_names_every_command(capsys):
    assert command.main([]) == 0
    assert named(capsys.readouterr().out) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_comes_without_heavy_libraries(name):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{name}', '--help']\n"
        f"try: runpy.run_module('{name}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as ended: print(ended.code, {'torch', 'onnx', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"
    assert f"usage: python -m {name} " in done.stdout
    if name == "export":
        assert named(done.stdout) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_flag_is_one_sentence(name):
    done = subprocess.run(
        [sys.executable, "-m", name, "--no-such"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: .*; see python -m {name} --help\n", done.stderr)


def test_style_that_is_absent_is_one_sentence(tmp_path, one_error):
    assert command.main([str(tmp_path / "absent.safetensors"), "--output", str(tmp_path / "a.onnx")]) == 2
    assert "absent.safetensors' " in one_error()
