"""A small perceptual network is learned from a large one, on pictures of many kinds."""

import json
import math
import sys
from copy import deepcopy

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from data.images import encode, from_array, list_images
from data.photos import hold_out
from models import vgg as perceptual
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style
from models.vgg import (
    LAYOUTS,
    SMALL_WEIGHTS,
    VGGFeatures,
    dequantize,
    load_perceptual_weights,
    name_layers,
    quantize,
)
from tests.perceptual_weights import write_weights
from tests.pictures import noise, ramp, write
from train.cli import run_command
from train.distill import module as distillation
from train.distill.command import main
from train.distill.module import Distillation, export_state, load_without_strength, make_student, unexplained_share
from train.distill.pictures import POOL_AGE, PUPIL_AGES, PictureMaker
from train.distill.training import DistillCLI
from train.distill.training import write as write_network
from train.errors import TrainError
from train.fit.checkpoint import Interrupted, LatestCheckpoint


def test_linear_maps_leave_nothing_unexplained():
    small = torch.randn(2, 4, 40, 40)
    large = nn.Conv2d(4, 9, 1)(small).detach()
    assert unexplained_share(small, large) < 1e-3
    assert unexplained_share(small, torch.randn(2, 9, 40, 40)) > 0.9


def test_unexplained_share_has_the_gradient_of_the_optimum():
    torch.manual_seed(0)
    large = torch.randn(1, 6, 40, 40)
    small = torch.randn(1, 3, 40, 40, requires_grad=True)
    unexplained_share(small, large).backward()
    assert small.grad.abs().sum() > 0
    with torch.no_grad():
        nearer = small - 200 * small.grad / small.grad.abs().max() * 0.01
    assert unexplained_share(nearer, large) < unexplained_share(small, large)


def make_maker(styles=1, size=64):
    networks = [StyleNetwork(NetworkConfig(width=4, residual_blocks=1)) for _ in range(styles)]
    return PictureMaker([torch.rand(1, 3, 70, 90)], networks, size)


def no_loss(pictures, photos, painting):
    return pictures.sum() * 0


def no_gradient(pictures, photos, paintings):
    return torch.zeros_like(pictures)


@pytest.mark.parametrize("styles", [0, 1, 2])
def test_variations_keep_shape_and_range_and_repeat(styles):
    maker, photos = make_maker(styles), torch.rand(8, 3, 64, 64)
    maker.eval()
    one, same, other = (maker(photos, no_loss, no_gradient, seed) for seed in (1, 1, 2))
    assert one.photos.shape == one.varied.shape == (8, 3, 64, 64)
    assert one.paintings.shape == (4, 3, 64, 64)
    assert one.aims == [(2, 0), (3, 0), (4, 1), (5, 1), (6, 2), (7, 3)]
    for pictures, again in zip(one[:3], same[:3], strict=True):
        assert torch.equal(pictures, again)
        assert pictures.min() >= 0
        assert pictures.max() <= 1
    assert not torch.equal(one.varied, other.varied)
    changed = (one.varied - one.photos).abs().mean((1, 2, 3))
    assert (changed[:6] > 1e-3).all()


@pytest.mark.slow
def test_pool_goes_down_the_gradient_and_is_left_alone_in_evaluation():
    maker, photos = make_maker(), torch.rand(8, 3, 64, 64)

    def towards_black(pictures, kept, paintings):
        return pictures.detach() + 0.1

    maker.train()
    assert (maker.ages == POOL_AGE).all()
    for seed in range(40):
        varied = maker(photos, no_loss, towards_black, seed)
    assert (maker.ages != POOL_AGE).any()
    assert varied.varied[6:].mean() < 0.5
    before = maker.pool.clone()
    maker.eval()
    maker(photos, no_loss, towards_black, 1)
    assert torch.equal(before, maker.pool)


