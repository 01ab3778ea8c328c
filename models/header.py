"""What the headers of weight files say, checked before anything of the size that they state is built."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import torch

from models.network import NetworkConfig, StyleNetwork

Card = TypeVar("Card")

_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float | None": (int, float, type(None)),
    "tuple[str, ...]": (tuple,),
}


def read_object(text: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: If the text is something else, or nested too deep.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("its header is JSON that is nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError(f"its header holds a {type(found).__name__} where a JSON object is needed")  # noqa: TRY004
    return found


def read_config(text: str, shapes: Mapping[str, Sequence[int]], prefix: str = "") -> NetworkConfig:
    """Read the architecture of a style network that fits the weights of its file.

    Args:
        text: The header's entry, JSON.
        shapes: Of the file's tensors, by name.
        prefix: What the names of the network's tensors begin with.

    Raises:
        ValueError, TypeError: If the text is not an architecture, or the weights are of another width or number of
            residual blocks, so that a network of this architecture could be of any size.
    """
    config = NetworkConfig.from_dict(read_object(text))
    first = shapes.get(f"{prefix}conv1.weight", ())
    width = first[0] if first else 0
    blocks = sum(
        name.startswith(f"{prefix}residual.") and name.endswith(".conv1.weight") and len(shape) == 4
        for name, shape in shapes.items()
    )
    if (config.width, config.residual_blocks) != (width, blocks):
        raise ValueError(
            f"its header says width {config.width} and {config.residual_blocks} residual blocks, its weights have "
            f"width {width} and {blocks}"
        )
    # On the meta device, where a network of any size takes no memory.
    with torch.device("meta"):
        needed = {name: list(value.shape) for name, value in StyleNetwork(config).state_dict().items()}
    for name, shape in needed.items():
        found = shapes.get(prefix + name)
        if found is None or list(found) != shape:
            raise ValueError(f"its {name} has shape {found and list(found)}, needed {shape}")
    return config


def read_card(card_class: type[Card], told: Mapping[str, Any]) -> Card:
    """Make a card of what a header tells; what the card has no field for is left out.

    Args:
        card_class: A dataclass of texts, numbers and tuples of texts.
        told: Values by name.

    Raises:
        ValueError: If a value is of another type than its field, or text that is not Unicode.
        TypeError: If a field without default is missing.
    """
    values = {}
    for field in fields(card_class):  # type: ignore[arg-type]
        if field.name not in told:
            continue
        value, kinds = told[field.name], _KINDS[str(field.type)]
        texts = value if isinstance(value, tuple) else (value,) if kinds == (str,) else ()
        if not isinstance(value, kinds) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"its card's {field.name} is a {type(value).__name__}, needed {field.type}")
        for text in texts:
            # JSON may hold halves of characters, which cannot be written anywhere.
            text.encode()
        values[field.name] = value
    return card_class(**values)
