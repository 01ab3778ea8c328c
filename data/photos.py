"""Photos from a folder, in an order and with crops that depend on the seed and the sample's number alone.

Sample ``n`` of a run is the same picture whether the run was interrupted or not, and on however many processes it runs.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image, Resampling
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from data.images import ImageError, decode, scale_short_side, to_array, to_planes

MAX_FAILURES = 20
"""Unreadable photos in a row that end a run: so many mean a wrong folder or a disk that was removed."""

CROP_SCALE = (0.4, 1.0)
"""Smallest and largest share of a photo's area that a random crop covers, wherever photos are trained on."""

ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Width over height of the random crops before they are made square (Szegedy et al. 2014, section 6)."""

Failures = tuple[tuple[str, str], ...]
"""Path and reason of each photo that could not be read."""


class Sample(NamedTuple):
    """One photo.

    Args:
        photo: uint8, shape (3, S, S), RGB.
        failures: Photos that could not be read and that this one stands in for.
    """

    photo: Tensor
    failures: Failures


class PhotoBatch(NamedTuple):
    """Several photos.

    Args:
        photos: uint8, shape (B, 3, S, S), RGB, in channels-last layout.
        failures: Those of all samples; pinned memory turns the tuples into lists.
    """

    photos: Tensor
    failures: Failures


def hold_out(paths: Sequence[Path], count: int, root: Path) -> tuple[list[Path], list[Path]]:
    """Set photos aside for validation: those whose names below ``root`` have the smallest hashes.

    Args:
        paths: Photos below ``root``.
        count: How many to set aside.
        root: The photo folder; its own name and place do not matter.

    Returns:
        Training photos and held-out photos, both in the order of ``paths``.

    Raises:
        ImageError: If no photo would be left for training.
    """
    if not 0 <= count < len(paths):
        raise ImageError(
            f"{len(paths)} photos cannot give {count} for validation and leave one for training; "
            f"add photos or hold out fewer"
        )
    names = [_name_below(path, root) for path in paths]
    ranked = sorted(range(len(paths)), key=lambda index: (hashlib.blake2b(names[index]).digest(), index))
    chosen = set(ranked[:count])
    training = [path for index, path in enumerate(paths) if index not in chosen]
    return training, [path for index, path in enumerate(paths) if index in chosen]


def fingerprint(paths: Sequence[Path], root: Path) -> str:
    """Return 16 hexadecimal digits that identify a list of photos by their names below ``root`` and their order."""
    return hashlib.blake2b(b"\0".join(_name_below(path, root) for path in paths), digest_size=8).hexdigest()


class PhotoStream(Dataset[Sample]):
    """Training photos: every photo once per epoch, in a new order, cropped and mirrored at random.

    With N photos, sample ``n`` is photo ``n % N`` in the order of epoch ``n // N``. A photo that cannot be read is
    replaced by the next one in that order. Reading a sample leaves torch's global random state as it was.

    Args:
        paths: Photos, in an order that does not change between runs.
        size: Side of the square crops in pixels.
        seed: Seed of the order and the crops.
        crop_scale: Smallest and largest share of a photo's area that a crop covers.
        flip: Mirror half of the crops left to right.

    Raises:
        ImageError: If there is no photo.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        seed: int,
        crop_scale: tuple[float, float] = CROP_SCALE,
        flip: bool = True,
    ) -> None:
        if not paths:
            raise ImageError("there is no photo to train with; name a folder of JPEG or PNG files")
        # One block of memory: a list's objects would be copied into every worker as their reference counts change.
        self._paths = np.array([os.fsencode(path) for path in paths])
        self._seed = seed
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))
        # The narrowest crop of a square photo still has `size` pixels across, so that none is enlarged needlessly.
        self._at_least = math.ceil(size / math.sqrt(crop_scale[0] * ASPECT_RATIOS[0]))
        self._augment = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=crop_scale, ratio=ASPECT_RATIOS, antialias=True),
                v2.RandomHorizontalFlip(0.5 if flip else 0.0),
            ]
        )

    def __len__(self) -> int:
        """Return the number of samples of one epoch; their numbers continue beyond it."""
        return len(self._paths)

    def __getitem__(self, n: int) -> Sample:
        """Read sample ``n``, counted from the start of the run.

        Raises:
            ImageError: If ``MAX_FAILURES`` photos in a row, or all of them, cannot be read.
        """
        epoch, position = divmod(n, len(self))
        failures: list[tuple[str, str]] = []
        for offset in range(min(MAX_FAILURES, len(self))):
            path = self._photo(epoch, (position + offset) % len(self))
            try:
                image = decode(path, at_least=self._at_least)
            except ImageError as error:
                failures.append((str(path), str(error)))
                continue
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would seed the accelerators too.
                torch.default_generator.manual_seed(mix_seed("crop", self._seed, n))
                return Sample(_to_tensor(self._augment(image)), tuple(failures))
        raise ImageError(f"{len(failures)} photos in a row cannot be used, the first because {failures[0][1]}")

    def _photo(self, epoch: int, position: int) -> Path:
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(mix_seed("order", self._seed, epoch))
            self._order = (epoch, torch.randperm(len(self), generator=generator))
        return Path(os.fsdecode(self._paths[int(self._order[1][position])]))


