"""The help of these commands comes at once, for it imports neither torch nor Lightning."""

import subprocess
import sys

import pytest

from tests import ROOT

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


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_no_torch(name):
    call = [sys.executable, "-c", SCRIPT, f"train.{name}"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
    assert f"python -m train.{name}" in done.stdout
