"""Print what the project and some of its extras need, one requirement a line, for ``pip install --requirement``.

``make`` fills ``.venv`` with what ``python export/package/requirements.py train dev`` prints, so the checkout gets its
dependencies without a second copy of the code. Standard library only.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def list_requirements(extras: list[str], project: Path = PROJECT) -> list[str]:
    """Read requirements from a ``pyproject.toml``.

    Args:
        extras: Names out of its optional dependencies.
        project: The file.

    Raises:
        KeyError: If there is no extra of that name.
    """
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    groups = [table["dependencies"], *(table["optional-dependencies"][extra] for extra in extras)]
    return [requirement for group in groups for requirement in group]


if __name__ == "__main__":
    print("\n".join(list_requirements(sys.argv[1:])))
