"""Photos for the trainer: which are trained on, which are held out, and where in their order a run stands."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn
from torch.utils.data import DataLoader, Dataset, Sampler

from data.images import ImageError, list_images
from data.photos import (
    CROP_SCALE,
    Failures,
    HeldOutPhotos,
    PhotoBatch,
    PhotoStream,
    Sample,
    StepSampler,
    collate,
    fingerprint,
    hold_out,
)
from data.samples import SAMPLES, SHOWN, sample_photo
from data.scenes import MixedStream, SceneStream
from train.errors import TrainError, require_at_least
from train.fit.checkpoint import require_same

LEAST_SIZE = 64
"""Smallest side of the crops in pixels: smaller ones have no deep features."""

HELD_OUT = 16
"""Photos that are held out unless told, of folders that have at least four times as many."""

PREFETCHED = 4
"""Batches that each process decodes ahead."""

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps the photos that these processes hand over; containers often have 64 MB of it."""


class PhotoLoader(DataLoader[Sample]):
    """A loader that Lightning may resume in mid-run.

    There is nothing to save: which photos a step sees, and how they are cropped, is a function of the seed and the
    step's number alone, and the number is in the checkpoint already.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return nothing; see above."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing; see above."""


class _SizedStream(Dataset[Sample]):
    """Photos in crops of several sizes: an item is named by its size and its number."""

    def __init__(self, streams: dict[int, Dataset[Sample]]) -> None:
        self._streams = streams

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        size, number = key
        return self._streams[size][number]


class _SizedSampler(Sampler[list[tuple[int, int]]]):
    """The sizes and numbers of the samples of every step; the step at which the size changes may be moved meanwhile."""

    def __init__(self, steps: StepSampler, photos: PhotoData) -> None:
        self._steps = steps
        self._photos = photos

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step, numbers in enumerate(self._steps, self._steps.start_step):
            size = self._photos.size_of_step(step)
            yield [(size, number) for number in numbers]

    def __len__(self) -> int:
        return len(self._steps)


