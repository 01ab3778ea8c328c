"""Everything that learns: ``python -m train`` lists the commands, ``python -m train fit ...`` runs one."""

from __future__ import annotations

import importlib
import sys

from export.cli import FAILED, show_help
from export.commands import find_module, list_folder
from export.terminal import print_error
from train.cli import run_command
from train.fit.help import ALL, HELP, asks_for_help

OWN_NAMES = {
    "fit": "train a style, and export it",
    "validate": "compute a trained style's loss on held-out photos",
}
"""Commands without a folder, and their purposes; they share a module, which takes the name as its first argument."""

COMMANDS = {
    command.module.removeprefix("train."): command
    for command in list_folder("train").values()
    if command.module != "train"
}
"""The others, by what stands after ``python -m train.``, too."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command, or list them all; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in {"-h", "--help"}:
        return show_help(f"{describe_commands()}\n")
    name, *flags = words
    # Lightning takes flags before fit, too.
    whole = name in OWN_NAMES or name.startswith("-")
    if not whole and name not in COMMANDS:
        names = ", ".join([*OWN_NAMES, *COMMANDS])
        print_error(f"'{name}' is not a command of python -m train; choose one of {names}")
        return FAILED
    if whole and asks_for_help(words):
        return show_help(HELP)
    if whole:
        words = ["--help" if word == ALL else word for word in words]

    def work() -> int:
        # Imported here, so that Ctrl-C during the import of torch gives a sentence, not a traceback.
        if whole:
            return int(importlib.import_module(".fit.command", __package__).main(words))
        return int(importlib.import_module(find_module(COMMANDS[name].module)).main(flags))

    return run_command(work, "stopped; nothing was done yet")


def describe_commands() -> str:
    """Return the names and purposes of all commands."""
    purposes = OWN_NAMES | {name: command.purpose for name, command in COMMANDS.items()}
    lines = [f"  {name:<18}{purpose}" for name, purpose in purposes.items()]
    usage = "usage: python -m train COMMAND [flags]\n\ncommands:"
    return "\n".join([usage, *lines, "", "python -m train COMMAND --help lists the flags of a command."])


if __name__ == "__main__":
    sys.exit(main())
