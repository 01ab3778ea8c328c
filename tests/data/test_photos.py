"""The photo order is a function of the seed and the sample's number, whatever happens to the run around it."""

from __future__ import annotations

import pickle
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from data.images import ImageError, list_images
from data.photos import (
    MAX_FAILURES,
    HeldOutPhotos,
    PhotoStream,
    Sample,
    StepSampler,
    collate,
    fingerprint,
    hold_out,
    read_style,
    to_unit,
)
from tests.pictures import flat, noise, ramp, write, write_photos

COUNT = 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of photos, each of one gray level that is its place in the list."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, COUNT)
    return folder


def stream_of(folder: Path, size: int = 8, seed: int = 0, **options: object) -> PhotoStream:
    return PhotoStream(list_images(folder), size, seed, **options)


def which(sample: Sample) -> int:
    """Tell a photo of ``folder`` by its gray level."""
    return int(sample.photo[0, 0, 0])


def read(stream: PhotoStream, sampler: StepSampler, workers: int = 0) -> list[Tensor]:
    loader = DataLoader(stream, batch_sampler=sampler, collate_fn=collate, num_workers=workers)
    return [batch.photos for batch in loader]


# Order


def test_every_epoch_shows_every_photo_once_in_a_new_order(folder: Path):
    stream = stream_of(folder)
    orders = [[which(stream[epoch * COUNT + i]) for i in range(COUNT)] for epoch in range(3)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert len({tuple(order) for order in [*orders, list(range(COUNT))]}) == 4


def test_the_order_follows_the_seed_and_not_its_sum_with_the_number(folder: Path):
    orders = [[which(stream_of(folder, seed=seed)[n]) for n in range(COUNT)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    path = write(folder.parent / "one" / "noise.png", noise(64, 64))
    first, second = (PhotoStream([path], 8, seed) for seed in (0, 1))
    assert not torch.equal(first[1].photo, second[0].photo)
    assert not torch.equal(first[0].photo, second[0].photo)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6), st.integers(0, 6))
def test_ranks_together_read_what_one_process_would(batch: int, world: int, start: int, more: int):
    ranks = [list(StepSampler(batch, start + more, start, rank, world)) for rank in range(world)]
    together = [list(chain(*parts)) for parts in zip(*ranks, strict=True)]
    assert together == list(StepSampler(batch * world, start + more, start))
    assert list(chain(*together)) == list(range(start * batch * world, (start + more) * batch * world))


def test_the_sampler_counts_the_whole_run():
    sampler = StepSampler(4, 10, start_step=7)
    assert len(sampler) == 10
    assert len(list(sampler)) == 3


def test_two_ranks_see_the_pictures_of_a_doubled_batch(folder: Path):
    stream = stream_of(folder)
    ranks = [read(stream, StepSampler(3, 6, rank=rank, world_size=2)) for rank in (0, 1)]
    for first, second, doubled in zip(*ranks, read(stream, StepSampler(6, 6)), strict=True):
        assert torch.equal(torch.cat([first, second]), doubled)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_continues_with_the_very_pictures(tmp_path: Path, workers: int):
    paths = [write(tmp_path / f"{i}.png", noise(20, 30, seed=i)) for i in range(5)]
    whole = read(PhotoStream(paths, 8, seed=3), StepSampler(2, 9))
    tail = read(PhotoStream(paths, 8, seed=3), StepSampler(2, 9, start_step=4), workers)
    assert len(tail) == 5
    for expected, resumed in zip(whole[4:], tail, strict=True):
        assert torch.equal(expected, resumed)


def test_samples_neither_depend_on_global_randomness_nor_disturb_it(tmp_path: Path):
    stream = PhotoStream([write(tmp_path / "x.png", noise(64, 64))], 16, seed=0)
    samples = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.random.get_rng_state()
        samples.append(stream[5].photo)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(*samples)


def test_a_stream_travels_to_another_process(folder: Path):
    stream = stream_of(folder)
    assert torch.equal(pickle.loads(pickle.dumps(stream))[7].photo, stream[7].photo)


# Crops


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 90), (300, 2), (5, 5), (200, 150)])
def test_a_photo_of_any_size_fills_the_square(tmp_path: Path, width: int, height: int):
    stream = PhotoStream([write(tmp_path / "x.png", flat((7, 77, 177), width, height))], 32, seed=0)
    for n in range(5):
        photo = stream[n].photo
        assert (photo.dtype, photo.shape) == (torch.uint8, (3, 32, 32))
        assert photo.flatten(1).unique(dim=1).T.tolist() == [[7, 77, 177]]