class HeldOutPhotos(Dataset[Sample]):
    """Validation photos: the central square of each that can be read, scaled to one size and kept in memory.

    Args:
        paths: Photos.
        size: Side of the squares in pixels; each photo takes 3 size^2 bytes.
        at_most: How many to read; by default all.

    Attributes:
        failures: Photos that could not be read.

    Raises:
        ImageError: If no photo can be read.
    """

    def __init__(self, paths: Sequence[Path], size: int, at_most: int | None = None) -> None:
        self._photos: list[Tensor] = []
        self.failures: Failures = ()
        for path in paths:
            if len(self._photos) == at_most:
                break
            try:
                self._photos.append(_to_tensor(_central_square(decode(path), size)))
            except ImageError as error:
                self.failures += ((str(path), str(error)),)
        if not self._photos:
            reason = f", the first because {self.failures[0][1]}" if self.failures else ""
            raise ImageError(f"none of {len(paths)} held-out photos can be used{reason}")

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._photos)

    def __getitem__(self, index: int) -> Sample:
        """Take a photo out of memory."""
        return Sample(self._photos[index], ())


class StepSampler(Sampler[list[int]]):
    """The numbers of the samples of every step of a run, for one of several processes.

    All processes together read at each step what a single one with ``world_size`` times the batch would.

    Args:
        batch_size: Samples per step and process.
        steps: Steps of the whole run.
        start_step: Steps already taken, by a run that is resumed.
        rank: This process's number.
        world_size: How many processes there are.
    """

    def __init__(self, batch_size: int, steps: int, start_step: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.batch_size = batch_size
        self.steps = steps
        self.start_step = start_step
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of each step that is left."""
        for step in range(self.start_step, self.steps):
            first = (step * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))

    def __len__(self) -> int:
        """Return the number of steps of the whole run; the trainer itself counts those that are taken."""
        return self.steps


def collate(samples: Sequence[Sample]) -> PhotoBatch:
    """Stack samples of one size."""
    rows = torch.stack([sample.photo.permute(1, 2, 0) for sample in samples])  # (B, S, S, 3)
    return PhotoBatch(rows.permute(0, 3, 1, 2), tuple(failure for sample in samples for failure in sample.failures))


def to_unit(photos: Tensor) -> Tensor:
    """Map bytes to float32 in [0, 1]; shape, layout and device stay."""
    return photos.to(torch.float32).div_(255)


def read_style(path: Path, size: int | None) -> Tensor:
    """Read the picture whose style is learned.

    Args:
        path: A picture file.
        size: Pixels that its short side is scaled to, up or down; None leaves it as it is.

    Returns:
        Shape (1, 3, H, W), float32 in [0, 1], RGB.

    Raises:
        ImageError: If the picture cannot be read.
    """
    image = decode(path)
    if size is not None:
        image = scale_short_side(image, size)
    return to_tensor(to_array(image))


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn RGB bytes, shape (H, W, 3), into float32 in [0, 1], shape (1, 3, H, W)."""
    return torch.from_numpy(to_planes(pixels))[None]


def _central_square(image: Image, size: int) -> Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _to_tensor(image: Image) -> Tensor:
    return torch.from_numpy(to_array(image)).permute(2, 0, 1)


def _name_below(path: Path, root: Path) -> bytes:
    return os.fsencode(path.relative_to(root).as_posix())


def mix_seed(purpose: str, seed: int, number: int) -> int:
    """Return 64 bits that depend on all three: what sample ``number`` of a run draws for one purpose."""
    # A hash, so that neighboring seeds share nothing: seed + n would give run 1 the crops of run 0, one sample later.
    return int.from_bytes(hashlib.blake2b(f"{purpose} {seed} {number}".encode(), digest_size=8).digest(), "big")


def to_uint8(picture: Tensor) -> NDArray[np.uint8]:
    """Turn RGB in [0, 1], shape (3, H, W), into bytes, shape (H, W, 3)."""
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
