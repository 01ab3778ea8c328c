"""Ranges of the commands' settings, so that a mistyped number ends in a one-sentence error."""

from __future__ import annotations

import math

from train.errors import TrainError, spell_flag

SEEDS = (-(2**63), 2**64 - 1)
"""Smallest and largest seed that torch takes."""

MOST_SIDE = 100_000
"""Largest side in pixels that a flag may ask for: larger than every picture that can be read."""

MOST_WEIGHT = 1e6
"""Largest weight or share of a loss term: its square times a picture's activations is still finite in float32."""


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
