"""Which precision the training computes in: bfloat16 where the hardware has it, which takes half the time.

torch is imported by functions, so that a configuration that names a precision loads without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

from train.errors import TrainError

PrecisionName = Literal["auto", "float32", "bfloat16"]
"""How a loss may be computed: ``auto`` is bfloat16 where the hardware has it."""

BFLOAT16 = "bf16-mixed"
FLOAT32 = "32-true"
"""Lightning's names: weights are float32 in both."""

ENVIRONMENT = "ONESTROKE_PRECISION"
"""Environment variable that replaces the detection of the hardware: auto, float32 or bfloat16."""

_NAMES = {"float32": FLOAT32, "bfloat16": BFLOAT16}


def best_precision(accelerator: str = "auto") -> str:
    """Return ``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``.

    ``ONESTROKE_PRECISION=float32`` switches bfloat16 off, ``bfloat16`` switches it on where it was not detected; on
    hardware without it a step then takes many times as long.

    Args:
        accelerator: Lightning's name of what will be used; all but ``cpu`` mean a GPU where there is one.

    Raises:
        TrainError: If the environment variable has another value.
    """
    asked = os.environ.get(ENVIRONMENT) or "auto"
    if asked in _NAMES:
        return _NAMES[asked]
    if asked != "auto":
        raise TrainError(f"{ENVIRONMENT} is '{asked}'; set it to auto, float32 or bfloat16")
    import torch

    if accelerator != "cpu" and torch.cuda.is_available():
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return BFLOAT16 if supported else FLOAT32


def name_precision(precision: PrecisionName, device: torch.device) -> str:
    """Return ``float32`` or ``bfloat16``: what ``auto`` means on a device; other names as they are."""
    if precision != "auto":
        return precision
    return "bfloat16" if best_precision(device.type) == BFLOAT16 else "float32"


def lower_precision(precision: PrecisionName, device: torch.device) -> torch.autocast:
    """Return the context in which a loss is computed in a precision."""
    return autocast(best_precision(device.type) if precision == "auto" else _NAMES[precision], device)


def is_lowered(precision: PrecisionName, device: torch.device) -> bool:
    """Tell whether ``auto`` means bfloat16 here, so that a computation may change to float32 where that is too coarse.

    A computation for which bfloat16 was asked by name stays in bfloat16.
    """
    return precision == "auto" and best_precision(device.type) == BFLOAT16


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context that Lightning uses for its name of a precision, for code that runs without Lightning."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BFLOAT16)
