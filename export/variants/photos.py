"""The photos that variants are tested on and calibrated with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.ImageOps

from data.images import ImageError, Picture, decode, fit_within, list_images, to_array
from data.samples import SAMPLES, sample_photo
from export.contract import SMALLEST_SIDE

PHOTO_SIDE = 320
"""Long side, in pixels, to which photos are scaled down."""

CALIBRATION_SIZE = (256, 256)
"""Height and width to which photos are cut that ranges of 8 bits are measured on."""

TEST_COUNT = 6
CALIBRATION_COUNT = 10


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
        raise ImageError(f"variants are tested on photos: name a folder with --photos ({error})") from error


@dataclass(frozen=True)
class PhotoSplit:
    """Photos by what they are for, uint8, shape (H, W, 3).

    Args:
        test: At most 6 that variants are tested on.
        equalization: At most 10 others, whole, by which the channels' ranges are made even.
        calibration: The same, cut to squares, on which the ranges of 8 bits are measured.
    """

    test: list[Picture]
    equalization: list[Picture]
    calibration: list[Picture]


def split_photos(paths: Sequence[Path], size: tuple[int, int] | None = None) -> PhotoSplit:
    """Read photos to test variants on, and others to calibrate with.

    Args:
        paths: At least one photo. Of fewer than three, each is used for both.
        size: Height and width that photos to test on and to calibrate with are cut to; None for at most 320 pixels and
            their own shape, and for squares of 256 pixels.
    """
    test, others = (paths, paths) if len(paths) < 3 else (paths[::2], paths[1::2])
    chosen = _choose(others, CALIBRATION_COUNT)
    return PhotoSplit(
        test=[_read(path, size) for path in _choose(test, TEST_COUNT)],
        equalization=[_read(path, None) for path in chosen],
        calibration=[_read(path, size or CALIBRATION_SIZE) for path in chosen],
    )


def _choose(paths: Sequence[Path], count: int) -> list[Path]:
    """Choose paths at equal distances, the first and the last among them."""
    return [paths[at] for at in sorted(set(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)))]


def _read(path: Path, size: tuple[int, int] | None) -> Picture:
    photo = decode(path)
    if size is None:
        photo = fit_within(photo, PHOTO_SIDE)
        # A panorama's ends are cut off, because a network takes no picture so narrow.
        width, height = (max(side, SMALLEST_SIDE) for side in photo.size)
    else:
        height, width = size
    return to_array(PIL.ImageOps.fit(photo, (width, height)))
