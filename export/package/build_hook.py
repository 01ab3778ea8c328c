"""Puts the four folders inside the one package ``onestroke`` while hatchling builds a wheel.

In a checkout ``data``, ``models``, ``export`` and ``train`` are imported by these names. Installed, they would hide
other people's packages, so the wheel holds ``onestroke/data`` and so on, and this hook writes ``onestroke.`` before the
four names wherever a module imports them. Nothing else of a module changes, except that texts that tell the user to
type ``python -m export.stylize`` name the installed command, ``onestroke stylize``.
"""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "onestroke"
FOLDERS = ("data", "models", "export", "train")
ROOT_MODULES = ("__init__.py", "__main__.py")
"""Modules beside this one that lie at the root of the package."""

READY_STYLES = "models/pretrained/onnx"
OTHER_FILES = (
    "configs/**/*.yaml",
    "data/styles/*.jpg",
    "export/**/*",
    "train/**/*",
    "models/*.safetensors",
    "models/pretrained/wave.safetensors",
    f"{READY_STYLES}/*.onnx",
)
"""Files without Python that the wheel holds; of the trained weights only those that the demo starts from."""

# The pictures are those of READMEs.
_LEFT_OUT = re.compile(r"(^|/)(\..*|__pycache__|README\.md|pictures)(/|$)|\.(pyc|tmp)$")
_TEXT = {".py", ".yaml", ".md", ".html", ".txt", ".j2", ".jinja", ".jinja2"}
_TYPED = re.compile(rf"(?:\.venv/bin/)?python -m ((?:{'|'.join(FOLDERS)})\b(?:\.\w+)*)")
_FROM = re.compile(rb"from\s+")


class BuildHook(BuildHookInterface[Any]):
    """Hatchling's hook for the wheel; the sdist holds the checkout's files as they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the package's modules to a temporary folder, and have hatchling take them from there."""
        if version == "editable":
            self.app.abort("onestroke cannot be installed with -e: run it from the checkout, or use pip install .")
        root = Path(self.root)
        if not any(root.glob(f"{READY_STYLES}/*.onnx")):
            self.app.abort(f"folder {READY_STYLES} holds no .onnx file; run make styles before building a wheel")
        self._folder = tempfile.mkdtemp()
        write_package(root, Path(self._folder))
        build_data["force_include"][self._folder] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def write_package(root: Path, folder: Path) -> None:
    """Write the package as it is installed.

    Args:
        root: The checkout, or an unpacked sdist.
        folder: The folder that becomes ``onestroke``.

    Raises:
        ValueError: If a module imports one of the four folders in a way that cannot be rewritten.
    """
    own = root / "export" / "package"
    # By its path, for hatchling does not have the checkout among its packages.
    commands = runpy.run_path(str(root / "export" / "commands.py"))["COMMANDS"]
    words = {command.module: name for name, command in commands.items()}
    targets = {own / name: Path(name) for name in ROOT_MODULES}
    for pattern in (*(f"{name}/**/*.py" for name in FOLDERS), *OTHER_FILES):
        for path in root.glob(pattern):
            inside = path.relative_to(root)
            if path.is_file() and own not in path.parents and not _LEFT_OUT.search(inside.as_posix()):
                targets[path] = inside
    for path, target in sorted(targets.items()):
        content = path.read_bytes()
        if path.suffix == ".py":
            content = rewrite_imports(content, str(path.relative_to(root)))
        if path.suffix in _TEXT:
            content = rewrite_commands(content.decode(), words).encode()
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).write_bytes(content)
    (folder / "py.typed").touch()


def rewrite_imports(source: bytes, name: str) -> bytes:
    """Write ``onestroke.`` before our own folders' names in a module's import statements.

    ``import export.runtime`` binds the name ``export``, so it gets a second part, ``onestroke.export as export``.

    Args:
        source: The module, UTF-8.
        name: Its path, for the error.

    Raises:
        ValueError: If an import is written in a form that this function does not know.
    """
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    edits: list[tuple[int, int, bytes]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and _is_own(node.module or ""):
            start = starts[node.lineno - 1] + node.col_offset
            found = _FROM.match(source, start)
            if found is None or not source.startswith((node.module or "").encode(), found.end()):
                raise ValueError(f"{name}, line {node.lineno}: write 'from {node.module} import' on one line")
            edits.append((found.end(), found.end(), f"{PACKAGE}.".encode()))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_own(alias.name):
                    start = starts[alias.lineno - 1] + alias.col_offset
                    end = starts[(alias.end_lineno or alias.lineno) - 1] + (alias.end_col_offset or 0)
                    edits.append((start, end, _spell_alias(alias).encode()))
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    return source


def rewrite_commands(text: str, words: dict[str, str]) -> str:
    """Name the installed commands in texts.

    Args:
        text: ``python -m export.stylize``, among others, becomes ``onestroke stylize``.
        words: The word after ``onestroke`` for each module; other modules become ``python -m onestroke.<module>``.
    """

    def spell(found: re.Match[str]) -> str:
        word = words.get(found[1])
        return f"{PACKAGE} {word}" if word else f"python -m {PACKAGE}.{found[1]}"

    return _TYPED.sub(spell, text).replace("from export.runtime import Stylizer", f"from {PACKAGE} import Stylizer")


def _is_own(module: str) -> bool:
    return module.partition(".")[0] in FOLDERS


def _spell_alias(alias: ast.alias) -> str:
    if alias.asname is not None:
        return f"{PACKAGE}.{alias.name} as {alias.asname}"
    top, _, inner = alias.name.partition(".")
    bound = f"{PACKAGE}.{top} as {top}"
    return f"{PACKAGE}.{alias.name}, {bound}" if inner else bound
