"""The requirements that ``make`` installs are those of ``pyproject.toml``, without the project itself."""

import subprocess
import sys

import pytest

from export.package.requirements import PROJECT, list_requirements
from tests import ROOT


def test_extras_are_added_to_what_runs_a_style(tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\ndependencies = ["numpy>=2"]\n[project.optional-dependencies]\n'
        'train = ["torch>=2", "jsonargparse[signatures]"]\ndev = ["pytest"]\nold = []\n'
    )
    assert list_requirements([], project) == ["numpy>=2"]
    assert list_requirements(["old", "train"], project) == ["numpy>=2", "torch>=2", "jsonargparse[signatures]"]


def test_an_unknown_extra_is_refused():
    with pytest.raises(KeyError, match="nothing"):
        list_requirements(["nothing"])


def test_what_runs_a_style_is_free_of_torch():
    names = {requirement.split(">")[0] for requirement in list_requirements([])}
    assert names == {"numpy", "pillow", "onnxruntime", "protobuf", "tqdm", "platformdirs"}
    assert list_requirements(["runtime"]) == list_requirements([])


def test_the_script_prints_one_requirement_a_line():
    script = ROOT / "export" / "package" / "requirements.py"
    done = subprocess.run([sys.executable, "-I", script, "dev"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list_requirements(["dev"], PROJECT)