def test_crops_vary_cover_their_share_and_half_are_mirrored(tmp_path: Path):
    path = write(tmp_path / "x.png", ramp(120, 120))
    stream = PhotoStream([path], 16, seed=0)
    photos = torch.stack([stream[n].photo for n in range(200)]).int()
    across = photos[:, 0, 8, -1] - photos[:, 0, 8, 0]
    down = photos[:, 1, -1, 8] - photos[:, 1, 0, 8]
    mirrored = (across < 0).float().mean().item()
    assert 0.35 < mirrored < 0.65
    assert (down > 0).all()
    area = across.abs() * down / (255 * 15 / 16) ** 2
    assert 0.36 < area.min() < 0.48
    assert 0.85 < area.max() < 1.05
    assert len(photos.flatten(1).unique(dim=0)) > 150
    unmirrored = PhotoStream([path], 16, seed=0, flip=False)
    assert all(unmirrored[n].photo[0, 8, -1] > unmirrored[n].photo[0, 8, 0] for n in range(30))


def test_a_reduced_photo_gives_the_crop_of_the_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stream = PhotoStream([write(tmp_path / "x.jpg", ramp(640, 480))], 32, seed=0, crop_scale=(0.5, 1.0))
    reduced = stream[0].photo
    monkeypatch.setattr(stream, "_at_least", 480)
    difference = (reduced.int() - stream[0].photo.int()).abs()
    assert 0 < difference.max() <= 6


# Unreadable photos


def test_an_unreadable_photo_is_recorded_and_replaced_by_the_next_in_order(tmp_path: Path):
    paths = write_photos(tmp_path, 6)
    order = [which(PhotoStream(paths, 8, seed=0)[n]) for n in range(6)]
    for place in (1, 2, 5):
        paths[order[place]].write_bytes(b"broken")
    stream = PhotoStream(paths, 8, seed=0)
    seen = [which(stream[n]) for n in range(6)]
    assert seen == [order[place] for place in (0, 3, 3, 3, 4, 0)]
    assert [path for path, _ in stream[1].failures] == [str(paths[order[place]]) for place in (1, 2)]
    assert all(path in reason for path, reason in stream[1].failures)
    assert stream[0].failures == ()
    assert collate([stream[n] for n in range(6)]).failures == sum((stream[n].failures for n in range(6)), ())


@pytest.mark.parametrize(("count", "tried"), [(MAX_FAILURES + 5, MAX_FAILURES), (3, 3)])
def test_nothing_but_unreadable_photos_ends_the_run(tmp_path: Path, count: int, tried: int):
    paths = write_photos(tmp_path, count)
    first = paths[which(PhotoStream(paths, 8, seed=0)[0])]
    for path in paths:
        path.write_bytes(b"broken")
    with pytest.raises(ImageError, match=rf"^{tried} photos in a row .* picture '{first}' cannot be read"):
        PhotoStream(paths, 8, seed=0)[0]


def test_no_photos_make_no_stream():
    with pytest.raises(ImageError, match="no photo to train with"):
        PhotoStream([], 8, seed=0)


# Held-out photos


def test_held_out_photos_stay_the_same_when_the_folder_moves_or_grows():
    names = [f"{i % 3}/{i}.jpg" for i in range(100)]
    chosen = []
    for root, some in ((Path("a"), names), (Path("/b/c"), names), (Path("a"), [*names, "new.jpg"])):
        training, held_out = hold_out([root / name for name in some], 10, root)
        assert len(held_out) == 10
        assert sorted([*training, *held_out]) == sorted(root / name for name in some)
        chosen.append({path.relative_to(root) for path in held_out})
    assert chosen[0] == chosen[1]
    assert len(chosen[0] & chosen[2]) >= 9
    assert chosen[0] != {Path(name) for name in names[:10]}


