"""What training refuses."""

from __future__ import annotations


class TrainError(RuntimeError):
    """A run cannot start or go on; the message is one sentence for the user."""


def require_at_least(least: int, **flags: int) -> None:
    """Refuse a number that is too small.

    Args:
        least: The smallest value allowed.
        flags: Values by flag, with two underscores for its dot: ``data__batch_size``.

    Raises:
        TrainError: Naming the first flag whose value is smaller.
    """
    for name, value in flags.items():
        if value < least:
            raise TrainError(f"--{name.replace('__', '.')} is {value}; it must be at least {least}")
