"""The error of the training commands, and checks that raise it."""

from __future__ import annotations

from collections.abc import Iterable


class TrainError(RuntimeError):
    """A run cannot start or go on; the message is one sentence for the user."""


def spell_flag(name: str) -> str:
    """Return the flag of a setting.

    Args:
        name: ``save_every`` for a flag of ours, which has dashes; ``data__batch_size`` for one of Lightning's, which
            has a dot and keeps its underscores, as ``ckpt_path`` does.
    """
    if name == "ckpt_path":
        return "--ckpt_path"
    return f"--{name.replace('__', '.') if '__' in name else name.replace('_', '-')}"


def require_named(**paths: str | Iterable[str] | None) -> None:
    """Refuse an empty string for a path, which would mean the current folder.

    Args:
        paths: A path, several, or None, by flag as ``spell_flag`` takes them.

    Raises:
        TrainError: Naming the first flag that is given an empty string.
    """
    for name, given in paths.items():
        if given is not None and "" in ([given] if isinstance(given, str) else list(given)):
            raise TrainError(
                f"{spell_flag(name)} is an empty string; name a file or a folder, '.' for this folder, or leave it out"
            )


def require_at_least(least: int, **flags: int) -> None:
    """Refuse a number that is too small.

    Args:
        least: The smallest value allowed.
        flags: Values by flag, as ``spell_flag`` takes them.

    Raises:
        TrainError: Naming the first flag whose value is smaller.
    """
    for name, value in flags.items():
        if value < least:
            raise TrainError(f"{spell_flag(name)} is {value}; it must be at least {least}")
