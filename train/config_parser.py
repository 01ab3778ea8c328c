"""The command line of a command whose settings are a dataclass: flags, help and YAML from its fields and docstring."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from train.yaml_bound import find_unbounded

Config = TypeVar("Config")

_BOOLEANS = ("true", "false", "yes", "no", "on", "off")


class ExamplesFormatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """jsonargparse's help, with the lines of examples left whole, to be copied."""


class ConfigParser(ArgumentParser):
    """jsonargparse's parser, whose errors are one sentence in place of a page of usage.

    Attributes:
        example: A whole command, told where a required flag is missing.
    """

    example: str = ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong and leave with exit code 2."""
        if os.environ.get("JSONARGPARSE_DEBUG"):
            super().error(message, ex)
        sentence = " ".join(message.split())
        missing = re.fullmatch(r"the following arguments are required: (.*)", sentence)
        if missing:
            flags = " and ".join(_spell(name) for name in missing[1].split(", "))
            sentence = f"{flags} must be given; for example: {self.example}"
        sentence = re.sub(r'Parser key "([^"]+)"', lambda key: _spell(key[1]), sentence)
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)


def parse_config(
    config_class: type[Config], prog: str, description: str, examples: Sequence[str], args: Sequence[str] | None = None
) -> Config:
    """Parse a command line into a configuration.

    Args:
        config_class: A dataclass with Google-style ``Args`` for the help; each field becomes a flag with dashes, which
            may be typed with underscores, too.
        prog: How the command is called.
        description: What it does, in a sentence.
        examples: Whole commands; the first is told where a required flag is missing.
        args: Arguments in place of those of the process.

    Returns:
        The configuration, from ``--config`` files and flags; what comes later prevails.
    """
    parser = ConfigParser(
        prog=prog,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=ExamplesFormatter,
    )
    parser.example = examples[0]
    parser.add_argument("--config", action="config", help="YAML file of these flags; several stack")
    parser.add_class_arguments(config_class, None)
    _show_dashes(parser)
    switches = {field.name for field in dataclasses.fields(config_class) if field.type in {"bool", bool}}  # type: ignore[arg-type]
    typed = list(sys.argv[1:] if args is None else args)
    unbounded = find_unbounded(typed)
    if unbounded is not None:
        parser.error(unbounded)
    parsed = parser.parse_args(spell_flags(typed, switches))
    values: dict[str, Any] = {name: value for name, value in vars(parsed).items() if name != "config"}
    return config_class(**values)


def spell_flags(args: Sequence[str], switches: set[str]) -> list[str]:
    """Turn flags as they are typed into those of jsonargparse.

    Args:
        args: Arguments; flags have dashes or underscores.
        switches: Names of the settings that are true where their flag has no value.

    Returns:
        Arguments with underscores in the flags, and a value for each switch.
    """
    spelled = []
    for arg, following in zip(args, [*args, "--"][1:], strict=True):
        if arg.startswith("--"):
            name, equals, value = arg[2:].partition("=")
            name = name.replace("-", "_")
            bare = name in switches and not equals and following.lower() not in _BOOLEANS
            spelled.append(f"--{name}=true" if bare else f"--{name}{equals}{value}")
        else:
            spelled.append(arg)
    return spelled


def _show_dashes(parser: ArgumentParser) -> None:
    # The parser looks flags up by the names that it was given, and shows those that the actions hold.
    for action in parser._actions:
        action.option_strings = [flag.replace("_", "-") for flag in action.option_strings]


def _spell(name: str) -> str:
    return f"--{name.replace('_', '-')}"
