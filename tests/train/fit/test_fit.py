"""A run from the command line leaves what it promises, and a wrong one says what is wrong."""

import csv
import shlex
from types import SimpleNamespace

import onnxruntime
import PIL.Image
import pytest
import torch
import yaml

from data.photos import hold_out
from export.runtime.stylizer import Stylizer
from models.style_file import load_style
from tests import ROOT
from tests.perceptual_weights import random_state
from tests.pictures import noise, write, write_photos
from tests.train.small_run import arguments, hold_elsewhere
from train.errors import TrainError
from train.fit import datamodule
from train.fit.command import _explain_workers, main
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert main(arguments(folder, steps=4, license="CC BY 4.0")) == 0
    return folder / "runs" / "small"


def test_run_folder_holds_everything(finished):
    found = {path.name for path in finished.iterdir()}
    expected = {"config.yaml", "last.ckpt", "style.safetensors", "style.onnx", "metrics.csv", "previews", "tensorboard"}
    assert expected <= found
    assert not [name for name in found if name.endswith(".tmp")]


def test_preview_shows_before_and_after(finished):
    sheets = sorted(path.name for path in (finished / "previews").iterdir())
    assert sheets == ["step-000001.png", "step-000002.png", "step-000004.png"]
    with PIL.Image.open(finished / "previews" / sheets[-1]) as sheet:
        assert sheet.width > 2 * 64
        assert sheet.height > 2 * 64