@pytest.mark.slow
def test_pupil_learns_from_the_loss_in_training_only():
    maker, photos = make_maker(), torch.rand(8, 3, 64, 64)

    def dark(pictures, photos, painting):
        return pictures.square().mean()

    maker.train()
    light = [float(maker(photos, dark, no_gradient, seed).varied[2:6].mean()) for seed in range(40)]
    assert light[-1] < 0.7 * light[0]
    maker.eval()
    before = [value.clone() for value in maker._pupils[0].network.parameters()]
    maker(photos, dark, no_gradient, 1)
    assert all(
        torch.equal(one, other) for one, other in zip(before, maker._pupils[0].network.parameters(), strict=True)
    )


def test_no_pupil_that_begins_in_evaluation_is_kept():
    maker, photos = make_maker(), torch.rand(8, 3, 64, 64)
    maker.eval()
    maker(photos, no_loss, no_gradient, 1)
    assert not maker._pupils
    maker.train()
    maker(photos, no_loss, no_gradient, 1)
    before = dict(maker._pupils)
    for pupil in before.values():
        pupil.age = max(PUPIL_AGES)
    maker.eval()
    maker(photos, no_loss, no_gradient, 2)
    assert maker._pupils == before


def test_a_resumed_maker_goes_on_with_its_pupils():
    maker, photos = make_maker(), torch.rand(8, 3, 64, 64)

    def dark(pictures, photos, painting):
        return pictures.square().mean()

    for seed in (1, 2):
        maker(photos, dark, no_gradient, seed)
    resumed = PictureMaker([painting[None] for painting in maker._paintings], deepcopy(list(maker.styles)), 64)
    resumed.load_state_dict(deepcopy(maker.state_dict()))
    resumed.restore_pupils(deepcopy(maker.save_pupils()))
    for seed in (3, 4):
        one, other = (each(photos, dark, no_gradient, seed) for each in (maker, resumed))
        assert torch.equal(one.varied, other.varied)
        assert torch.equal(one.paintings, other.paintings)


def test_a_style_with_strength_is_learned_from_as_it_is_at_strength_1(tmp_path):
    network = StyleNetwork(NetworkConfig(width=4, residual_blocks=1, strength=True))
    save_style(tmp_path / "style.safetensors", network, StyleCard("random"))
    found = load_without_strength(tmp_path / "style.safetensors")
    assert found.config == NetworkConfig(width=4, residual_blocks=1)
    assert not any(name.endswith("changes") for name, _ in found.named_parameters())
    photos = torch.rand(8, 3, 64, 64)
    assert torch.equal(found(photos), network(photos))
    plain = StyleNetwork(NetworkConfig(width=4, residual_blocks=1))
    maker = PictureMaker([torch.rand(1, 3, 70, 90)], [found, plain], 64)
    for seed in range(4):
        maker(photos, lambda pictures, *_: pictures.sum(), no_gradient, seed)


