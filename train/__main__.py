"""Everything that learns: ``python -m train`` lists the commands, ``python -m train fit ...`` runs one."""

from __future__ import annotations

import importlib
import sys

from export.cli import FAILED, show_help
from export.terminal import print_error
from train.cli import run_command
from train.fit.help import ALL, HELP, asks_for_help

COMMANDS = {
    "fit": (".fit.command", "train a style, and export it"),
    "validate": (".fit.command", "compute a trained style's loss on held-out photos"),
    "slow": (".slow.command", "repaint one picture by optimizing its pixels"),
    "slow.benchmark": (".slow.benchmark", "measure coarse to fine against plain L-BFGS"),
    "slow.reconstruct": (".slow.reconstruct", "show what each layer of a network keeps of a photo"),
    "dream": (".dream.command", "amplify what a network's layers respond to in a photo (DeepDream)"),
    "features": (".features.command", "show what the layers of a network see in photos"),
    "compare": (".compare.command", "compare trained styles with the slow mode"),
    "compare.pairs": (".compare.pairs", "write pictures of two programs as blind pairs, or score the answers"),
    "distill": (".distill.command", "distill a small perceptual network from VGG"),
    "distill.evaluate": (".distill.evaluate", "evaluate the small perceptual network against the large one"),
    "start": (".start.command", "train the shared start of all styles on many paintings"),
    "start.evaluate": (".start.evaluate", "measure how soon a training from the shared start is good"),
    "keep": (".keep.command", "store a trained style in a quarter of the bytes"),
    "bench": (".bench.command", "measure the training step against the reference"),
    "demo": (".demo.command", "train, export and repaint without any download"),
}
"""Module, named from this package, and purpose of each command; a module is imported only when it is chosen."""

OWN_NAMES = ("fit", "validate")
"""Commands that share a module, which takes the name as its first argument."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command, or list them all; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in {"-h", "--help"}:
        return show_help(f"{describe_commands()}\n")
    name, *flags = words
    # Lightning takes flags before fit, too.
    module = ".fit.command" if name.startswith("-") else COMMANDS.get(name, ("", ""))[0]
    if not module:
        names = ", ".join(COMMANDS)
        print_error(f"'{name}' is not a command of python -m train; choose one of {names}")
        return FAILED
    whole = name in OWN_NAMES or name.startswith("-")
    if whole and asks_for_help(words):
        return show_help(HELP)
    if whole:
        words = ["--help" if word == ALL else word for word in words]

    def work() -> int:
        # Imported here, so that Ctrl-C during the import of torch gives a sentence, not a traceback.
        return int(importlib.import_module(module, __package__).main(words if whole else flags))

    return run_command(work, "stopped; nothing was done yet")


def describe_commands() -> str:
    """Return the names and purposes of all commands."""
    lines = [f"  {name:<18}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    usage = "usage: python -m train COMMAND [flags]\n\ncommands:"
    return "\n".join([usage, *lines, "", "python -m train COMMAND --help lists the flags of a command."])


if __name__ == "__main__":
    sys.exit(main())
