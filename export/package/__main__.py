"""The command ``onestroke``: its first word chooses what to run, and only that is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from export.cli import FAILED, CommandParser
from export.commands import COMMANDS, FORMER_NAMES, find_module
from export.terminal import print_error
from export.version import project_version

_OWN = {"", "onestroke", "data", "export", "models", "train"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows ``onestroke``; the process's own if None.

    Returns:
        The exit code of the command that was chosen; 2 if it needs an extra that is not installed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # What follows the first word is the command's own, --help included.
    word: str = _parser().parse_args(words[:1] or ["--help"]).command
    name = FORMER_NAMES.get(word, word)
    command = COMMANDS[name]
    try:
        code: int = importlib.import_module(find_module(command.module)).main(words[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        # A module of our own, or one that a plain installation brings, is missing by a fault that needs its traceback.
        if not command.extra or missing in _OWN:
            raise
        print_error(
            f"'onestroke {name}' needs {missing}, which is not installed; run pip install "
            f'"onestroke[{command.extra}]"'
        )
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:{max(map(len, COMMANDS))}}  {command.purpose}" for name, command in COMMANDS.items()]
    base = sum(not command.extra for command in COMMANDS.values())
    parser = CommandParser(
        prog="onestroke",
        description="Repaint photos in the style of a painting, with one small network.",
        epilog="\n".join(
            [
                "commands:",
                *lines[:base],
                'commands that need pip install "onestroke[train]":',
                *lines[base:],
                "onestroke COMMAND --help tells more of each.",
                "example: onestroke stylize --style wave photo.jpg",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"onestroke {project_version()}")
    parser.add_argument("command", choices=[*COMMANDS, *FORMER_NAMES], metavar="COMMAND", help="one of those below")
    return parser


if __name__ == "__main__":
    sys.exit(main())