def test_student_trains_and_has_the_layers_of_vgg19():
    student = make_student(["relu5_2"])
    assert student.layer_names == name_layers("vgg19")[: name_layers("vgg19").index("relu5_2") + 1]
    student(torch.rand(1, 3, 32, 32), ["relu5_2"])["relu5_2"].sum().backward()
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_narrower_network_is_widened_and_its_channels_stay_as_they_are(tmp_path, monkeypatch):
    narrow = tuple(entry if entry == "M" else entry // 2 for entry in LAYOUTS["vgg_small"])
    with monkeypatch.context() as earlier:
        earlier.setattr(perceptual, "LAYOUTS", LAYOUTS | {"vgg_small": narrow})
        earlier.setattr(distillation, "LAYOUTS", LAYOUTS | {"vgg_small": narrow})
        student = make_student(["relu3_1"])
        save_file(export_state(student), tmp_path / "narrow.safetensors")
    wide = make_student(["relu3_1"], str(tmp_path / "narrow.safetensors"))
    picture = torch.rand(1, 3, 32, 32)
    found, before = (network(picture, ["relu3_1"])["relu3_1"] for network in (wide, student))
    assert found.shape[1] == 2 * before.shape[1]
    torch.testing.assert_close(found[:, : before.shape[1]], before, rtol=1e-4, atol=1e-4)
    assert found[:, before.shape[1] :].abs().sum() > 0


def test_eight_bits_keep_kernels_to_a_percent():
    state = export_state(make_student(["relu2_1"]))
    stored = quantize(state)
    assert stored["features.0.weight"].dtype == torch.int8
    for name, value in dequantize(stored).items():
        torch.testing.assert_close(
            value.float(), state[name], rtol=0, atol=float(0.005 * state[name].abs().max()) + 1e-6
        )


def arguments(folder, **options):
    if not (folder / "photos").exists():
        for index in range(16):
            write(folder / "photos" / f"{index}.png", noise(80, 72, seed=index))
        encode(from_array(ramp(120, 100)), folder / "painting.png")
        write_weights(folder / "vgg.safetensors", deepest="relu5_2")
        network = StyleNetwork(NetworkConfig(width=4, residual_blocks=1))
        save_style(folder / "style.safetensors", network, StyleCard("random"))
    flags = {
        "model.paintings": f"[{folder / 'painting.png'}]",
        "model.styles": f"[{folder / 'style.safetensors'}]",
        "model.teacher_weights": folder / "vgg.safetensors",
        "data.photos": folder / "photos",
        "data.image_size": 64,
        "data.batch_size": 8,
        "data.held_out": 8,
        "data.workers": 0,
        "trainer.max_steps": 2,
        "trainer.val_check_interval": 2,
        "output": folder / "distilled",
    } | {name.replace("__", "."): value for name, value in options.items()}
    return [f"--{name}={value}" for name, value in flags.items()]


def test_distillation_writes_a_network_that_the_losses_take(tmp_path, capsys):
    assert main(arguments(tmp_path)) == 0
    path = tmp_path / "distilled" / "vgg_small.safetensors"
    with safe_open(path, framework="np") as file:
        header = file.metadata()
    assert "Simonyan" in header["credit"]
    assert "CC BY 4.0" in header["credit"]
    assert "sha256" in header["teacher"]
    assert json.loads(header["held_out"])["val_loss"] > 0
    features = VGGFeatures("vgg_small", ["relu1_1", "conv4_2", "relu5_2"], str(path))
    found = features(torch.rand(1, 3, 64, 64), ["relu1_1", "conv4_2", "relu5_2"])
    assert found["relu1_1"].shape == (1, 16, 64, 64)
    assert found["relu5_2"].shape == (1, 80, 4, 4)
    assert main(arguments(tmp_path)) == 2
    assert "--overwrite" in capsys.readouterr().err


def held_out(path):
    with safe_open(path / "vgg_small.safetensors", framework="np") as file:
        return json.loads(file.metadata()["held_out"])


@pytest.mark.slow
def test_the_header_has_held_out_losses_of_the_last_step_whenever_it_was_validated(tmp_path):
    run = arguments(tmp_path, trainer__max_steps=3)
    assert main(run) == 0
    found = held_out(tmp_path / "distilled")
    assert set(found) == {"val_loss", "val_features", "val_style", "val_content"}
    assert main([*run, f"--output={tmp_path / 'again'}", f"--ckpt_path={tmp_path / 'distilled' / 'last.ckpt'}"]) == 0
    assert held_out(tmp_path / "again") == pytest.approx(found, rel=1e-3)


@pytest.mark.slow
def test_a_stopped_distillation_resumes_to_the_same_weights(tmp_path, monkeypatch):
    save = LatestCheckpoint.on_train_batch_end

    def stop_at_two(callback, trainer, *others):
        callback._asked_to_stop = trainer.global_step == 2
        save(callback, trainer, *others)

    run = arguments(tmp_path, trainer__max_steps=4, trainer__precision="32-true")
    assert main(run) == 0
    run.append(f"--output={tmp_path / 'stopped'}")
    with monkeypatch.context() as stopped:
        stopped.setattr(LatestCheckpoint, "on_train_batch_end", stop_at_two)
        assert main(run) == 130
    assert main([*run, "--ckpt_path=last"]) == 0
    one, other = (load_file(tmp_path / name / "vgg_small.safetensors") for name in ("distilled", "stopped"))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_loss_that_is_not_finite_ends_the_run_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(distillation, "unexplained_share", lambda small, *_: small.mean() * math.nan)
    assert main(arguments(tmp_path, trainer__max_steps=1)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the loss is nan at step 1; start anew with a lower --model.learning_rate" in said
    assert not (tmp_path / "distilled" / "last.ckpt").exists()
    assert not (tmp_path / "distilled" / "vgg_small.safetensors").exists()


def test_a_held_out_loss_that_is_not_finite_is_not_written(tmp_path, one_error):
    class Stub:
        model = type("Model", (), {"held_out_losses": {"val_loss": math.nan}})

    assert run_command(lambda: write_network(Stub())) == 2
    assert "val_loss is nan after the last step, so no network was written" in one_error()


@pytest.mark.parametrize("changed", ["paintings", "styles", "distance_weight", "learning_rate"])
def test_resuming_another_distillation_is_refused(tmp_path, changed):
    arguments(tmp_path)
    painting, style = str(tmp_path / "painting.png"), str(tmp_path / "style.safetensors")
    usual = {"paintings": [painting], "styles": [style], "painting_size": 64, "image_size": 64}
    usual["teacher_weights"] = str(tmp_path / "vgg.safetensors")
    another = {"paintings": [painting] * 2, "styles": [style] * 2, "distance_weight": 0.5, "learning_rate": 1e-3}
    checkpoint = {}
    Distillation(**usual).on_save_checkpoint(checkpoint)
    resumed = Distillation(**usual | {changed: another[changed]})
    with pytest.raises(TrainError, match=f"the checkpoint was made with another --model.{changed} "):
        resumed.on_load_checkpoint(checkpoint)
    # One of a former version, which does not tell.
    resumed.on_load_checkpoint({"random_state": checkpoint["random_state"]})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"data__batch_size": 6}, "multiple of 8"),
        ({"data__batch_size": 104}, "--data.batch_size is 104; it must be a multiple of 8 and at most 96"),
        ({"data__held_out": 7}, "7 photos are held out, and 8 are needed; give --data.held_out 8"),
        ({"model__paintings": "[]"}, "paintings"),
        ({"model__teacher_weights": "nowhere.pth"}, "--model.teacher_weights: perceptual weights 'nowhere.pth'"),
        ({"model__learning_rate": "1e300"}, "--model.learning_rate"),
        ({"model__start_from": "nowhere.pth"}, "--model.start_from: perceptual weights 'nowhere.pth'"),
        ({"model__styles": "[nowhere.safetensors]"}, "nowhere.safetensors"),
    ],
)
def test_wrong_input_gets_one_sentence(tmp_path, capsys, wrong, named):
    assert main(arguments(tmp_path, **wrong)) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert named in said[-1]
    assert not (tmp_path / "distilled" / "vgg_small.safetensors").exists()


