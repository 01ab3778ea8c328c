"""Which device the commands without Lightning compute on, chosen in this one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def choose_device() -> torch.device:
    """Return the first GPU that torch can use through CUDA, or else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe_device(device: torch.device) -> str:
    """Name a device for a person: ``cuda (NVIDIA H100)``, or ``CPU``."""
    import torch

    return f"{device.type} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type.upper()