def test_metrics_have_one_row_for_every_look(finished):
    with (finished / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert all(float(row["loss"]) > 0 for row in rows)
    assert all(float(row["palette"]) > 0 for row in rows)
    assert all(float(row["stability"]) == float(row["emd"]) == 0 for row in rows)


def test_weights_carry_card_and_config(finished):
    network, card = load_style(finished / "style.safetensors")
    assert network.config.width == 4
    assert (card.name, card.license, card.steps) == ("small", "CC BY 4.0", 4)
    assert "sha256" in card.perceptual_source
    config = yaml.safe_load(card.training_config)
    assert config["model"]["network"]["width"] == 4
    assert config["trainer"]["max_steps"] == 4


def test_weights_and_export_know_the_held_out_loss_of_the_last_step_only(finished, tmp_path):
    _, card = load_style(finished / "style.safetensors")
    assert card.held_out_loss > 0
    assert Stylizer(finished / "style.onnx").card.held_out_loss == card.held_out_loss
    assert main(arguments(tmp_path, steps=3)) == 0
    assert load_style(tmp_path / "runs" / "small" / "style.safetensors")[1].held_out_loss is None
    assert Stylizer(tmp_path / "runs" / "small" / "style.onnx").card.held_out_loss is None


def test_exported_network_runs(finished):
    session = onnxruntime.InferenceSession(str(finished / "style.onnx"))
    (picture,) = session.run(None, {"image": 255 * torch.rand(1, 3, 33, 50).numpy()})
    assert picture.shape == (1, 3, 33, 50)


def test_checkpoint_is_safe_and_has_no_frozen_weights(finished):
    checkpoint = torch.load(finished / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert all(name.startswith("network.") for name in checkpoint["state_dict"])


def test_saved_config_trains_again_to_the_same_weights(finished, tmp_path):
    assert main(["fit", "--config", str(finished / "config.yaml"), "--runs", str(tmp_path)]) == 0
    first, _ = load_style(finished / "style.safetensors")
    second, _ = load_style(tmp_path / "small" / "style.safetensors")
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_an_earlier_run_is_not_overwritten(finished, capsys):
    folder = finished.parent.parent
    before = (finished / "style.safetensors").read_bytes()
    assert main(arguments(folder, steps=4)) == 2
    assert "--ckpt_path" in capsys.readouterr().err
    assert (finished / "style.safetensors").read_bytes() == before


def test_a_run_that_cannot_start_removes_nothing_even_when_it_may_overwrite(finished, capsys):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    for wrong in ({"data.photos": "missing"}, {"model.style": "missing.jpg"}, {"model.perceptual_weights": "missing"}):
        assert main(arguments(finished.parent.parent, steps=4, overwrite="true", **wrong)) == 2
        assert "missing" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_of_two_runs_that_are_started_at_once_one_takes_the_folder(tmp_path, monkeypatch, capsys):
    run = tmp_path / "runs" / "small"
    prepare = StyleTraining.prepare

    def begin_another(model):
        run.mkdir(exist_ok=True)
        for name in ("config.yaml", "metrics.csv"):
            (run / name).write_text("step")
        prepare(model)

    monkeypatch.setattr(StyleTraining, "prepare", begin_another)
    assert main(arguments(tmp_path)) == 2
    assert "another run has begun" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in run.iterdir()} == {"config.yaml": "step", "metrics.csv": "step"}


@pytest.mark.parametrize("options", [{"overwrite": "true"}, {"ckpt_path": "last"}], ids=["overwrite", "finished"])
def test_a_folder_that_another_process_writes_to_is_left_alone(finished, options, capsys):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with hold_elsewhere(finished):
        assert main(arguments(finished.parent.parent, steps=4, **options)) == 2
    assert "another run is writing to" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_an_earlier_run_is_replaced_when_told(tmp_path):
    assert main(arguments(tmp_path, steps=4)) == 0
    assert main(arguments(tmp_path, steps=2, overwrite="true")) == 0
    folder = tmp_path / "runs" / "small"
    assert len(list((folder / "tensorboard").glob("events.*"))) == 1
    assert not (folder / "previews" / "step-000004.png").exists()
    assert (folder / "metrics.csv").read_text().count("\n") == 3
    assert load_style(folder / "style.safetensors")[1].steps == 2


def test_the_configuration_of_a_resumed_run_trains_anew_and_replaces_nothing(tmp_path, capsys):
    run = tmp_path / "runs" / "small"
    assert main(arguments(tmp_path, steps=2, overwrite="true")) == 0
    before, card = load_style(run / "style.safetensors")
    assert main(arguments(tmp_path, steps=2, ckpt_path="last")) == 0
    # Of a run that was finished the loss is measured again.
    assert load_style(run / "style.safetensors")[1].held_out_loss == pytest.approx(card.held_out_loss, rel=1e-4)
    again = ["fit", "--config", str(run / "config.yaml")]
    assert main([*again, "--name=again", "--model.style_weight=30"]) == 0
    after, _ = load_style(tmp_path / "runs" / "again" / "style.safetensors")
    assert not torch.equal(before.conv1.weight, after.conv1.weight)
    capsys.readouterr()
    assert main(again) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_going_on_from_another_run_leaves_nothing_of_the_one_that_is_replaced(tmp_path):
    assert main(arguments(tmp_path, steps=2)) == 0
    assert main(arguments(tmp_path, steps=4, name="other")) == 0
    checkpoint = tmp_path / "runs" / "small" / "last.ckpt"
    assert main(arguments(tmp_path, steps=2, name="other", ckpt_path=checkpoint, overwrite="true")) == 0
    other = tmp_path / "runs" / "other"
    assert not (other / "previews" / "step-000004.png").exists()
    assert not (other / "metrics.csv").exists()
    assert load_style(other / "style.safetensors")[1].steps == 2


def test_a_run_without_a_progress_bar_trains(tmp_path, capsys):
    assert main(arguments(tmp_path, steps=1, trainer__enable_progress_bar="false")) == 0
    assert "it/s" not in capsys.readouterr().out


def test_a_run_that_lightning_ends_early_keeps_its_state_and_says_so(tmp_path, capsys):
    options = {"trainer.max_time": "00:00:00:01", "model.compile": "off", "checkpoint.every_n_steps": 100_000}
    assert main(arguments(tmp_path, steps=100_000, **options)) == 0
    saved = torch.load(tmp_path / "runs" / "small" / "last.ckpt", weights_only=True)
    assert 0 < saved["global_step"] < 100_000
    assert f"ended at step {saved['global_step']} of 100000" in capsys.readouterr().out


def test_another_run_is_not_overwritten_by_resuming(finished, tmp_path, capsys):
    folder = finished.parent.parent
    assert main(arguments(folder, steps=4, name="other")) == 0
    checkpoint = finished / "last.ckpt"
    assert main(arguments(folder, steps=4, name="other", ckpt_path=checkpoint)) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_validation_runs_from_a_checkpoint(finished, capsys):
    # Length and weights of the training do not matter to a validation.
    fit = arguments(finished.parent.parent, steps=9, model__style_weight=2)
    assert main(["validate", *fit[1:], f"--ckpt_path={finished / 'last.ckpt'}"]) == 0
    assert "val_loss" in capsys.readouterr().out


def test_a_trained_style_can_be_started_from(finished, tmp_path):
    start = str(finished / "style.safetensors")
    assert main(arguments(tmp_path, steps=1, model__start_from=start, model__learning_rate=1e-9)) == 0
    first, _ = load_style(finished / "style.safetensors")
    second, _ = load_style(tmp_path / "runs" / "small" / "style.safetensors")
    torch.testing.assert_close(first.conv1.weight, second.conv1.weight, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model.style_wieght": 3}, "style_wieght"),
        ({"model.style_weight": "strong"}, "style_weight"),
        ({"model.network.padding": "mirror"}, "padding"),
        ({"model.network.width": 0}, "width"),
        ({"model.style_weight": -1}, "style_weight"),
        ({"model.palette_weight": -1}, "palette_weight"),
        ({"model.stability_weight": -1}, "stability_weight"),
        ({"model.emd_weight": -1}, "emd_weight"),
        ({"model.emd_rarity": -1}, "emd_rarity"),
        ({"model.content_focus": 17}, "content_focus"),
        ({"model.style_norm": "squares"}, "style_norm"),
        ({"model.style": "missing.jpg"}, "missing.jpg"),
        ({"model.style_layers": "{relu9_9: 1}"}, "relu9_9"),
        ({"model.style_layers": "{relu3_1: 1}"}, "conv2_2"),
        ({"model.perceptual": "vgg11"}, "perceptual"),
        (
            {"model.perceptual_weights": "missing.safetensors"},
            "--model.perceptual_weights: perceptual weights 'missing",
        ),
        ({"model.learning_rate": 0}, "learning_rate"),
        ({"model.start_from": "missing.safetensors"}, "missing.safetensors"),
        ({"data.photos": "missing/train2017"}, "missing/train2017"),
        ({"data.batch_size": 0}, "batch_size"),
        ({"data.held_out": 12}, "12 photos"),
        ({"data.crop_scale": "[0.9, 0.1]"}, "crop_scale"),
        ({"trainer.max_epochs": 2}, "max_steps"),
        ({"ckpt_path": "missing.ckpt"}, "missing.ckpt"),
        ({"config": "missing.yaml"}, "missing.yaml"),
    ],
)
def test_wrong_input_is_refused_with_one_sentence(tmp_path, capsys, wrong, named):
    try:
        code = main(arguments(tmp_path, **wrong))
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("error: ")
    assert named in captured.err.strip().splitlines()[-1]
    assert "Traceback" not in captured.err
    assert not (tmp_path / "runs" / "small" / "style.safetensors").exists()


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(tmp_path, capsys):
    assert main(arguments(tmp_path, steps=3, model__learning_rate=1e30)) == 2
    said = capsys.readouterr().err
    assert "loss is" in said
    assert "start anew with a lower --model.learning_rate" in said
    assert "--ckpt_path" not in said
    checkpoint = torch.load(tmp_path / "runs" / "small" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def test_a_run_whose_loss_is_no_number_in_bfloat16_is_told_to_go_on_in_float32_and_can(tmp_path, capsys):
    options = {"steps": 3, "trainer.precision": "bf16-mixed", "model.learning_rate": 1e30}
    assert main(arguments(tmp_path, **options)) == 2
    assert "--ckpt_path last --trainer.precision 32-true" in capsys.readouterr().err
    # The rate of the checkpoint stays, so that this run's loss is no number in float32 either; it has gone on, though.
    assert main(arguments(tmp_path, **options | {"trainer.precision": "32-true", "ckpt_path": "last"})) == 2
    assert "loss is" in capsys.readouterr().err


def test_a_loss_that_does_not_fall_stops_the_run(tmp_path, capsys):
    assert main(arguments(tmp_path, steps=20, model__learning_rate=1e-12, guard__patience=3)) == 2
    assert "does not fall" in capsys.readouterr().err


def test_a_loss_need_not_fall_from_that_of_a_finished_style(finished, tmp_path):
    options = {"model.start_from": finished / "style.safetensors", "model.learning_rate": 1e-12, "guard.patience": 3}
    assert main(arguments(tmp_path, steps=6, **options)) == 0


@pytest.mark.slow
def test_a_corrupt_photo_is_skipped_and_named_once(tmp_path, capsys):
    # Twenty photos are trained on, and each of them is read twice.
    run = arguments(tmp_path, steps=20, photos=22)
    (tmp_path / "photos" / "007.png").write_text("no picture")
    assert main(run) == 0
    assert capsys.readouterr().err.count("007.png") == 1


def test_a_corrupt_held_out_photo_is_skipped_and_named_once(tmp_path, capsys):
    run = arguments(tmp_path, steps=4)
    photos = sorted((tmp_path / "photos").iterdir())
    _, (first, second) = hold_out(photos, 2, tmp_path / "photos")
    first.write_text("no picture")
    assert main(run) == 0
    assert capsys.readouterr().err.count(first.name) == 1
    second.write_text("no picture")
    assert main([*run, "--overwrite=true"]) == 2
    assert "none of 2 held-out photos" in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_few_corrupt_photos_of_a_small_folder_are_skipped(tmp_path, capsys):
    run = arguments(tmp_path, steps=8, photos=10)
    _, (first, second) = hold_out(sorted((tmp_path / "photos").iterdir()), 2, tmp_path / "photos")
    broken = [path for path in sorted((tmp_path / "photos").iterdir()) if path not in {first, second}][:3]
    for path in broken:
        path.write_text("no picture")
    assert main(run) == 0
    assert "skipped: 3" in capsys.readouterr().err


def test_a_process_that_decodes_photos_fails_with_a_sentence(tmp_path, capsys):
    run = arguments(tmp_path, data__workers=1)
    for path in hold_out(sorted((tmp_path / "photos").iterdir()), 2, tmp_path / "photos")[0]:
        path.write_text("no picture")
    assert main(run) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: 10 photos in a row cannot be used, the first because ")
    assert said.count("\n") == 1
    assert "\\n" not in said


def test_a_process_that_decodes_photos_and_is_killed_is_told_of():
    with pytest.raises(TrainError, match="was killed, most often because"), _explain_workers():
        raise RuntimeError("DataLoader worker (pid 123) is killed by signal: Killed. ")


def test_photos_decoded_ahead_need_room_in_shared_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(datamodule, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: (64 * 2**20, 0, 64 * 2**20))
    data = PhotoData(str(tmp_path), batch_size=16, workers=8)
    data.trainer = SimpleNamespace(num_devices=1)
    with pytest.raises(TrainError, match=r"107 MB of shared memory, and 67 MB .* --data.workers 4$"):
        data.train_dataloader()
    # Two processes on this machine take twice as much.
    data.trainer = SimpleNamespace(num_devices=2)
    with pytest.raises(TrainError, match=r"214 MB of shared memory, and 67 MB .* --data.workers 2$"):
        data.train_dataloader()


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (10, 2), (60, 15), (80, 16)])
def test_a_quarter_of_a_small_folder_is_held_out_unless_told(tmp_path, count, held_out):
    write_photos(tmp_path, count)
    data = PhotoData(str(tmp_path), image_size=64)
    data.setup("fit")
    assert (len(data.training_paths), len(data.held_out_paths)) == (count - held_out, held_out)