def test_kept_network_is_small_and_gives_credit():
    assert SMALL_WEIGHTS.stat().st_size <= 1_000_000
    with safe_open(SMALL_WEIGHTS, framework="np") as file:
        assert "Simonyan and Andrew Zisserman" in file.metadata()["credit"].replace("Karen ", "")
    state = load_perceptual_weights("vgg_small", "default")
    widths = [entry for entry in LAYOUTS["vgg19"] if entry != "M"][:14]
    large = sum(9 * inputs * outputs + outputs for inputs, outputs in zip([3, *widths], widths, strict=False))
    assert 16 * sum(value.numel() for value in state.values()) <= large


def test_an_interrupted_distillation_is_not_dropped(tmp_path, capsys):
    checkpoint = tmp_path / "distilled" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"kept")
    assert main(arguments(tmp_path)) == 2
    assert "--ckpt_path last" in capsys.readouterr().err
    assert checkpoint.read_bytes() == b"kept"


@pytest.mark.parametrize("flag", ["model__paintings", "model__styles"])
def test_no_file_that_is_read_is_replaced(tmp_path, one_error, flag):
    words = arguments(tmp_path)
    network = tmp_path / "distilled" / "vgg_small.safetensors"
    network.parent.mkdir()
    network.write_text("mine")
    assert main([*words, f"--{flag.replace('__', '.')}=[{network}]", "--overwrite=true"]) == 2
    assert "vgg_small.safetensors' is also an input; choose another --output" in one_error()
    assert network.read_text() == "mine"


