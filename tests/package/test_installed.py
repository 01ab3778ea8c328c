"""The installed wheel repaints by a style's name, offline and without torch, and says what training needs."""

import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from export.package import __all__ as public_names
from export.styles import list_styles
from export.version import project_version
from tests.pictures import ramp

pytestmark = pytest.mark.slow

OFFLINE = """
import socket, sys
def refuse(*words, **more):
    raise OSError("the network was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
from onestroke.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def photo(tmp_path):
    PIL.Image.fromarray(ramp(64, 48)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_site_packages_gain_one_name_and_no_torch(installed):
    names = {path.name.lower() for path in installed.packages.iterdir()}
    assert "onestroke" in names
    assert names.isdisjoint({"data", "models", "train", "export", "configs", "tests", "torch", "onnx"})


def test_a_style_chosen_by_name_repaints_a_photo_offline(installed, photo):
    done = installed.run("-c", OFFLINE, "stylize", "--style", "wave", photo, cwd=photo.parent)
    assert done.returncode == 0, done.stderr
    with PIL.Image.open(photo.with_name("photo-wave.jpg")) as picture:
        assert picture.size == (64, 48)


def test_the_command_is_on_the_path_and_lists_its_styles(installed, tmp_path):
    program = installed.python.with_name("onestroke.exe" if sys.platform == "win32" else "onestroke")
    done = subprocess.run([program, "styles"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list_styles()


def test_an_onnx_file_repaints_too_and_is_measured(installed, photo):
    model = installed.packages / "onestroke" / "models" / "pretrained" / "onnx" / "wave_nano.onnx"
    done = installed.run("-m", "onestroke", "stylize", model, photo, "--output", "out.png", cwd=photo.parent)
    assert done.returncode == 0, done.stderr
    # The measurement is a process of its own, which has to find the package again.
    done = installed.run("-m", "onestroke", "benchmark", model, "--sizes", 64, "--runs", 1, cwd=photo.parent)
    assert done.returncode == 0, done.stderr
    assert "wave_nano.onnx" in done.stdout


@pytest.mark.parametrize(
    "words", [["train", "fit"], ["export", "run"], ["slow"], ["demo"], ["keep", "run", "a.safetensors"]]
)
def test_a_missing_extra_is_one_sentence(installed, tmp_path, words):
    done = installed.run("-m", "onestroke", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: 'onestroke {words[0]}' needs ")
    assert done.stderr.endswith('which is not installed; run pip install "onestroke[train]"\n')


def test_python_gets_the_public_names(installed, tmp_path):
    script = "from onestroke import *; print(sorted(set(dir()) & {*sys.argv[1:]}))"
    done = installed.run("-c", f"import sys; {script}", *public_names, cwd=tmp_path)
    assert done.stdout.strip() == str(sorted(public_names)), done.stderr
    script = "import onestroke; print(onestroke.__version__, onestroke.load('wave').card.style)"
    assert installed.run("-c", script, cwd=tmp_path).stdout == f"{project_version()} wave\n"


def test_mypy_knows_the_types(installed, tmp_path):
    (tmp_path / "user.py").write_text("from onestroke import Stylizer, load\nstylizer: Stylizer = load('wave')\n")
    (tmp_path / "wrong.py").write_text("import onestroke\nstylizer: int = onestroke.load('wave')\n")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.python)]
    found = {}
    for name in ("user.py", "wrong.py"):
        done = subprocess.run([*mypy, name], cwd=tmp_path, capture_output=True, text=True, check=False)
        found[name] = done.stdout
    assert "Success" in found["user.py"], found["user.py"]
    assert 'expression has type "Stylizer", variable has type "int"' in found["wrong.py"]


def test_the_checkout_is_not_needed(installed, tmp_path):
    done = installed.run("-c", "import onestroke; print(onestroke.__file__)", cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(installed.packages)
