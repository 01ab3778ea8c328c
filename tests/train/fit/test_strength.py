"""A finished style learns to be weaker and stronger, and stays at strength 1 what it was."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.images import decode, to_array
from export.runtime.stylizer import Stylizer
from models.style_file import load_style
from tests.train.small_run import arguments
from train.fit.command import main
from train.start.command import main as start_main

LEARN = {"model.network.strength": "true", "name": "adjustable", "model.network.width": 4}


@pytest.fixture(scope="module")
def style(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("strength")
    assert main(arguments(folder, steps=2)) == 0
    return folder / "runs" / "small" / "style.safetensors"


@pytest.fixture(scope="module")
def learned(style) -> Path:
    folder = style.parents[2]
    assert main(arguments(folder, steps=4, **LEARN, **{"model.start_from": style})) == 0
    return folder / "runs" / "adjustable"


def test_only_the_change_of_the_norms_is_learned(style, learned):
    before, after = (load_style(path)[0] for path in (style, learned / "style.safetensors"))
    assert (before.config.strength, after.config.strength) == (False, True)
    state = after.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in before.state_dict().items())
    changes = [value for name, value in state.items() if name.endswith(".changes")]
    assert len(changes) == 7
    # Below strength 1 and above.
    assert all(side.any() for change in changes for side in change)


def test_run_shows_several_strengths_and_exports_them(style, learned):
    sheet = to_array(decode(sorted((learned / "previews").glob("*.png"))[-1]))
    # Photos of 64 pixels above five strengths, 4 pixels apart.
    assert sheet.shape == (6 * 64 + 5 * 4, 2 * 64 + 4, 3)
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    paint, expected = Stylizer(learned / "style.onnx", threads=1), Stylizer(style.with_name("style.onnx"), threads=1)
    np.testing.assert_array_equal(paint(photo), expected(photo))
    np.testing.assert_array_equal(paint(photo, strength=0), photo)


def test_learning_goes_on_from_what_was_learned(style, learned, tmp_path):
    options = LEARN | {"model.start_from": learned / "style.safetensors", "runs": tmp_path / "runs"}
    assert main(arguments(style.parents[2], steps=1, **options)) == 0
    before = load_style(learned / "style.safetensors")[0].norm1.changes
    after = load_style(tmp_path / "runs" / "adjustable" / "style.safetensors")[0].norm1.changes
    assert 0 < (after - before).abs().max() < 1.5 * before.abs().max() + 0.1


def test_the_same_run_learns_the_same(style, learned, tmp_path):
    folder = style.parents[2]
    options = LEARN | {"model.start_from": style, "runs": tmp_path / "runs"}
    assert main(arguments(folder, steps=4, **options)) == 0
    found, expected = (
        load_style(run / "style.safetensors")[0].state_dict() for run in (tmp_path / "runs" / "adjustable", learned)
    )
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_training_that_loses_a_strength_says_so(learned, tmp_path, capsys):
    style = learned / "style.safetensors"
    assert main(arguments(tmp_path, steps=1, model__start_from=style)) == 0
    assert f"{style}, with its noise of 6 and without its strength; " in capsys.readouterr().out


@pytest.mark.parametrize("start_from", [None, "none"])
def test_strength_without_a_finished_style_is_refused(tmp_path, start_from, one_error):
    assert main(arguments(tmp_path, **LEARN, **{"model.start_from": start_from})) == 2
    assert "name it with --model.start_from" in one_error()
    assert not (tmp_path / "runs").exists()


def test_strength_with_another_noise_than_the_style_has_is_refused(style, tmp_path, one_error):
    options = LEARN | {"model.start_from": style, "model.network.noise": 12, "runs": tmp_path / "runs"}
    assert main(arguments(style.parents[2], **options)) == 2
    assert "has a noise of 6" in one_error()
    assert not (tmp_path / "runs").exists()


def test_the_shared_start_learns_no_strength(tmp_path, one_error):
    assert start_main(["--model.network.strength=true", f"--output={tmp_path / 'start'}"]) == 2
    assert "leave it out" in one_error()