def test_a_configuration_of_somebody_elses_is_not_replaced(tmp_path, one_error):
    (tmp_path / "distilled").mkdir()
    (tmp_path / "distilled" / "config.yaml").write_text("mine")
    assert main(arguments(tmp_path)) == 2
    assert "already holds a config.yaml; choose another --output, or say --overwrite true" in one_error()
    assert (tmp_path / "distilled" / "config.yaml").read_text() == "mine"


def test_of_two_distillations_that_are_started_at_once_one_takes_the_folder(tmp_path, capsys, monkeypatch):
    distilled = tmp_path / "distilled"
    check = DistillCLI.require_held_out

    def begin_another(cli):
        check(cli)
        distilled.mkdir()
        (distilled / "config.yaml").write_text("other")

    monkeypatch.setattr(DistillCLI, "require_held_out", begin_another)
    assert main(arguments(tmp_path)) == 2
    assert "another run has begun" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in distilled.iterdir()} == {"config.yaml": "other"}


def test_ctrl_c_names_the_checkpoint_to_go_on_from(tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise Interrupted(1)

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", stop)
    assert main(arguments(tmp_path)) == 130
    assert "--ckpt_path last" in capsys.readouterr().out


@pytest.mark.slow
def test_corrupt_photos_are_named_and_those_held_out_keep_batches_whole(tmp_path, capsys):
    run = arguments(tmp_path, data__held_out=9, trainer__max_steps=1, trainer__val_check_interval=1)
    _, held_out = hold_out(list_images(tmp_path / "photos"), 9, tmp_path / "photos")
    held_out[0].write_text("no picture")
    assert main(run) == 0
    assert capsys.readouterr().err.count(held_out[0].name) == 1
    held_out[1].write_text("no picture")
    assert main([*run, "--overwrite=true"]) == 2
    assert "--data.held_out" in capsys.readouterr().err


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("stage", ["train.distill.module.PictureMaker", "pytorch_lightning.Trainer.fit"])
def test_ctrl_c_while_loading_is_one_sentence(tmp_path, capsys, monkeypatch, stage):
    monkeypatch.setattr(stage, interrupt)
    assert main(arguments(tmp_path)) == 130
    assert capsys.readouterr().err.endswith("stopped before the first checkpoint; there is nothing to go on from\n")


def test_ctrl_c_that_lightning_turns_into_an_exit_is_one_sentence(tmp_path, capsys, monkeypatch):
    checkpoint = tmp_path / "distilled" / "last.ckpt"

    def leave(*_, **__):
        checkpoint.parent.mkdir()
        checkpoint.write_bytes(b"state")
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", leave)
    assert main(arguments(tmp_path)) == 130
    assert "stopped in a step; go on with the same command and --ckpt_path last" in capsys.readouterr().err


def test_ctrl_c_after_the_last_step_names_the_checkpoint(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pytorch_lightning.Trainer.fit", lambda *_, **__: None)
    monkeypatch.setattr("train.distill.training.DistillCLI.complete", interrupt)
    assert main(arguments(tmp_path)) == 130
    assert "stopped before the network was written; go on with" in capsys.readouterr().err


def test_an_output_that_cannot_be_a_folder_is_refused_before_the_training(tmp_path, one_error, monkeypatch):
    monkeypatch.setattr("pytorch_lightning.Trainer.fit", None)
    (tmp_path / "mine").write_text("dear")
    assert main(arguments(tmp_path, output=tmp_path / "mine")) == 2
    assert "mine' is a file, and a folder is needed; choose another --output" in one_error()
    assert (tmp_path / "mine").read_text() == "dear"
    assert main(arguments(tmp_path, output="")) == 2
    assert "--output is an empty string" in one_error()
