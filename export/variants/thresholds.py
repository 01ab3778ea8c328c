"""Whether a variant still paints the same picture: its difference from torch on real photos, and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.ImageOps
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from data.images import ImageError, decode, fit_within, list_images, to_array
from data.samples import SAMPLES, sample_photo

GATE_SIDE, GATE_COUNT, CALIBRATION_COUNT = 320, 6, 10

Pixels = npt.NDArray[np.uint8]


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

    def to_dict(self) -> dict[str, float]:
        """Return the figures, rounded for reading."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Gate:
    """What a variant has to reach on every photo; it is refused below."""

    max_levels: float = 255
    psnr_db: float = 0
    ssim: float = 0

    def refusal(self, found: Difference) -> str | None:
        """Say which figure fails; None if all pass."""
        if not found.max_levels <= self.max_levels:
            return f"{found.max_levels:.3g} levels of 255 from torch where {self.max_levels:g} are allowed"
        if not found.psnr_db >= self.psnr_db:
            return f"a PSNR of {found.psnr_db:.1f} dB where {self.psnr_db:g} dB are needed"
        if not found.ssim >= self.ssim:
            return f"an SSIM of {found.ssim:.3f} where {self.ssim:g} is needed"
        return None


GATES = {
    "float32": Gate(max_levels=0.05),
    "fp16": Gate(psnr_db=55),
    "u8": Gate(max_levels=1),
    "w8": Gate(psnr_db=40),
    "int8": Gate(psnr_db=30, ssim=0.9),
}
"""What each variant has to reach."""


def compare_pictures(found: Sequence[npt.NDArray[np.number]], expected: Sequence[npt.NDArray[np.number]]) -> Difference:
    """Compare pictures, shape (3, H, W), values of 0 to 255, and return the worst figures."""
    levels, psnr, ssim = [0.0], [99.0], [1.0]
    for one, two in zip(found, expected, strict=True):
        error = one.astype(np.float64) - two.astype(np.float64)
        levels.append(float(np.abs(error).max()))
        mean = float(np.square(error).mean())
        psnr.append(99.0 if mean == 0 else 10 * np.log10(255**2 / mean))
        left, right = (torch.from_numpy(np.asarray(values, np.float32)[None]) for values in (one, two))
        ssim.append(float(structural_similarity_index_measure(left, right, data_range=255.0)))  # type: ignore[arg-type]
    # NaN, which the built-in comparisons overlook, is passed on and fails every gate.
    return Difference(float(np.max(levels)), float(np.min(psnr)), float(np.min(ssim)))


def find_photos(folder: Path | None) -> list[Path]:
    """List the photos of a folder, or the sample photos that scikit-image carries.

    Raises:
        ImageError: If there is no photo, or scikit-image is not installed and no folder named.
    """
    if folder is not None:
        return list_images(folder, "name a folder of JPEG or PNG photos with --photos")
    try:
        return [sample_photo(name) for name in SAMPLES]
    except ImageError as error:
        raise ImageError(f"variants are tried on photos: name a folder with --photos ({error})") from error


def split_photos(paths: Sequence[Path], size: tuple[int, int] | None = None) -> tuple[list[Pixels], list[Pixels]]:
    """Read the photos that variants are judged by, and others to calibrate with.

    Args:
        paths: At least one photo. Of fewer than three, each serves both ends.
        size: Height and width that every photo is cut to; None for photos of 320 pixels and their own shape.

    Returns:
        At most 6 photos to judge by and at most 10 to calibrate with, uint8, shape (H, W, 3).
    """
    judges, others = (paths, paths) if len(paths) < 3 else (paths[::2], paths[1::2])
    return [_read(path, size) for path in _spread(judges, GATE_COUNT)], [
        _read(path, None) for path in _spread(others, CALIBRATION_COUNT)
    ]


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    return [paths[at] for at in sorted(set(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)))]


def _read(path: Path, size: tuple[int, int] | None) -> Pixels:
    photo = decode(path)
    if size is None:
        return to_array(fit_within(photo, GATE_SIDE))
    return to_array(PIL.ImageOps.fit(photo, (size[1], size[0])))
