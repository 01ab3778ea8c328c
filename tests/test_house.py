"""The house is in order: layers, names and docstrings; in READMEs commands work, and flags, files and targets exist."""

import argparse
import ast
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import yaml
from PIL import Image

import export.package
from data.images import encode, from_array
from export.benchmark import measure
from export.benchmark.measure import measure_model
from export.commands import COMMANDS
from export.contract import FILES
from export.variants import export as variants
from export.variants.export import Request, export_variants
from export.version import project_version
from models.style_file import StyleCard
from tests import ROOT
from tests.export.small_export import add_strength, draw, export_style, make_network, write_photos
from tests.export.video.clips import draw_frames, write_clip

PACKAGES = ("data", "models", "export", "train")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
GUIDES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(p for d in PACKAGES for p in (ROOT / d).rglob("*.md")),
    ]
)
MAKEFILE = (ROOT / "Makefile").read_text()


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def test_imports_point_down_the_layers():
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed; pip install import-linter")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert path.stem not in {"utils", "helpers", "misc", "manager", "common"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_asserted_of_the_user(path):
    asserts = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert asserts == []


def read_blocks(guide, kind="sh"):
    """Return the blocks of code of a kind that a guide shows."""
    return re.findall(rf"^```{kind}\n(.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE)


def read_commands(guide):
    """Return the lines of a guide's shell blocks, continued ones joined, without comments."""
    text = "".join(read_blocks(guide)).replace("\\\n", " ")
    lines = (" ".join(line.split(" #")[0].split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def find_command(line):
    """Return the module that a line runs and the words after it; None if the line is not a command of ours."""
    words = shlex.split(line.split("|")[0])
    if words[0] == "onestroke":
        return COMMANDS[words[1]].module, words[2:]
    if "-m" in words and words[words.index("-m") + 1].split(".")[0] in PACKAGES:
        place = words.index("-m") + 1
        return words[place], words[place + 1 :]
    return None


LINES = {line: find_command(line) for guide in GUIDES for line in read_commands(guide) if find_command(line)}
NEEDS_LIGHTNING = ("train", "train.distill")


def mark(line):
    module, _ = LINES[line]
    return pytest.param(line, marks=pytest.mark.slow if module in NEEDS_LIGHTNING else (), id=line)


def find_main(module):
    name = module if (ROOT / f"{module.replace('.', '/')}.py").is_file() else f"{module}.__main__"
    return importlib.import_module(name).main


def exit_code(module, words):
    """Run a command here, and return the exit code that its process would have."""
    try:
        return find_main(module)(words)
    except SystemExit as end:
        return end.code or 0


class Parsed(BaseException):
    """A command line was parsed; not an Exception, so that no command makes a sentence of it."""


@pytest.fixture
def stop_after_parsing(monkeypatch):
    """Let every parser of a command end the command once its arguments are accepted."""
    for parser in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
        monkeypatch.setattr(parser, "parse_args", stop_after(parser.parse_args))
    intermixed = argparse.ArgumentParser.parse_intermixed_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_intermixed_args", stop_after(intermixed))


def stop_after(parse):
    def parse_and_stop(*args, **options):
        # A parser may call that of its base class, which must come to its end.
        outermost = not parse_and_stop.depth
        parse_and_stop.depth += 1
        try:
            parsed = parse(*args, **options)
        finally:
            parse_and_stop.depth -= 1
        if outermost:
            raise Parsed
        return parsed

    parse_and_stop.depth = 0
    return parse_and_stop


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the configurations, and with the run folder that the guides name."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "runs" / "wave").mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "wave.yaml", tmp_path / "runs" / "wave" / "config.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_guide_with_commands_is_read():
    shown = {name_of(guide) for guide in GUIDES if any(map(find_command, read_commands(guide)))}
    assert shown >= {
        "README.md",
        "export/README.md",
        "models/pretrained/README.md",
        "train/README.md",
        "train/compare/README.md",
        "train/distill/README.md",
        "train/features/README.md",
        "train/slow/README.md",
    }


@pytest.mark.parametrize("line", [mark(line) for line in LINES])
def test_commands_in_guides_are_accepted_by_their_parsers(line, stop_after_parsing, workplace):
    module, words = LINES[line]
    with pytest.raises(Parsed):
        find_main(module)(words)


def test_a_command_with_an_unknown_flag_is_not_accepted(stop_after_parsing, capsys):
    with pytest.raises(SystemExit):
        find_main("export.stylize")(["wave.onnx", "photo.jpg", "--no-such"])
    assert "--no-such" in capsys.readouterr().err


@pytest.fixture
def small_files(workplace, monkeypatch):
    """The files that the guides name, small, and ``onestroke`` under the name that it has once installed."""
    for name in ("wave", "starry_night"):
        source = workplace / "source" / name / "style.onnx"
        # Of the kept styles of these names one has strength.
        network = make_network(spread=0.5)
        export_style(source, add_strength(network) if name == "wave" else network, StyleCard(name))
        target = workplace / "models" / "pretrained" / f"{name}.safetensors"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.with_name("style.safetensors"), target)
    shutil.copy(workplace / "models" / "pretrained" / "wave.safetensors", workplace / "runs/wave/style.safetensors")
    shutil.copy(workplace / "source" / "wave" / "style.onnx", workplace / "my.onnx")
    write_photos(workplace / "photos")
    write_photos(workplace / "holiday", 2)
    encode(from_array(draw(40, 56)), workplace / "photo.jpg")
    write_clip(workplace / "clip.mp4", draw_frames(3))
    monkeypatch.setitem(sys.modules, "onestroke", export.package)
    return workplace


SMALLER = {"256": "32", "280": "64", "512": "48", "512x512": "64x64", "1024": "64"}
"""Sizes that guides name, and in place of them some that take no time."""


def run_guide(guide, skipped=()):
    """Run the commands of a guide that need no training, one after the other, at smaller sizes."""
    for line in read_commands(guide):
        module, words = find_command(line) or ("", [])
        if module.split(".")[0] == "export" and module not in skipped:
            assert find_main(module)([SMALLER.get(word, word) for word in words]) == 0, line


# The page is built in tests/export/web, from a stand-in for onnxruntime-web, which npm would have to fetch.
@pytest.mark.slow
def test_the_commands_of_the_readme_work(small_files):
    run_guide(ROOT / "README.md", skipped={"export.web"})
    assert Image.open("photo-wave.jpg").size == Image.open("painted.jpg").size == (56, 40)
    assert len(list(Path("painted").iterdir())) == 2


@pytest.mark.slow
def test_the_commands_of_the_exports_readme_work_one_after_the_other(small_files, monkeypatch):
    monkeypatch.setattr(variants, "measure_model", lambda path, sides: measure_model(path, [32], runs=1))
    monkeypatch.setattr(measure, "RUNS", 1)
    for name in ("half", "nano"):
        export_variants(small_files / "runs/wave", small_files / name, Request(("float32",), Path("photos")), len)
    run_guide(ROOT / "export" / "README.md", skipped={"export.web"})
    assert sorted(path.name for path in Path("wave").glob("*.onnx")) == sorted(FILES.values())
    assert list(Path("wave-android").glob("*.ort"))


@pytest.mark.parametrize("name", ["README.md", "export/README.md"])
def test_the_python_of_guides_repaints_a_photo(name, small_files):
    shutil.copy("my.onnx", "wave.onnx")
    found = {"photo": draw(40, 56)}
    exec("".join(read_blocks(ROOT / name, "python")), found)
    assert found["picture"].shape == (40, 56, 3)
    assert found["picture"].dtype == np.uint8


@pytest.mark.slow
def test_flags_in_the_text_of_guides_exist(capsys):
    modules = {command.module for command in COMMANDS.values()} | {"export.package.ready"}
    for module in modules:
        assert exit_code(module, ["fit", "--help-all"] if module == "train" else ["--help"]) == 0, module
    known = capsys.readouterr().out
    others = {"--help-all", "--print_config", "--requirement"}
    # The changelog names flags of earlier versions, too.
    for guide in [guide for guide in GUIDES if guide.name != "CHANGELOG.md"]:
        spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", guide.read_text(), flags=re.DOTALL))
        for flag in re.findall(r"(?<!\S)--[a-zA-Z][\w.-]*", " ".join(spans)):
            assert flag in others or re.search(rf"{re.escape(flag)}(?![\w-])", known), f"{name_of(guide)}: {flag}"


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_make_targets_in_guides_exist(guide):
    shown = {line.split()[1] for line in read_commands(guide) if line.startswith("make ")}
    shown |= set(re.findall(r"`make ([a-z-]+)", guide.read_text()))
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert shown <= targets


@pytest.mark.parametrize("target", ["bench", "demo", "fidelity", "slow-bench", "styles"])
def test_make_targets_type_flags_that_the_help_shows(target, stop_after_parsing, capsys):
    given = dict.fromkeys(re.findall(r"\$\(if \$\((\w+)\)", MAKEFILE), "given")
    given |= {"PHOTOS": "photos", "PAINTINGS": "one.jpg", "CONTENT": "photo.jpg", "STYLE": "one.jpg"}
    done = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.installed", target, *(f"{name}={to}" for name, to in given.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.replace("\\\n", " ").splitlines()
    module, words = next(filter(None, map(find_command, filter(str.strip, lines))))
    with pytest.raises(Parsed):
        find_main(module)(words)
    with pytest.raises(SystemExit):
        find_main(module)(["--help"])
    shown = capsys.readouterr().out
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"{flag}(?![\w-])", shown), flag


def test_the_readme_shows_how_to_start():
    assert {"make demo", "make test"} <= {" ".join(line.split()[:2]) for line in read_commands(ROOT / "README.md")}


def test_make_help_lists_every_target():
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    assert sorted(listed) == sorted(phony)
    assert all(len(line.split()) > 3 for line in done.stdout.splitlines())


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_files_that_guides_link_to_exist(guide):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", guide.read_text()):
        if "://" not in target:
            assert (guide.parent / target).exists(), target


def test_the_citation_has_the_version_of_the_project():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == project_version()
