"""The shared start is trained from the command line, resumes exactly, and says what is wrong."""

import csv
import shutil

import PIL.Image
import pytest
import torch
import yaml

from models.network import StyleNetwork
from models.noise import draw_offset
from models.start import load_start
from tests.train.start.small_start import arguments
from train.fit.checkpoint import LatestCheckpoint
from train.start.command import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert main(arguments(folder, steps=4, license="CC0", model__network__width=4)) == 0
    return folder


def test_the_file_carries_network_and_origin(finished):
    start, card = load_start(finished / "start" / "start.safetensors")
    assert start.network.config.width == 4
    assert (card.license, card.steps) == ("CC0", 4)
    assert len(card.paintings) == 3
    assert len(card.held_out_paintings) == 1
    assert set(card.paintings) | set(card.held_out_paintings) == {f"painting{index}" for index in range(4)}
    assert "sha256" in card.perceptual_source
    assert card.held_out_loss > 0
    assert yaml.safe_load(card.training_config)["model"]["paintings_per_step"] == 2


def test_paintings_differ_in_their_norms_after_the_training(finished):
    start, _ = load_start(finished / "start" / "start.safetensors")
    descriptions = start.predictor.mean + torch.tensor([[-1.0], [1.0]]) * start.predictor.std
    assert any((one - other).abs().max() > 1e-5 for one, other in start.predict_norms(descriptions).values())


def test_the_run_folder_holds_configuration_checkpoint_losses_and_previews(finished):
    found = {path.name for path in (finished / "start").iterdir()}
    assert {"start.safetensors", "config.yaml", "last.ckpt", "metrics.csv", "previews"} <= found
    with PIL.Image.open(finished / "start" / "previews" / "step-000004.png") as sheet:
        assert sheet.size == (3 * 64 + 2 * 4, 2 * 64 + 4)


def test_the_checkpoint_has_no_frozen_weights(finished):
    checkpoint = torch.load(finished / "start" / "last.ckpt", weights_only=True)
    assert all(name.startswith("start.") for name in checkpoint["state_dict"])


@pytest.mark.slow
def test_a_stopped_training_resumes_to_the_same_weights(finished, tmp_path, monkeypatch, capsys):
    save = LatestCheckpoint.on_train_batch_end

    def stop_at_two(callback, trainer, *others):
        if trainer.global_step == 2:
            callback._asked_to_stop = True
        save(callback, trainer, *others)

    options = {"steps": 4, "output": tmp_path / "start", "license": "CC0"}
    with monkeypatch.context() as stopped:
        stopped.setattr(LatestCheckpoint, "on_train_batch_end", stop_at_two)
        assert main(arguments(finished, **options)) == 130
    assert "go on with the same command and --ckpt_path last" in capsys.readouterr().out
    assert not (tmp_path / "start" / "start.safetensors").exists()
    assert main(arguments(finished, **options, ckpt_path="last")) == 0
    one, other = (load_start(folder / "start" / "start.safetensors")[0] for folder in (finished, tmp_path))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_its_configuration_trains_it_again(finished, tmp_path):
    assert main(["--config", str(finished / "start" / "config.yaml"), "--output", str(tmp_path / "start")]) == 0
    one, other = (load_start(folder / "start" / "start.safetensors")[0] for folder in (finished, tmp_path))
    assert torch.equal(one.network.conv1.weight, other.network.conv1.weight)


@pytest.mark.parametrize(
    "changed",
    [
        {"model.style_size": 56},
        {"model.paintings_per_step": 1},
        {"seed_everything": 3},
        {"model.network.noise": 0},
        {"model.spectrum_weight": 0},
        {"model.style_weight": 2},
        {"model.learning_rate": 1e-5},
        {"model.perceptual": "vgg_small", "model.perceptual_weights": "default"},
    ],
)
def test_resuming_another_plan_is_refused(finished, capsys, changed):
    assert main(arguments(finished, steps=4, ckpt_path="last", **changed)) == 2
    assert "the checkpoint was made with another" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_tell_its_loss_is_resumed(finished, tmp_path):
    checkpoint = torch.load(finished / "start" / "last.ckpt", weights_only=True)
    told = {"paintings", "paintings_per_step", "style_size", "network.noise", "spectrum_weight"}
    checkpoint["paintings"] = {name: checkpoint["paintings"][name] for name in told}
    del checkpoint["checksum"]
    torch.save(checkpoint, tmp_path / "former.ckpt")
    options = {"ckpt_path": tmp_path / "former.ckpt", "output": tmp_path / "start"}
    assert main(arguments(finished, steps=4, **options, model__style_weight=2)) == 0
    assert yaml.safe_load((tmp_path / "start" / "config.yaml").read_text())["model"]["style_weight"] == 2


def test_a_finished_training_that_is_resumed_has_its_held_out_loss(finished, tmp_path):
    options = {"ckpt_path": finished / "start" / "last.ckpt", "output": tmp_path / "new" / "start"}
    assert main(arguments(finished, steps=4, **options)) == 0
    before, after = (load_start(folder / "start" / "start.safetensors")[1] for folder in (finished, tmp_path / "new"))
    assert after.held_out_loss == pytest.approx(before.held_out_loss)


