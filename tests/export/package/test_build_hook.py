"""The build hook writes ``onestroke.`` before our own packages in import statements, and nowhere else."""

import ast
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the build hook is hatchling's; pip install hatchling")

from export.package.build_hook import rewrite_commands, rewrite_imports, write_package
from tests import ROOT


def rewrite(source):
    return rewrite_imports(source.encode(), "module.py").decode()


@pytest.mark.parametrize(
    ("written", "installed"),
    [
        ("from data import images", "from onestroke.data import images"),
        ("from data.images import decode as d, (encode)".replace("(", "").replace(")", ""), None),
        ("from export.runtime.stylizer import (\n    Stylizer,\n)", None),
        ("import export as e, models.vgg as v", "import onestroke.export as e, onestroke.models.vgg as v"),
        ("import train", "import onestroke.train as train"),
        ("import os, export.runtime", "import os, onestroke.export.runtime, onestroke.export as export"),
        ("if x:\n    from train import cli", "if x:\n    from onestroke.train import cli"),
        ("é = 'from data'; from data import images", "é = 'from data'; from onestroke.data import images"),
        ("from  models  import vgg  # from models", "from  onestroke.models  import vgg  # from models"),
    ],
)
def test_imports_of_own_packages_get_a_prefix(written, installed):
    expected = installed or written.replace("from ", "from onestroke.", 1)
    assert rewrite(written) == expected
    ast.parse(rewrite(written))


@pytest.mark.parametrize(
    "source",
    [
        "import dataclasses",
        "from database import data",
        "from . import data",
        "from .data import images",
        "import torchvision.models",
        '"""from data import images"""',
        "name = 'export.runtime'  # import export",
        "from training import train",
    ],
)
def test_everything_else_stays(source):
    assert rewrite(source) == source


def test_carriage_returns_stay():
    assert rewrite("import os\r\nfrom data import images\r\n") == "import os\r\nfrom onestroke.data import images\r\n"


def test_an_import_over_two_lines_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"module.py, line 2: write 'from data import' on one line"):
        rewrite("import os\nfrom \\\n    data import images")


def test_an_imported_name_is_bound_as_in_the_checkout(tmp_path, monkeypatch):
    (tmp_path / "onestroke" / "export").mkdir(parents=True)
    for path in ("__init__", "export/__init__", "export/runtime"):
        (tmp_path / "onestroke" / f"{path}.py").write_text(f"NAME = '{path}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = {}
    exec(rewrite("import export.runtime"), names)
    assert names["export"].runtime.NAME == "export/runtime"


@pytest.mark.parametrize(
    ("written", "installed"),
    [
        ("use python -m export.stylize wave.onnx", "use onestroke stylize wave.onnx"),
        ("export it with python -m export.", "export it with onestroke export."),
        (".venv/bin/python -m train fit", "onestroke train fit"),
        ("python -m data.drawings FOLDER", "python -m onestroke.data.drawings FOLDER"),
        ("python -m exporter", "python -m exporter"),
        ("python -m http.server", "python -m http.server"),
    ],
)
def test_texts_name_the_installed_commands(written, installed):
    assert rewrite_commands(written, {"export.stylize": "stylize", "export": "export", "train": "train"}) == installed


def test_hidden_files_caches_and_readmes_are_left_out(tmp_path):
    package = tmp_path / "checkout" / "export" / "package"
    package.mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "build_hook.py"):
        (package / name).write_bytes((ROOT / "export" / "package" / name).read_bytes())
    (package.parent / "commands.py").write_bytes((ROOT / "export" / "commands.py").read_bytes())
    for name in ("export/table.html", "export/README.md", "export/.table.swp", "export/__pycache__/a.py", "data/a.py"):
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write_package(tmp_path / "checkout", tmp_path / "onestroke")
    found = {path.relative_to(tmp_path / "onestroke").as_posix() for path in (tmp_path / "onestroke").rglob("*.*")}
    assert found == {"__init__.py", "__main__.py", "py.typed", "data/a.py", "export/commands.py", "export/table.html"}


def test_modules_parse_and_differ_in_imports_and_commands_alone(tmp_path):
    write_package(ROOT, tmp_path)
    for path in tmp_path.rglob("*.py"):
        inside = path.relative_to(tmp_path)
        original = ROOT / ("export/package" if len(inside.parts) == 1 else "") / inside
        for old, new in zip(original.read_text().splitlines(), path.read_text().splitlines(), strict=True):
            assert old == new or "import " in old or "python -m " in old, f"{inside}: {new}"
    assert not (tmp_path / "export" / "package").exists()
    assert Path(tmp_path, "configs", "wave.yaml").is_file()
