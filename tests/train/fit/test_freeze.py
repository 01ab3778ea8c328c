"""A training that leaves the kernels of the deep layers, or of all inner ones, as they were."""

from pathlib import Path

import pytest
import torch

from models.start import START_FILE, load_start
from models.style_file import load_style
from tests.train.small_run import arguments
from train.fit.command import main
from train.fit.module import StyleTraining

FREEZE = {"model.freeze_deep": "true", "name": "tuned"}
DEEP = ("conv3", "residual.0.conv1", "residual.0.conv2", "up1")
INNER = ("conv2", *DEEP, "up2")


@pytest.fixture(scope="module")
def style(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("freeze")
    assert main(arguments(folder, steps=1)) == 0
    return folder / "runs" / "small" / "style.safetensors"


@pytest.fixture(scope="module")
def tuned(style) -> Path:
    assert main(arguments(style.parents[2], steps=2, **FREEZE, **{"model.start_from": style})) == 0
    return style.parents[1] / "tuned"


def find_unchanged(one, other, silent):
    """Name the parameters that are the same; ``silent`` layers learn, but rounding alone moves a bias before a norm."""
    before, after = (load_style(path)[0].state_dict() for path in (one, other))
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    return same - {f"{layer}.bias" for layer in silent}


def name_parameters(layers):
    return {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}


def test_all_but_the_kernels_of_deep_layers_are_learned(style, tuned):
    found = find_unchanged(style, tuned / "style.safetensors", silent=("conv1", "conv2", "up2"))
    assert found == name_parameters(DEEP)


def test_of_frozen_inner_kernels_the_first_and_the_last_are_learned(style, tmp_path):
    options = {"model.freeze_inner": "true", "name": "outer", "model.start_from": style, "runs": tmp_path}
    assert main(arguments(style.parents[2], steps=2, **options)) == 0
    found = find_unchanged(style, tmp_path / "outer" / "style.safetensors", silent=("conv1",))
    assert found == name_parameters(INNER)


def test_the_kernels_of_the_shared_start_stay(tmp_path):
    options = FREEZE | {"model.start_from": START_FILE, "model.network.width": 32, "model.network.residual_blocks": 5}
    assert main(arguments(tmp_path, steps=1, **options)) == 0
    start, found = load_start(START_FILE)[0], load_style(tmp_path / "runs" / "tuned" / "style.safetensors")[0]
    expected = dict(start.network.named_parameters())
    for name, value in found.named_parameters():
        if name.startswith(("conv3", "residual", "up1")) and "norm" not in name:
            torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("flag", ["model.freeze_deep", "model.freeze_inner"])
def test_random_kernels_are_not_frozen(tmp_path, one_error, flag):
    assert main(arguments(tmp_path, steps=1, **{flag: "true", "model.start_from": "none"})) == 2
    assert f"--{flag} is true and --model.start_from is none" in one_error()
    assert not (tmp_path / "runs").exists()


def test_a_run_is_resumed_with_the_same_kernels_frozen_only(style, tuned, tmp_path, monkeypatch, capsys):
    step = StyleTraining.training_step

    def stop_after_one(self, batch, batch_idx):
        if self.global_step:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    options = {"name": "tuned", "model.start_from": style, "runs": tmp_path / "runs"}
    with monkeypatch.context() as patch:
        patch.setattr(StyleTraining, "training_step", stop_after_one)
        assert main(arguments(style.parents[2], steps=2, **(options | FREEZE))) == 130
    assert not (tmp_path / "runs" / "tuned" / "style.safetensors").exists()
    options["ckpt_path"] = "last"
    assert main(arguments(style.parents[2], steps=2, **options)) == 2
    assert "--model.freeze_deep True" in capsys.readouterr().err.splitlines()[-1]
    assert main(arguments(style.parents[2], steps=2, **(options | FREEZE))) == 0
    found, expected = (
        load_style(run / "style.safetensors")[0].state_dict() for run in (tmp_path / "runs" / "tuned", tuned)
    )
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
