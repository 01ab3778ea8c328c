"""The wheel holds one package, every import in it is its own, and any way to build it gives the same."""

import ast
import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from export.package.requirements import list_requirements
from export.version import project_version
from tests.package.conftest import IN_PACKAGE, build

pytestmark = pytest.mark.slow

OWN = {"data", "models", "export", "train", "tests", "configs"}


def contents(wheel):
    """Map the names of a wheel's files to what they hold; the list of their digests comes last and adds nothing."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


@pytest.fixture(scope="module")
def files(wheel):
    return contents(wheel)


@pytest.fixture(scope="module")
def trees(files):
    return {name: ast.parse(content) for name, content in files.items() if name.endswith(".py")}


def test_everything_lies_in_one_package(files):
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"onestroke"}
    assert {f"onestroke/{name}/" for name in IN_PACKAGE} <= {f"{'/'.join(name.split('/')[:2])}/" for name in files}


def test_every_module_of_the_checkout_is_there(files, checkout):
    modules = {
        path.relative_to(checkout).as_posix()
        for folder in OWN - {"tests", "configs"}
        for path in (checkout / folder).rglob("*.py")
    }
    assert {f"onestroke/{name}" for name in modules if not name.startswith("export/package/")} <= set(files)
    assert {"onestroke/__init__.py", "onestroke/__main__.py", "onestroke/py.typed"} <= set(files)


def test_files_without_python_are_there(files):
    names = "\n".join(files)
    for wanted in (
        "export/web/static/index.html",
        "models/vgg_small.safetensors",
        "models/pretrained/onnx/wave.onnx",
        "models/pretrained/wave.safetensors",
        "data/styles/flowing_strokes.jpg",
        "configs/slow/gatys.yaml",
    ):
        assert f"onestroke/{wanted}" in names
    assert not re.search(r"build_hook|__pycache__|\.tmp$|README\.md$", names, re.MULTILINE)


def test_no_import_names_a_package_of_the_checkout(trees):
    found = []
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [(name, alias.name) for alias in node.names if alias.name.split(".")[0] in OWN]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] in OWN:
                found.append((name, node.module))
    assert found == []


def test_every_own_import_leads_to_a_file_of_the_wheel(trees, files):
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in trees}
    packages = {name.rpartition("/")[0].replace("/", ".") for name in files}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onestroke"):
                assert node.module in modules | packages, f"{name} imports {node.module}"


def test_no_text_names_a_module_of_the_checkout(trees):
    # A subprocess, a loader or an import by name would not find it: build such names with __package__.
    modules = {name.removeprefix("onestroke/").removesuffix(".py").replace("/", ".") for name in trees}
    for name, tree in trees.items():
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is str}
        named = {text for text in texts if "." in text and text in modules}
        assert named == set() or name == "onestroke/export/commands.py", name
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
        for call in calls:
            called, first = ast.unparse(call.func).split(".")[-1], call.args[0]
            if called in {"import_module", "PackageLoader", "files", "run_module"} and isinstance(first, ast.Constant):
                assert str(first.value).split(".")[0] not in OWN, f"{name}, line {call.lineno}"


def test_texts_tell_the_installed_commands(files):
    for name, content in files.items():
        if name.endswith((".py", ".yaml")):
            assert not re.search(rb"python -m (data|models|export|train)\b", content), name


def test_metadata_asks_for_torch_in_the_extra_alone(files):
    (metadata,) = (email.message_from_bytes(text) for name, text in files.items() if name.endswith("/METADATA"))
    assert metadata["Version"] == project_version()
    needed = metadata.get_all("Requires-Dist")
    # tests/export/package/test_requirements.py shows that torch is not among these.
    assert sorted(line for line in needed if "extra ==" not in line) == sorted(list_requirements([]))
    assert any(line.startswith("torch>") and line.endswith("extra == 'train'") for line in needed)
    assert set(metadata.get_all("Provides-Extra")) >= {"train", "samples", "judge", "dev", "runtime"}


def test_it_stays_under_30_mb(wheel):
    assert wheel.stat().st_size < 30e6


def test_the_source_archive_holds_the_checkout_and_builds_the_same_wheel(checkout, files, tmp_path):
    archive = build(checkout, tmp_path / "sdist", "sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    module = "export/stylize/command.py"
    assert (source / module).read_bytes() == (checkout / module).read_bytes()
    assert contents(build(source, tmp_path / "wheel", "wheel")) == files


def test_pip_builds_the_same_wheel_from_git(checkout, files, tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    shutil.copytree(checkout, tmp_path / "clone")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *words], cwd=tmp_path / "clone", check=True)
    address = f"git+{(tmp_path / 'clone').as_uri()}"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", address]
    subprocess.run([*pip, "--wheel-dir", tmp_path / "dist"], check=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    assert contents(wheel) == files


def refusal(folder, call):
    script = f"import hatchling.build; hatchling.build.{call}('dist')"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def test_an_editable_installation_is_refused_in_one_sentence(checkout):
    said = refusal(checkout, "build_editable")
    assert said == "onestroke cannot be installed with -e: run it from the checkout, or use pip install ."


def test_a_checkout_without_ready_styles_is_refused_in_one_sentence(checkout, tmp_path):
    shutil.copytree(checkout, tmp_path / "bare", ignore=shutil.ignore_patterns("*.onnx"))
    said = refusal(tmp_path / "bare", "build_wheel")
    assert said == "folder models/pretrained/onnx holds no .onnx file; run make styles before building a wheel"
