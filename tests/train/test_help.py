"""The help of these commands comes at once, for it imports neither torch nor Lightning."""

import re
import subprocess
import sys

import pytest

from tests import ROOT
from train.__main__ import main
from train.fit.help import HELP

COMMANDS = (
    "slow",
    "slow.benchmark",
    "slow.reconstruct",
    "dream",
    "features",
    "compare",
    "compare.pairs",
    "distill",
    "distill.evaluate",
    "start",
    "start.evaluate",
)


SCRIPT = """
import runpy, sys
name, sys.argv = sys.argv[1], [sys.argv[1], "--help"]
try:
    runpy.run_module(name, run_name="__main__")
except SystemExit:
    pass
print(sorted({"torch", "pytorch_lightning"} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["fit", "validate"])
def test_the_trainer_tells_the_settings_that_matter_without_torch(name):
    code = f"""
import sys
from train.__main__ import main
assert main(["{name}", "--config", "configs/wave.yaml", "--help"]) == 0
print(sorted({{"torch", "pytorch_lightning", "jsonargparse"}} & sys.modules.keys()), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
    assert done.stdout == HELP


def test_the_trainer_lists_every_setting_that_the_short_help_names(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help-all"])
    every = capsys.readouterr().out
    flags = re.findall(r"^  (--[\w.]+) ", HELP, re.MULTILINE)
    assert len(flags) > 20
    assert [flag for flag in flags if not re.search(rf"{re.escape(flag)}(?![\w.])", every)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_no_torch(name):
    call = [sys.executable, "-c", SCRIPT, f"train.{name}"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
    assert f"python -m train.{name}" in done.stdout
    # Examples are whole lines, to be copied.
    assert not re.search(r"\\x08|^example: .*\n.", done.stdout, re.MULTILINE)
