"""The command line of a command whose settings are a dataclass: flags, help and YAML from its fields and docstring."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from jsonargparse import ArgumentParser, DefaultHelpFormatter

from data.files import require_absent
from export.cli import FAILED, ExampleFormatter
from export.terminal import print_error
from train.errors import TrainError
from train.limits import find_unusable
from train.yaml_bound import find_unbounded, load_bounded

Config = TypeVar("Config")

_KEPT = "\0"
"""Begins a value that is kept as typed; no argument of a process can hold this character."""

_BOOLEANS = ("true", "false", "yes", "no", "on", "off")


class ConfigFormatter(ExampleFormatter, DefaultHelpFormatter):
    """jsonargparse's help, with examples as in the help of every other command."""


class SentenceParser(ArgumentParser):
    """jsonargparse's parser, whose errors are one sentence in place of a page of usage, and whose numbers are bounded.

    Attributes:
        example: A whole command, told where a required flag is missing.
    """

    example: str = ""

    def parse_args(self, args: Sequence[str] | None = None, *further: Any, **options: Any) -> Any:  # type: ignore[override]
        """Parse a command line as the base class does, if its values are of bounded size.

        Raises:
            TrainError: Naming a flag whose number is not finite or does not fit into 64 bits.
        """
        typed = list(sys.argv[1:] if args is None else args)
        unbounded = find_unbounded(typed)
        if unbounded is not None:
            self.error(unbounded)
        try:
            parsed = super().parse_args(typed, *further, **options)
        except UnicodeDecodeError as error:
            self.error(
                f"a --config file is not UTF-8 text (byte {error.object[error.start]:#04x} at {error.start}); save it "
                "as UTF-8, or name a YAML file"
            )
        except OverflowError:
            # jsonargparse lets float() refuse an integer of hundreds of digits.
            self.error("a number has more digits than any computer counts with; give one of at most 19")
        except RecursionError:
            self.error("a --config file or a value names itself, or is nested too deep; write it out")
        unusable = find_unusable(parsed)
        if unusable is not None:
            name, value = unusable
            raise TrainError(f"{self.spell(name)} is {value}; it must be a finite number of at most 19 digits")
        return parsed

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong and leave with exit code 2."""
        if os.environ.get("JSONARGPARSE_DEBUG"):
            super().error(message, ex)
        sentence = " ".join(message.split())
        missing = re.fullmatch(r"the following arguments are required: (.*)", sentence)
        if missing and self.example:
            flags = " and ".join(self.spell(name) for name in missing[1].split(", "))
            sentence = f"{flags} must be given; for example: {self.example}"
        print_error(re.sub(r'Parser key "([^"]+)"', lambda key: self.spell(key[1]), sentence))
        sys.exit(FAILED)

    def format_help(self, *args: Any, **options: Any) -> str:
        """Return the help; jsonargparse takes a space back with a character that is not sent to terminals here."""
        return super().format_help(*args, **options).replace(" \b", "")

    def spell(self, name: str) -> str:
        """Return the flag of a setting, such as ``trainer.max_steps``."""
        return f"--{name}"


class ConfigParser(SentenceParser):
    """The parser of a dataclass's flags, which have dashes."""

    def spell(self, name: str) -> str:
        """Return the flag of a setting, such as ``save_every``."""
        return f"--{name.replace('_', '-')}"


def parse_config(
    config_class: type[Config],
    prog: str,
    description: str,
    examples: Sequence[str],
    args: Sequence[str] | None = None,
    list_outputs: Callable[[Config], Iterable[Path]] = lambda _: (),
) -> Config:
    """Parse a command line into a configuration.

    Args:
        config_class: A dataclass with Google-style ``Args`` for the help; each field becomes a flag with dashes, which
            may be typed with underscores, too.
        prog: How the command is called.
        description: What it does, in a sentence.
        examples: Whole commands; the first is told where a required flag is missing.
        args: Arguments in place of those of the process.
        list_outputs: Lists the files that a configuration lets the command write.

    Returns:
        The configuration, from ``--config`` files and flags; what comes later prevails.

    Raises:
        OutputError: If a ``--config`` file is also an output.
    """
    parser = ConfigParser(
        prog=prog,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        formatter_class=ConfigFormatter,
    )
    parser.example = examples[0]
    parser.add_argument("--config", action="config", help="YAML file of these flags; several stack")
    parser.add_class_arguments(config_class, None)
    _show_dashes(parser)
    types = {field.name: str(getattr(field.type, "__name__", field.type)) for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    switches = {name for name, kind in types.items() if kind == "bool"}
    lists = {name for name, kind in types.items() if kind == "list[str]"}
    texts = {name for name, kind in types.items() if kind == "str | None"}
    typed = list(sys.argv[1:] if args is None else args)
    parsed = parser.parse_args(spell_flags(typed, switches, lists, texts))
    values: dict[str, Any] = {
        name: value.removeprefix(_KEPT) if name in texts and value is not None else value
        for name, value in vars(parsed).items()
        if name != "config"
    }
    config = config_class(**values)
    if parsed.config:
        require_absent(list_outputs(config), True, inputs=[path.absolute for path in parsed.config])
    return config


def spell_flags(
    args: Sequence[str], switches: Collection[str], lists: Collection[str] = (), texts: Collection[str] = ()
) -> list[str]:
    """Turn flags as they are typed into those of jsonargparse.

    Args:
        args: Arguments; flags have dashes or underscores.
        switches: Names of the settings that are true where their flag has no value.
        lists: Names of the settings that take several words.
        texts: Names of the settings that are a text or null.

    Returns:
        Arguments with underscores in the flags, a value for each switch, several words as one list, and a mark before
        each text that YAML would read as null.
    """
    spelled: list[str] = []
    pending = list(args)
    while pending:
        arg = pending.pop(0)
        if not arg.startswith("--"):
            spelled.append(arg)
            continue
        name, equals, value = arg[2:].partition("=")
        name = name.replace("-", "_")
        if name in lists and not equals:
            words = list(takewhile(lambda word: not word.startswith("--"), pending))
            del pending[: len(words)]
            # A list of YAML's may be typed, too.
            is_list = words[:1] and words[0].startswith("[")
            spelled += [f"--{name}", *(words if is_list or not words else [json.dumps(words)])]
        elif name in texts and (equals or (pending and not pending[0].startswith("--"))):
            text = value if equals else pending.pop(0)
            spelled.append(f"--{name}={_KEPT if _is_null(text) and text != 'null' else ''}{text}")
        elif name in switches and not equals and (not pending or pending[0].lower() not in _BOOLEANS):
            spelled.append(f"--{name}=true")
        else:
            spelled.append(f"--{name}{equals}{value}")
    return spelled


def _is_null(text: str) -> bool:
    """Return whether YAML reads a text as null, as it does a tilde, and a file's name that begins with a hash."""
    try:
        return load_bounded(text) is None
    except yaml.YAMLError:
        return False


def _show_dashes(parser: ArgumentParser) -> None:
    # The parser looks flags up by the names that it was given, and shows those that the actions hold.
    for action in parser._actions:
        action.option_strings = [flag.replace("_", "-") for flag in action.option_strings]
