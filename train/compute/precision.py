"""Which precision the training computes in: bfloat16 where the hardware has it, for it halves the work.

torch is imported by functions, so that a configuration that names a precision loads without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

PrecisionName = Literal["auto", "float32", "bfloat16"]
"""How a loss may be computed: ``auto`` is bfloat16 where the hardware has it."""

BFLOAT16 = "bf16-mixed"
FLOAT32 = "32-true"
"""Lightning's names: weights are float32 in both."""


def best_precision(accelerator: str = "auto") -> str:
    """Return ``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``.

    Args:
        accelerator: Lightning's name of what will be used; all but ``cpu`` mean a GPU where there is one.
    """
    import torch

    if accelerator != "cpu" and torch.cuda.is_available():
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return BFLOAT16 if supported else FLOAT32


def lower_precision(precision: PrecisionName, device: torch.device) -> torch.autocast:
    """Return the context for one of our own names of a precision."""
    chosen = best_precision(device.type) if precision == "auto" else BFLOAT16 if precision == "bfloat16" else FLOAT32
    return autocast(chosen, device)


def is_lowered(precision: PrecisionName, device: torch.device) -> bool:
    """Tell whether ``auto`` means bfloat16 here, so that a computation may go over to float32 where that is too coarse.

    Who asks for bfloat16 gets nothing else.
    """
    return precision == "auto" and best_precision(device.type) == BFLOAT16


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context that Lightning computes in, for code that runs without it."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BFLOAT16)
