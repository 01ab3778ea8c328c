"""YAML of bounded size: a few aliases of aliases can stand for more values than fit into any memory.

``import train.yaml_bound`` makes jsonargparse read its files, too, with these bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

MAX_VALUES = 10_000
"""Values that a text may stand for, each alias counted as what it repeats; a whole ``config.yaml`` has about 100."""

MAX_DEPTH = 50
"""Lists and mappings within one another."""

MAX_DIGITS = 400
"""Digits of a number, more than any that is of use: the largest float has 309."""

_MANY_DIGITS = re.compile(rf"[0-9]{{{MAX_DIGITS + 1},}}")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YAMLBoundError(yaml.YAMLError):
    """A text stands for too many values, or for itself; the message says so without naming the file."""


def require_bounded(text: str) -> None:
    """Count the values of a text without building them.

    Args:
        text: One YAML document.

    Raises:
        YAMLBoundError: If it stands for more than ``MAX_VALUES`` values, lies deeper than ``MAX_DEPTH``, or repeats a
            value within itself.
        yaml.YAMLError: If it is not YAML.
    """
    sizes: dict[str | None, int | None] = {}
    # Of each open list or mapping its name, if it has one, and its values so far; of the document, too.
    opened: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            if event.anchor is not None:
                sizes[event.anchor] = None
            opened.append((event.anchor, 1))
            if len(opened) - 1 > MAX_DEPTH:
                raise YAMLBoundError(f"more than {MAX_DEPTH} lists or mappings within one another; nest less")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = opened.pop()
        elif isinstance(event, yaml.ScalarEvent):
            require_few_digits(event.value)
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            anchor, found = None, sizes.get(event.anchor, 0)
            if found is None:
                raise YAMLBoundError(f"*{event.anchor} repeats what it is a part of; write the value out")
            size = found
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        name, before = opened.pop()
        opened.append((name, before + size))
        if before + size > MAX_VALUES:
            raise YAMLBoundError(
                f"more than the {MAX_VALUES:,} values accepted, each alias counted as what it repeats; write less"
            )


def require_few_digits(text: str) -> None:
    """Refuse a number that Python would not read.

    Raises:
        YAMLBoundError: If there are more than ``MAX_DIGITS`` digits in a row.
    """
    found = _MANY_DIGITS.search(text)
    if found:
        raise YAMLBoundError(f"a number of {len(found[0])} digits; give at most {MAX_DIGITS}")


def load_bounded(text: str) -> Any:
    """Return what a text stands for; raises what ``require_bounded`` does, and ``yaml.YAMLError`` as PyYAML."""
    require_bounded(text)
    return yaml.load(text, Loader=_LOADER)


def find_unbounded(args: Iterable[str]) -> str | None:
    """Say in a sentence which argument of a command line stands for too many values; None if none does."""
    for arg in args:
        try:
            require_few_digits(arg)
        except YAMLBoundError as error:
            return f"an argument of {len(arg)} characters holds {error}"
        flag, equals, value = arg.partition("=")
        # Without an alias, a value is as large as it was typed.
        if "*" not in arg or "&" not in arg:
            continue
        try:
            require_bounded(value if equals and flag.startswith("--") else arg)
        except YAMLBoundError as error:
            return f"an argument of {len(arg)} characters stands for {error}"
        except yaml.YAMLError:
            continue
    return None


_load_unbounded = get_loader("yaml")


def _load_file(stream: str) -> Any:
    require_bounded(stream)
    return _load_unbounded(stream)


set_loader("yaml", _load_file, (yaml.YAMLError,))