@pytest.mark.parametrize("count", [3, 4, -1])
def test_holding_out_leaves_a_photo_to_train_with(count: int):
    paths = [Path(f"p/{i}.jpg") for i in range(3)]
    with pytest.raises(ImageError, match=f"^3 photos cannot give {count}"):
        hold_out(paths, count, Path("p"))
    assert hold_out(paths, 0, Path("p")) == (paths, [])


def test_a_fingerprint_tells_lists_apart_and_not_folders():
    names = ["a.jpg", "b.jpg", "c/d.jpg"]
    prints = [fingerprint([root / name for name in names], root) for root in (Path("x"), Path("/y/z"))]
    assert prints[0] == prints[1]
    assert len(prints[0]) == 16
    for other in (names[:2], names[::-1], [*names[:2], "e.jpg"], ["a.jp", "gb.jpg", "c/d.jpg"], []):
        assert fingerprint([Path("x") / name for name in other], Path("x")) != prints[0]


def test_held_out_photos_are_their_central_squares(tmp_path: Path):
    wide = np.concatenate([flat((255, 0, 0), 20, 40), flat((9, 99, 199), 40, 40), flat((255, 0, 0), 20, 40)], 1)
    photos = HeldOutPhotos([write(tmp_path / "x.png", wide), write(tmp_path / "y.png", ramp(3, 900))], 16)
    assert len(photos) == 2
    # Lanczos looks three pixels beyond the square's edge.
    assert photos[0].photo[:, :, 3:-3].flatten(1).unique(dim=1).T.tolist() == [[9, 99, 199]]
    assert photos[0].photo[0].max() < 60
    assert photos[1].photo.shape == (3, 16, 16)
    assert torch.equal(photos[1].photo, photos[1].photo)


def test_an_unreadable_held_out_photo_is_left_out_and_recorded(tmp_path: Path):
    paths = write_photos(tmp_path, 4)
    paths[1].write_bytes(b"broken")
    photos = HeldOutPhotos(paths, 16)
    assert [which(photos[n]) for n in range(len(photos))] == [0, 2, 3]
    assert [path for path, _ in photos.failures] == [str(paths[1])]
    assert which(HeldOutPhotos(paths[1:], 16, at_most=1)[0]) == 2
    paths[0].write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"^none of 2 held-out photos .* picture '.*000\.png' cannot be read"):
        HeldOutPhotos(paths[:2], 16)


# Batches and styles


def test_a_batch_keeps_pictures_and_is_channels_last(tmp_path: Path):
    stream = PhotoStream([write(tmp_path / "x.png", noise(64, 64))], 16, seed=0)
    samples = [stream[n] for n in range(4)]
    batch = collate(samples)
    assert torch.equal(batch.photos, torch.stack([sample.photo for sample in samples]))
    assert batch.photos.is_contiguous(memory_format=torch.channels_last)
    unit = to_unit(batch.photos)
    assert (unit.dtype, unit.shape) == (torch.float32, (4, 3, 16, 16))
    assert torch.equal((unit * 255).round().byte(), batch.photos)
    assert to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])


def test_a_batch_survives_lightning(folder: Path):
    from pytorch_lightning.utilities import move_data_to_device

    batch = collate([Sample(torch.zeros(3, 2, 2, dtype=torch.uint8), (("a.jpg", "broken"),))])
    moved = move_data_to_device(batch, torch.device("cpu"))
    assert type(moved) is type(batch)
    assert moved.failures == (("a.jpg", "broken"),)


@pytest.mark.parametrize(("size", "shape"), [(None, (20, 30)), (40, (40, 60)), (10, (10, 15))])
def test_a_style_is_scaled_by_its_short_side(tmp_path: Path, size: int | None, shape: tuple[int, int]):
    style = read_style(write(tmp_path / "x.png", flat((255, 0, 51), 30, 20)), size)
    assert (style.dtype, style.shape) == (torch.float32, (1, 3, *shape))
    torch.testing.assert_close(style.mean(dim=(0, 2, 3)), torch.tensor([1, 0, 0.2]))
