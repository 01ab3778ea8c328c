"""The house is in order: layers, names, docstrings, and READMEs whose commands, files and targets exist."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from export.package.commands import COMMANDS
from export.version import project_version
from tests.train.small_run import ROOT

PACKAGES = ("data", "models", "export", "train")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
GUIDES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(p for d in PACKAGES for p in (ROOT / d).rglob("*.md"))]
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


def read_blocks(guide):
    """Return the lines of a guide's shell blocks, continued ones joined, without comments."""
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", guide.read_text(), re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def find_command(line):
    """Return the words that show a line's help, and the line's flags; None if the line is no command of ours."""
    words = shlex.split(line.split("|")[0])
    if words[0] == "onestroke" and len(words) > 1:
        module, rest = COMMANDS[words[1]].module, words[2:]
    elif "-m" in words and words[words.index("-m") + 1].split(".")[0] in PACKAGES:
        place = words.index("-m") + 1
        module, rest = words[place], words[place + 1 :]
    else:
        return None
    subcommand = tuple(word for word in rest[:1] if module == "train" and not word.startswith("-"))
    return (module, *subcommand), {word.split("=")[0] for word in rest if word.startswith("--") and word != "--"}


def gather_flags():
    """Map each command that a guide shows to the flags that guides give it."""
    shown = {}
    for guide in GUIDES:
        for words, flags in filter(None, map(find_command, read_blocks(guide))):
            shown.setdefault(words, set()).update(flags)
    return shown


FLAGS = gather_flags()


def test_guides_show_commands():
    assert len(FLAGS) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("words", FLAGS, ids=" ".join)
def test_commands_in_guides_have_the_flags_they_are_shown_with(words):
    call = [sys.executable, "-m", *words, "--help"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    unknown = {flag for flag in FLAGS[words] if not re.search(rf"{re.escape(flag)}(?![\w-])", done.stdout)}
    assert unknown == set(), f"python -m {' '.join(words)} has no {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_make_targets_in_guides_exist(guide):
    shown = {line.split()[1] for line in read_blocks(guide) if line.startswith("make ")}
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert shown <= targets


def test_the_readme_shows_how_to_start():
    assert {"make demo", "make test"} <= {" ".join(line.split()[:2]) for line in read_blocks(ROOT / "README.md")}


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