def test_the_noise_begins_elsewhere_at_each_step(finished, tmp_path, monkeypatch):
    offsets = []
    original = StyleNetwork.add_noise

    def add_noise(network, photo, offset=(0, 0)):
        offsets.append(offset)
        return original(network, photo, offset)

    monkeypatch.setattr(StyleNetwork, "add_noise", add_noise)
    assert main(arguments(finished, steps=2, output=tmp_path / "start")) == 0
    # Validation and previews have it where every exported file has it.
    assert set(offsets) - {(0, 0)} == {draw_offset(0, 0), draw_offset(0, 1)}


def test_the_stability_term_is_trained_where_it_counts(finished, tmp_path):
    for weight in (0, 1):
        output = tmp_path / str(weight)
        assert main(arguments(finished, output=output, model__stability_weight=weight, guard__every_n_steps=1)) == 0
        with (output / "metrics.csv").open(newline="") as file:
            assert [float(row["stability"]) > 0 for row in csv.DictReader(file)] == [bool(weight)] * 2


def test_an_earlier_run_is_not_overwritten(finished, one_error):
    before = (finished / "start" / "start.safetensors").read_bytes()
    assert main(arguments(finished)) == 2
    assert "--overwrite true" in one_error()
    assert (finished / "start" / "start.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("style.onnx", "already holds a style.onnx; choose another --output, or say --overwrite true"),
        ("config.yaml", "already holds a config.yaml; choose another --output, or say --overwrite true"),
        ("metrics.csv", "is not a table of losses"),
    ],
)
def test_nothing_of_somebody_elses_is_replaced(tmp_path, one_error, name, said):
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / name).write_text("mine")
    overwrite = ["--overwrite=true"] if name == "metrics.csv" else []
    assert main([*arguments(tmp_path), *overwrite]) == 2
    assert said in one_error()
    assert [(path.name, path.read_text()) for path in (tmp_path / "start").iterdir()] == [(name, "mine")]


def test_no_file_that_is_read_is_replaced(tmp_path, one_error):
    words = arguments(tmp_path, overwrite="true", model__perceptual_weights=tmp_path / "start" / "start.safetensors")
    (tmp_path / "start").mkdir()
    shutil.copy(tmp_path / "vgg.safetensors", tmp_path / "start" / "start.safetensors")
    assert main(words) == 2
    assert "start.safetensors' is also an input; choose another --output" in one_error()


def test_a_place_that_cannot_be_written_to_is_told_before_the_training(tmp_path, one_error):
    (tmp_path / "file").write_text("mine")
    assert main(arguments(tmp_path, output=tmp_path / "file")) == 2
    assert "file' is a file, and a folder is needed; choose another --output" in one_error()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model.paintings": "nowhere"}, "--model.paintings"),
        ({"model.held_out_paintings": 3}, "--model.held_out_paintings is 3"),
        ({"model.held_out_paintings": "[nobody]"}, "'nobody'"),
        ({"model.paintings_per_step": 0}, "--model.paintings_per_step"),
        ({"data.batch_size": 3}, "multiple of --model.paintings_per_step"),
        ({"model.variants": -1}, "--model.variants"),
        ({"model.start_from": "wave"}, "--model.network.width"),
        ({"model.start_from": "missing.safetensors"}, "missing.safetensors"),
        ({"model.perceptual_weights": "missing.pth"}, "--model.perceptual_weights"),
        ({"model.style_weight": -1}, "--model.style_weight"),
        ({"trainer.max_epochs": 2}, "--trainer.max_steps"),
        ({"ckpt_path": "last"}, "last.ckpt"),
    ],
)
def test_wrong_input_gets_one_sentence_and_leaves_nothing(tmp_path, capsys, wrong, named):
    assert main(arguments(tmp_path, **wrong)) == 2
    assert named in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "start").exists()


def test_a_damaged_painting_is_named(tmp_path, capsys):
    run = arguments(tmp_path)
    (tmp_path / "paintings" / "painting0.png").write_text("no picture")
    assert main(run) == 2
    assert "painting0.png" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "start").exists()


@pytest.mark.slow
def test_the_small_network_sees_pictures_in_all_orientations_and_variants_are_further_styles(tmp_path):
    options = {"model.perceptual": "vgg_small", "model.perceptual_weights": "default", "model.variants": 1}
    assert main(arguments(tmp_path, **options)) == 0
    _, card = load_start(tmp_path / "start" / "start.safetensors")
    assert len(card.paintings) == 6
    assert sum(name.endswith(" #1") for name in card.paintings) == 3


def test_ctrl_c_while_paintings_are_read_is_one_sentence(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("train.start.targets.PaintingsLoss.add", interrupt)
    assert main(arguments(tmp_path)) == 130
    # The bar of the paintings may stand before it on the line.
    assert "stopped before the first checkpoint" in capsys.readouterr().err.splitlines()[-1]
