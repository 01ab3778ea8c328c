"""Ranges of the commands' settings, so that a mistyped number ends in a one-sentence error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from train.errors import TrainError, spell_flag

SEEDS = (-(2**63), 2**64 - 1)
"""Smallest and largest seed that torch takes."""

MOST_SIDE = 100_000
"""Largest side in pixels that a flag may ask for: larger than every picture that can be read."""

MOST_STEPS = 1_000_000_000
"""Most steps that are counted."""

MOST_WEIGHT = 1e6
"""Largest weight or share of a loss term: its square times a picture's activations is still finite in float32."""

POWERS = (0, 16)
"""Smallest and largest power by which some places count for more than others; at the largest, hardly any other does."""


def require_between(least: float, most: float, **flags: float) -> None:
    """Refuse a number outside of a range, and one that is not a number.

    Args:
        least: The smallest value allowed.
        most: The largest value allowed.
        flags: Values by flag, as ``spell_flag`` takes them.

    Raises:
        TrainError: Naming the first flag whose value is outside.
    """
    for name, value in flags.items():
        if not least <= value <= most:
            raise TrainError(f"{spell_flag(name)} is {value}; it must be between {least} and {most}")


def require_positive(most: float, **flags: float) -> None:
    """Refuse a number that is not above 0 or that is too large, and one that is not a number.

    Args:
        most: The largest value allowed; infinity allows every finite number.
        flags: Values by flag, as ``spell_flag`` takes them.

    Raises:
        TrainError: Naming the first flag whose value is outside.
    """
    for name, value in flags.items():
        if not (0 < value <= most and math.isfinite(value)):
            limit = f" and at most {most:g}" if math.isfinite(most) else ""
            raise TrainError(f"{spell_flag(name)} is {value}; it must be above 0{limit}")


MOST_RATE = 1e30
"""Largest learning rate of the trainer: its product with a step of Adam's is still finite in float32."""

LIGHTNING_SEEDS = (0, 2**32 - 1)
"""Smallest and largest seed of a training: what NumPy takes."""

RANGES: Mapping[str, tuple[float, float]] = {
    "seed_everything": LIGHTNING_SEEDS,
    "trainer.gradient_clip_val": (0, MOST_RATE),
    "trainer.log_every_n_steps": (0, MOST_STEPS),
    "trainer.max_steps": (1, MOST_STEPS),
    "trainer.num_sanity_val_steps": (-1, MOST_STEPS),
    "data.batch_size": (1, 4096),
    "data.early_steps": (0, MOST_STEPS),
    "data.held_out": (1, 1_000_000),
    "data.image_size": (64, 4096),
    "data.workers": (0, 1024),
    "model.content_focus": POWERS,
    "model.emd_rarity": POWERS,
    "model.learning_rate": (0, MOST_RATE),
    "model.network.residual_blocks": (0, 100),
    "model.network.width": (1, 1024),
    "model.style_size": (32, MOST_SIDE),
    "preview.count": (1, 1000),
}
"""Smallest and largest value of the trainer's settings that stand for time or memory, or that Lightning does not check.

Each bound is beyond what is of use on the machines of today; the classes that take the values may refuse more.
"""


def check_ranges(config: Mapping[str, Any]) -> None:
    """Refuse numbers of the trainer's settings that cannot work, before anything is read or written.

    Args:
        config: Settings by their dotted names.

    Raises:
        TrainError: Naming the first flag whose value is outside of ``RANGES``, or a weight above ``MOST_WEIGHT``.
    """
    for name, value in config.items():
        least, most = RANGES.get(name, (-math.inf, math.inf))
        if name.startswith("model.") and name.endswith("_weight"):
            least, most = 0, MOST_WEIGHT
        if isinstance(value, int | float) and not least <= value <= most:
            raise TrainError(f"--{name} is {value}; it must be between {least:.10g} and {most:.10g}")


def find_unusable(config: Any, name: str = "") -> tuple[str, int | float] | None:
    """Find a number that is not finite, or larger than 64 bits, in settings of any depth.

    Args:
        config: Settings, from a mapping to a number.
        name: Their dotted name.

    Returns:
        The number's dotted name and the number; None if there is none.
    """
    if isinstance(config, float) and not math.isfinite(config):
        return name, config
    if isinstance(config, int) and not SEEDS[0] <= config <= SEEDS[1]:
        return name, config
    inside: Sequence[tuple[Any, Any]] = ()
    if isinstance(config, Mapping) or hasattr(config, "as_dict"):
        inside = list((config if isinstance(config, Mapping) else config.as_dict()).items())
    elif isinstance(config, list | tuple):
        inside = [("", value) for value in config]
    for key, value in inside:
        found = find_unusable(value, f"{name}.{key}".strip(".") if key != "" else name)
        if found is not None:
            return found
    return None
