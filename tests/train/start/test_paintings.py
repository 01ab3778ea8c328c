"""Paintings take turns, some are held out, and variants are other pictures of the same size."""

import numpy as np
import pytest
import torch

from data.images import from_array
from tests.pictures import ramp, write
from train.errors import TrainError
from train.start.paintings import Painting, draw_paintings, split_paintings, vary


@pytest.fixture
def folder(tmp_path):
    for index in range(6):
        write(tmp_path / f"painting{index}.png", ramp(40 + index, 30))
    return tmp_path


def test_all_paintings_have_their_turn_before_one_has_its_second():
    drawn = [number for turn in range(6) for number in draw_paintings(0, turn, 2, 4)]
    for first in range(0, 12, 4):
        assert sorted(drawn[first : first + 4]) == [0, 1, 2, 3]
    assert drawn[:4] != drawn[4:8] or drawn[:4] != drawn[8:]


def test_the_turn_depends_on_seed_and_step_alone():
    assert draw_paintings(5, 17, 3, 40) == draw_paintings(5, 17, 3, 40)
    assert draw_paintings(5, 17, 3, 40) != draw_paintings(6, 17, 3, 40)


def test_a_number_of_paintings_is_held_out_always_the_same(folder):
    training, held_out = split_paintings(folder, 2)
    assert len(training) == 4
    assert len(held_out) == 2
    assert split_paintings(folder, 2) == (training, held_out)
    assert not set(training) & set(held_out)


def test_named_paintings_are_held_out(folder):
    training, held_out = split_paintings(folder, ["painting1", "painting4.png"])
    assert [path.stem for path in held_out] == ["painting1", "painting4"]
    assert len(training) == 4


@pytest.mark.parametrize("held_out", [-1, 5, ["nobody"], [f"painting{index}" for index in range(5)]])
def test_a_split_that_cannot_be_is_refused(folder, held_out):
    with pytest.raises(TrainError, match=r"--model\.held_out_paintings"):
        split_paintings(folder, held_out)


@pytest.mark.parametrize("held_out", [6, ["painting1.png"]])
def test_a_held_out_painting_that_has_the_name_of_another_is_refused(folder, held_out):
    for index in range(6):
        write(folder / "series" / f"painting{index}.png", ramp(40, 30))
    with pytest.raises(TrainError, match=r"painting\d.png' have one name, and one of them is held out"):
        split_paintings(folder, held_out)


def test_paintings_that_are_trained_on_may_have_one_name(folder):
    for name in ("one", "other"):
        write(folder / name / "study.png", ramp(40, 30))
    training, _ = split_paintings(folder, ["painting1"])
    assert [path.stem for path in training].count("study") == 2


def test_variants_differ_from_the_painting_and_from_one_another_and_repeat(folder):
    path = folder / "painting0.png"
    pictures = [Painting(path, number, seed=1).read(32) for number in range(3)]
    assert torch.equal(pictures[2], Painting(path, 2, seed=1).read(32))
    thumbnails = [torch.nn.functional.interpolate(picture, (8, 8)) for picture in pictures]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (thumbnails[one] - thumbnails[other]).abs().mean() > 0.02
    assert all(min(picture.shape[-2:]) == 32 for picture in pictures)


def test_a_variant_of_a_tiny_picture_has_a_pixel():
    assert min(vary(from_array(np.zeros((1, 2, 3), np.uint8)), 3).size) >= 1