def test_a_folder_that_leaves_no_photo_for_training_is_refused(tmp_path, one_error):
    assert main(arguments(tmp_path, photos=3, data__held_out=3)) == 2
    assert "holds 3 photos, and --data.held_out 3 leaves none for training" in one_error()


def test_commands_to_copy_are_quoted(tmp_path, capsys):
    assert main(arguments(tmp_path, steps=1, photos=3, name="my style")) == 0
    said = capsys.readouterr().out
    assert "training 'my style': 1 steps of 2 photos at 64 px (1 photos, 2 others held out), " in said
    words = shlex.split(next(line for line in said.splitlines() if line.startswith("use it:")))
    assert str(tmp_path / "runs" / "my style" / "style.onnx") in words


def test_every_process_keeps_a_held_out_photo(tmp_path):
    data = PhotoData(str(tmp_path), image_size=64)
    data.held_out_paths = write_photos(tmp_path, 4)
    data.held_out_paths[1].write_text("no picture")
    data.held_out_paths[3].write_text("no picture")
    data.trainer = SimpleNamespace(global_rank=1, world_size=2)
    assert len(data.val_dataloader().dataset) == 1
    assert [path for path, _ in data.held_out_failures] == [str(data.held_out_paths[n]) for n in (1, 3)]


@pytest.mark.parametrize(("photos", "corrupt"), [(40, 7), (8, 5)])
def test_too_many_corrupt_photos_stop_the_run(tmp_path, capsys, photos, corrupt):
    run = arguments(tmp_path, steps=30, photos=photos)
    for index in range(1, corrupt + 1):
        (tmp_path / "photos" / f"{index:03}.png").write_text("no picture")
    assert main(run) == 2
    assert "more than 5%" in capsys.readouterr().err


