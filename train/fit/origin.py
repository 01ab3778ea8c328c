"""What a training starts from: random weights, a trained style, or the shared start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from data.photos import read_style
from models.network import NetworkConfig
from models.start import (
    ARCHITECTURE,
    START_FILE,
    STATISTICS_LAYERS,
    STATISTICS_SIZE,
    describe_painting,
    is_start_file,
    read_start_config,
)
from models.style_file import load_style
from models.vgg import VGGFeatures

RANDOM = "none"
"""Value of ``--model.start_from`` for random weights."""

SHARED = "start"
"""Value of ``--model.start_from`` for the shared start: a name, because what a training starts from stands in the files
that it ships, and where this program lies on a machine is nobody's business."""

KEPT_STYLES = START_FILE.parent / "pretrained"
"""Folder of the kept styles, which may be named without their path."""


class Origin(NamedTuple):
    """What a training starts from.

    Args:
        start_from: Path of a style file or a start file, a kept style's name, ``SHARED`` or ``RANDOM``.
        description: The same in words, for the run's first line.
    """

    start_from: str
    description: str


def choose_origin(given: str | None, network: Mapping[str, Any], start: Path = START_FILE) -> Origin:
    """Choose what a training starts from.

    Args:
        given: ``RANDOM``, ``SHARED``, a kept style's name, or the path of a style file or a start file; None if nothing
            was asked for: the shared start, if it is there and has the network's architecture.
        network: Fields of the network's ``NetworkConfig``.
        start: The shared start's file.

    Raises:
        ModelFileError: If nothing was asked for and the shared start cannot be read.
    """
    if given == RANDOM:
        return Origin(RANDOM, "from random weights")
    if given is not None:
        return Origin(given, f"from the shared start {start.name}" if given == SHARED else f"from {given}")
    if not start.is_file():
        return Origin(RANDOM, f"from random weights (the shared start {start.name} is not there)")
    own = read_start_config(start).to_dict()
    differing = [name for name in ARCHITECTURE if own[name] != network[name]]
    if differing:
        name = differing[0]
        return Origin(
            RANDOM, f"from random weights (the shared start has {name} {own[name]}, this network {network[name]})"
        )
    return Origin(SHARED if start == START_FILE else str(start), f"from the shared start {start.name}")


def find_origin_file(name: str) -> Path:
    """Return the path of a style or start file: of the shared start or a kept style if named, else what was given."""
    if Path(name).name != name or Path(name).is_file():
        return Path(name)
    kept = START_FILE if name == SHARED else KEPT_STYLES / f"{name}.safetensors"
    return kept if kept.is_file() else Path(name)


def read_style_network(start_from: str | None) -> NetworkConfig | None:
    """Read the architecture, noise and strength of the style that a training starts from.

    Args:
        start_from: As in ``Origin``, or None.

    Returns:
        Them; None if the training starts from random weights or from the shared start.

    Raises:
        ModelFileError: If the file is absent or is neither.
    """
    if start_from in {None, RANDOM}:
        return None
    path = find_origin_file(str(start_from))
    return None if is_start_file(path) else load_style(path)[0].config


def describe_files(paths: Iterable[Path]) -> list[Tensor]:
    """Compute the statistics of paintings from which the shared start predicts their norms.

    Args:
        paths: Picture files.

    Returns:
        For each a description, shape (D,).

    Raises:
        ImageError: If a picture cannot be read.
    """
    features = VGGFeatures("vgg_small", STATISTICS_LAYERS)
    return [describe_painting(features, read_style(path, STATISTICS_SIZE)) for path in paths]