class PhotoData(pl.LightningDataModule):
    """A folder of photos, split into those trained on and those held out.

    Args:
        photos: Folder of JPEG, PNG or WebP files, at any depth, such as COCO's ``train2017``; or ``samples``, where no
            folder is called so, the few photos that scikit-image carries, of which one is held out.
        scene_share: Share of the pictures that are drawn by the program in place of photos, 0 to 1.
        val_photos: Folder of photos to validate on; without one, ``held_out`` of ``photos`` are set aside.
        held_out: Number of photos that are never trained on, for validation and previews; by default 16, but of a
            folder of fewer than 64 a quarter.
        image_size: Side of the square crops, in pixels.
        early_size: Side of the crops of the first ``early_steps`` steps, in pixels; they cover as much less of a photo
            as they are smaller, so that things in it have the same size.
        early_steps: Steps with crops of ``early_size``.
        batch_size: Photos per step and process.
        workers: Processes that decode photos; by default half of the cores, at most eight.
        crop_scale: Smallest and largest share of a photo's area that a crop covers.
        seed: Fixes the order of the photos and their crops; follows ``--seed_everything``.
    """

    def __init__(
        self,
        photos: str = "photos",
        scene_share: float = 0.0,
        val_photos: str | None = None,
        held_out: int | None = None,
        image_size: int = 256,
        early_size: int | None = None,
        early_steps: int = 0,
        batch_size: int = 4,
        workers: int | None = None,
        crop_scale: tuple[float, float] = CROP_SCALE,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_at_least(1, data__held_out=1 if held_out is None else held_out, data__batch_size=batch_size)
        require_at_least(LEAST_SIZE, data__image_size=image_size)
        require_at_least(0, data__workers=workers or 0, data__early_steps=early_steps)
        if early_size is not None and not LEAST_SIZE <= early_size <= image_size:
            raise TrainError(
                f"--data.early_size is {early_size}; it must be from {LEAST_SIZE} to --data.image_size, {image_size}"
            )
        if early_steps and early_size is None:
            raise TrainError(f"--data.early_steps is {early_steps}; set --data.early_size, too")
        if not 0 < crop_scale[0] <= crop_scale[1] <= 1:
            raise TrainError(
                f"--data.crop_scale is {list(crop_scale)}; give two shares of the area, 0 < small <= large <= 1"
            )
        if not 0 <= scene_share <= 1:
            raise TrainError(
                f"--data.scene_share is {scene_share}; give a share from 0 (photos only) to 1 (scenes only)"
            )
        self.photos = Path(photos)
        # A folder of that name goes first.
        self._from_samples = photos == "samples" and not self.photos.is_dir()
        if self._from_samples and val_photos is not None:
            raise TrainError(
                f"--data.val_photos is '{val_photos}', and of the samples one is held out; leave it out, or name a "
                "folder with --data.photos"
            )
        self.scene_share = scene_share
        self.val_photos = Path(val_photos) if val_photos is not None else None
        self.held_out = held_out
        self.image_size = image_size
        self.early_size = early_size
        self.early_steps = early_steps
        self.batch_size = batch_size
        self.workers = workers if workers is not None else max(1, min(8, (os.cpu_count() or 1) // 2))
        self.crop_scale = crop_scale
        self.seed = seed
        self.training_paths: list[Path] = []
        self.held_out_paths: list[Path] = []
        self.held_out_failures: Failures = ()
        # Beyond the trainer's length, for a training whose length changes on the way.
        self.spare_steps = 0

    def setup(self, stage: str) -> None:
        """List the photos and set the held-out ones aside.

        Raises:
            ImageError: If a folder is absent or holds no photo.
            TrainError: If no photo is left for training.
        """
        if self.training_paths:
            return
        if self._from_samples:
            self.photos, self.training_paths, self.held_out_paths = _split_samples()
            return
        paths = list_images(self.photos)
        if self.val_photos is None:
            count = self.held_out or max(1, min(HELD_OUT, len(paths) // 4))
            try:
                self.training_paths, self.held_out_paths = hold_out(paths, count, self.photos)
            except ImageError as error:
                raise TrainError(
                    f"'{self.photos}' holds {len(paths)} photos, and --data.held_out {count} leaves none for training; "
                    "add photos, or hold out fewer if that is more than 1"
                ) from error
        else:
            self.held_out_paths = list_images(self.val_photos)[: self.held_out or HELD_OUT]
            outside = {path.resolve() for path in self.held_out_paths}
            self.training_paths = [path for path in paths if path.resolve() not in outside]
            if not self.training_paths:
                raise TrainError(f"every photo of '{self.photos}' is held out; set --data.val_photos to another folder")

    def train_dataloader(self) -> PhotoLoader:
        """Return batches from the step at which the run stands, up to the last.

        Raises:
            TrainError: If shared memory has no room for those that are decoded ahead.
        """
        trainer = self._trainer()
        self._require_shared_memory(trainer.num_devices)
        sampler = StepSampler(
            self.batch_size,
            trainer.max_steps + self.spare_steps,
            trainer.global_step,
            trainer.global_rank,
            trainer.world_size,
        )
        stream: Dataset[Sample] = self._make_stream(self.image_size)
        numbers: Sampler[Any] = sampler
        if self.early_size is not None:
            stream = _SizedStream({size: self._make_stream(size) for size in (self.early_size, self.image_size)})
            numbers = _SizedSampler(sampler, self)
        return PhotoLoader(
            stream,
            batch_sampler=numbers,
            num_workers=self.workers,
            collate_fn=collate,
            pin_memory=trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.workers > 0,
            worker_init_fn=_ignore_stops,
            prefetch_factor=PREFETCHED if self.workers else None,
        )

    def _require_shared_memory(self, processes: int) -> None:
        """Check the room for the batches of all processes that train on this machine: Lightning starts one per device.

        All of them ask before the first one decodes, because Lightning has each wait for the others then.
        """
        # A batch that finds no room is lost with a traceback, and torch waits for it forever.
        if not self.workers or not SHARED_MEMORY.is_dir():
            return
        batch = 3 * self.batch_size * self.image_size**2 * processes
        needed, (total, _, free) = self.steps_ahead * batch, shutil.disk_usage(SHARED_MEMORY)
        # Without a limit, 0 is told for both.
        if total and needed > free:
            raise TrainError(
                f"the photos that are decoded ahead take {needed / 1e6:.0f} MB of shared memory, and "
                f"{free / 1e6:.0f} MB are free; give a container more (docker run --shm-size 1g), or say "
                f"--data.workers {max(0, (free // batch - 2) // PREFETCHED)}"
            )

    @property
    def steps_ahead(self) -> int:
        """Steps after the present one whose photos may be on their way already."""
        return PREFETCHED * self.workers + 2

    def size_of_step(self, step: int) -> int:
        """Return the side of a step's crops, in pixels."""
        return self.early_size if self.early_size is not None and step < self.early_steps else self.image_size

    def _make_stream(self, size: int) -> Dataset[Sample]:
        share = (size / self.image_size) ** 2
        scale = (self.crop_scale[0] * share, self.crop_scale[1] * share)
        photos = PhotoStream(self.training_paths, size, self.seed, crop_scale=scale)
        if self.scene_share == 0:
            return photos
        return MixedStream(photos, SceneStream(size, self.seed), self.scene_share, self.seed)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the held-out photos, the same crops in the same order every time.

        Raises:
            ImageError: If none of them can be read.
        """
        trainer = self._trainer()
        share = self.held_out_paths[trainer.global_rank :: trainer.world_size]
        try:
            mine = HeldOutPhotos(share, self.image_size)
        except ImageError:
            # A process without a photo would miss the averaging over all, and the others would wait for it forever.
            any_one = list(dict.fromkeys([*share, *self.held_out_paths]))
            mine = HeldOutPhotos(any_one, self.image_size, at_most=1)
        self.held_out_failures = mine.failures
        return DataLoader(mine, batch_size=self.batch_size, collate_fn=collate)

    def preview_photos(self, count: int) -> PhotoBatch:
        """Return the first held-out photos that can be read, shape (B, 3, S, S), uint8."""
        shown = HeldOutPhotos(self.held_out_paths, self.image_size, at_most=count)
        return collate([shown[index] for index in range(len(shown))])

    @cached_property
    def _fingerprint(self) -> str:
        # Once: of COCO's 118,000 photos it takes a second, and each checkpoint holds it.
        return fingerprint(self.training_paths, self.photos)

    def plan(self) -> dict[str, Any]:
        """Return what the order of the photos depends on; a resumed run must have the same."""
        trainer = self._trainer()
        return {
            "photo_count": len(self.training_paths) + (len(self.held_out_paths) if self.val_photos is None else 0),
            "photos": self._fingerprint,
            "steps": trainer.max_steps,
            "batch": self.batch_size * trainer.world_size,
            "image_size": self.image_size,
            **({"early_size": self.early_size, "early_steps": self.early_steps} if self.early_size else {}),
            "crop_scale": list(self.crop_scale),
            "scene_share": self.scene_share,
            "seed": self.seed,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the plan, for the checkpoint."""
        return self.plan()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare a checkpoint's plan with this run's, unless it is only validated.

        Raises:
            TrainError: If they differ, because the resumed run would then not continue the one that was begun.
        """
        if self._trainer().state.fn != TrainerFn.FITTING:
            return
        plan = self.plan()
        names = {key: f"--data.{key}" for key in state_dict}
        names |= {"photo_count": "number of photos", "photos": "photo list"}
        names |= {"steps": "--trainer.max_steps", "batch": "batch size times processes"}
        require_same(state_dict, plan, names, "config.yaml and photos")

    def _trainer(self) -> pl.Trainer:
        if self.trainer is None:
            raise RuntimeError("PhotoData works inside a Trainer; call trainer.fit(..., datamodule=...)")
        return self.trainer


def _ignore_stops(worker: int) -> None:
    # A terminal sends Ctrl-C to the workers, too, a cluster SIGTERM; the step under way may still need their photos.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # By SIGTERM torch and Python end workers that hang, one after the other, so that the second one must count.
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


def _split_samples() -> tuple[Path, list[Path], list[Path]]:
    """Return the folder of scikit-image's photos, those to train on, and the one that is held out."""
    shown = sample_photo(SHOWN)
    return shown.parent, [sample_photo(name) for name in SAMPLES if name != SHOWN], [shown]