@pytest.mark.slow
def test_photos_of_every_kind_are_trained_on(tmp_path):
    run = arguments(tmp_path, steps=8)
    for index, mode in enumerate(("L", "P", "CMYK", "RGBA", "I;16")):
        picture = PIL.Image.fromarray(noise(70, 66, seed=50 + index))
        picture = picture.convert("I").convert("I;16") if mode == "I;16" else picture.convert(mode)
        suffix = {"CMYK": ".jpg"}.get(mode, ".png")
        picture.save(tmp_path / "photos" / f"mode-{index}{suffix}")
    write(tmp_path / "photos" / "tiny.png", noise(1, 1))
    write(tmp_path / "photos" / "turned.jpg", noise(70, 66), orientation=6)
    assert main(run) == 0


@pytest.mark.slow
def test_weights_scaled_a_hundredfold_train_the_same(tmp_path):
    from safetensors.torch import save_file

    losses = []
    for scale in (1.0, 100.0):
        save_file(random_state(scale=scale), tmp_path / f"vgg-{scale}.safetensors")
        options = {"model.perceptual_weights": tmp_path / f"vgg-{scale}.safetensors", "name": f"scale-{scale}"}
        assert main(arguments(tmp_path, steps=6, **options)) == 0
        with (tmp_path / "runs" / f"scale-{scale}" / "metrics.csv").open(newline="") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_real_weights_photos_and_painting_train_a_style(real_vgg19, real_photos, real_paintings, tmp_path):
    run = [
        "fit",
        f"--config={ROOT / 'configs' / 'wave.yaml'}",
        f"--model.style={real_paintings / 'wave.jpg'}",
        f"--model.perceptual_weights={real_vgg19}",
        f"--data.photos={real_photos}",
        f"--runs={tmp_path}",
        "--model.network.width=8",
        "--model.style_size=128",
        "--data.image_size=64",
        "--data.batch_size=2",
        "--data.held_out=4",
        "--trainer.max_steps=40",
        "--guard.every_n_steps=5",
        "--trainer.val_check_interval=40",
        "--trainer.accelerator=cpu",
    ]
    assert main(run) == 0
    with (tmp_path / "wave" / "metrics.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.65 * losses[0]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"data.photos": ""}, "--data.photos is an empty string; name a file or a folder"),
        ({"model.style": ""}, "--model.style is an empty string"),
        ({"runs": ""}, "--runs is an empty string"),
        ({"trainer.limit_train_batches": 0}, "--trainer.limit_train_batches is 0, which trains nothing"),
        ({"trainer.accumulate_grad_batches": 2}, "raise --data.batch_size"),
        ({"trainer.check_val_every_n_epoch": 1}, "give --trainer.val_check_interval"),
        ({"seed_everything": "true"}, "--seed_everything is True; give a number"),
        ({"data.photos": "samples", "data.val_photos": "mine"}, "of the samples one is held out"),
        ({"trainer.max_time": "00:00:00:00"}, "--trainer.max_time is 00:00:00:00, which trains nothing"),
        (
            {"model.content_weight": 0, "model.style_weight": 0, "model.palette_weight": 0},
            "--model.palette_weight are all 0, which trains nothing",
        ),
    ],
)
def test_what_cannot_train_is_refused_before_anything_is_written(tmp_path, wrong, sentence, one_error):
    assert main(arguments(tmp_path, **wrong)) == 2
    assert sentence in one_error()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flag", ["limit_train_batches=1e-9", "limit_val_batches=0.1", "overfit_batches=0.1"])
def test_a_share_of_too_few_photos_is_refused_in_one_sentence(tmp_path, capsys, flag):
    assert main([*arguments(tmp_path), f"--trainer.{flag}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "error: the --trainer flags do not fit this training: You requested to check" in said
    assert not (tmp_path / "runs").exists()


def test_a_run_does_not_replace_what_it_starts_from(finished, one_error):
    start = finished / "style.safetensors"
    before = start.read_bytes()
    assert main(arguments(finished.parent.parent, overwrite="true", **{"model.start_from": start})) == 2
    assert "style.safetensors' is also an input; choose another --name" in one_error()
    assert start.read_bytes() == before
