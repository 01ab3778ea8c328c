"""How far a variant's pictures may be from torch's on real photos, and how that is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

LARGEST_PSNR_DB = 99.0
"""Stands for the infinite PSNR of equal pictures, because JSON has no infinity."""


@dataclass(frozen=True)
class Difference:
    """How far a variant's pictures are from torch's: the worst photo's figures.

    Args:
        max_levels: Largest difference of a value, on the scale of 0 to 255.
        psnr_db: Peak signal-to-noise ratio in decibels, 99 for equal pictures.
        ssim: Structural similarity (Wang et al. 2004), 1 for equal pictures.
    """

    max_levels: float
    psnr_db: float
    ssim: float

    def round(self) -> Difference:
        """Return the figures to four decimal places, for reading."""
        return Difference(**{name: round(value, 4) for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Threshold:
    """What a variant has to reach on every photo; it is refused otherwise.

    Args:
        max_levels: Largest difference of a value that is allowed, on the scale of 0 to 255.
        psnr_db: Lowest allowed peak signal-to-noise ratio, in decibels.
        ssim: Lowest allowed structural similarity.
    """

    max_levels: float = 255
    psnr_db: float = 0
    ssim: float = 0

    def refusal(self, found: Difference) -> str | None:
        """Say which figure fails; None if all pass. NaN fails."""
        if not found.max_levels <= self.max_levels:
            return f"{found.max_levels:.3g} levels of 255 from torch where {self.max_levels:g} are allowed"
        if not found.psnr_db >= self.psnr_db:
            return f"a PSNR of {found.psnr_db:.1f} dB where {self.psnr_db:g} dB are needed"
        if not found.ssim >= self.ssim:
            return f"an SSIM of {found.ssim:.3f} where {self.ssim:g} is needed"
        return None


THRESHOLDS = {
    "float32": Threshold(max_levels=0.05),
    "fp16": Threshold(psnr_db=55),
    "u8": Threshold(max_levels=1),
    "w8": Threshold(psnr_db=40),
    "int8": Threshold(psnr_db=30, ssim=0.9),
}
"""What each variant has to reach."""


def compare_pictures(found: Sequence[npt.NDArray[np.number]], expected: Sequence[npt.NDArray[np.number]]) -> Difference:
    """Compare pictures, shape (3, H, W), values of 0 to 255, and return the worst figures."""
    levels, psnr, ssim = [0.0], [LARGEST_PSNR_DB], [1.0]
    for one, two in zip(found, expected, strict=True):
        left, right = (torch.from_numpy(np.asarray(values, np.float64)[None]) for values in (one, two))
        levels.append(float((left - right).abs().max()))
        ratio = float(peak_signal_noise_ratio(left, right, data_range=255.0))
        psnr.append(LARGEST_PSNR_DB if math.isinf(ratio) else ratio)
        ssim.append(float(structural_similarity_index_measure(left.float(), right.float(), data_range=255.0)))  # type: ignore[arg-type]
    # NaN, which the built-in comparisons overlook, is passed on and fails every threshold.
    return Difference(float(np.max(levels)), float(np.min(psnr)), float(np.min(ssim)))
