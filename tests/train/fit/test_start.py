"""A run starts from what its flags say, or says in one sentence why it cannot."""

import pytest
import torch
import yaml

from models.network import NetworkConfig, StyleNetwork
from models.start import START_FILE, StartCard, StartNetwork, count_statistics, load_start, save_start
from models.style_file import StyleCard, load_style, save_style
from tests import ROOT
from tests.pictures import noise, write
from tests.train.small_run import arguments
from train.fit.checkpoint import CHECKSUM
from train.fit.command import main
from train.fit.datamodule import PhotoData
from train.fit.origin import describe_files, find_origin_file


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    assert main(arguments(folder, steps=2)) == 0
    return folder


def snapshot(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_last_means_the_checkpoint_of_the_run_folder(finished):
    style = finished / "runs" / "small" / "style.safetensors"
    before = load_style(style)[0].state_dict()
    assert main(arguments(finished, steps=2, ckpt_path="last", seed_everything=0)) == 0
    after = load_style(style)[0].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_finished_checkpoint_is_exported_into_a_new_folder(finished, tmp_path):
    checkpoint = finished / "runs" / "small" / "last.ckpt"
    assert main(arguments(finished, steps=2, ckpt_path=checkpoint, runs=tmp_path / "new")) == 0
    run = tmp_path / "new" / "small"
    expected = load_style(finished / "runs" / "small" / "style.safetensors")[0].state_dict()
    found = load_style(run / "style.safetensors")[0].state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert (run / "style.onnx").is_file()
    assert (run / "last.ckpt").read_bytes() == checkpoint.read_bytes()
    assert yaml.safe_load((run / "config.yaml").read_text())["runs"] == str(tmp_path / "new")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"trainer.max_steps": 8}, "max_steps"),
        ({"data.batch_size": 3}, "batch size"),
        ({"seed_everything": 7}, "seed"),
        ({"data.held_out": 3}, "photo list"),
        ({"model.learning_rate": 1e-5}, "--model.learning_rate 0.001, this run has --model.learning_rate 1e-05;"),
        ({"model.optimizer": "adam"}, "--model.optimizer muon, this run has --model.optimizer adam;"),
        ({"model.style_weight": 2}, "--model.style_weight 1.0, this run has --model.style_weight 2"),
    ],
)
def test_resuming_another_plan_is_refused_and_nothing_is_changed(finished, capsys, changed, named):
    before = snapshot(finished)
    assert main(arguments(finished, steps=2, ckpt_path="last", **changed)) == 2
    assert named in capsys.readouterr().err
    assert snapshot(finished) == before


def test_resuming_with_another_painting_is_refused_and_with_a_copy_of_its_own_goes_on(finished, tmp_path, capsys):
    before = snapshot(finished)
    other = write(tmp_path / "other.png", noise(80, 64))
    assert main(arguments(finished, steps=2, ckpt_path="last", model__style=other)) == 2
    assert f"was trained on other pictures than {other}; give --model.style those" in capsys.readouterr().err
    assert snapshot(finished) == before
    other.write_bytes((finished / "painting.png").read_bytes())
    assert main(arguments(finished, steps=2, ckpt_path="last", model__style=other)) == 0
    assert f"going on from {finished / 'runs' / 'small' / 'last.ckpt'}; " in capsys.readouterr().out


@pytest.mark.parametrize(("word", "name"), [("last", "new"), ("best", "small"), ("hpc", "small")])
def test_other_words_for_a_checkpoint_are_refused_and_nothing_is_removed(finished, one_error, word, name):
    before = snapshot(finished)
    assert main(arguments(finished, steps=2, ckpt_path=word, name=name, overwrite="true")) == 2
    assert "--ckpt_path" in one_error()
    assert snapshot(finished) == before


def test_validation_takes_the_latest_checkpoint_and_says_so(finished, capsys):
    given = finished / "runs" / "small" / "last.ckpt"
    said = []
    for option in (None, given):
        assert main(["validate", *arguments(finished, steps=2, ckpt_path=option)[1:]]) == 0
        said.append(capsys.readouterr().out)
    assert f"validating {given}\n" in said[0]
    losses = [[line for line in text.splitlines() if "val_loss" in line] for text in said]
    assert losses[0] == losses[1] != []


def test_validation_refuses_random_weights(finished, one_error):
    assert main(["validate", *arguments(finished, steps=2, name="new")[1:]]) == 2
    assert "--ckpt_path" in one_error()


def test_validation_takes_the_style_that_a_run_would_start_from(finished, capsys):
    style = finished / "runs" / "small" / "style.safetensors"
    assert main(["validate", *arguments(finished, steps=2, name="new", model__start_from=style)[1:]]) == 0
    assert f"validating {style}" in capsys.readouterr().out


@pytest.mark.parametrize("own", [0, 12])
def test_a_style_that_is_started_from_keeps_its_noise_unless_another_is_given(tmp_path, capsys, own):
    former = tmp_path / "former.safetensors"
    save_style(former, StyleNetwork(NetworkConfig(4, 1, noise=own)), StyleCard("former"))
    run = tmp_path / "runs" / "small"
    assert main(arguments(tmp_path, steps=1, model__start_from=former)) == 0
    assert load_style(run / "style.safetensors")[0].config == NetworkConfig(4, 1, noise=own)
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["network"]["noise"] == own
    assert f"former.safetensors, with its noise of {own}; " in capsys.readouterr().out
    # The first is the default of a network that starts from something else.
    for given in (6, 7):
        options = {"model.start_from": former, "model.network.noise": given, "overwrite": "true"}
        assert main(arguments(tmp_path, steps=1, **options)) == 0
        assert load_style(run / "style.safetensors")[0].config == NetworkConfig(4, 1, noise=given)
        told = f"former.safetensors, with a noise of {given} (the style's own is {own}); "
        assert told in capsys.readouterr().out


def test_a_folder_called_samples_goes_before_the_samples(tmp_path, monkeypatch):
    for index in range(3):
        write(tmp_path / "samples" / f"{index}.png", noise(72, 68, seed=index))
    monkeypatch.chdir(tmp_path)
    data = PhotoData("samples", held_out=1)
    data.setup("fit")
    assert [path.parent.name for path in data.training_paths] == ["samples"] * 2
    assert {path.stem for path in (*data.training_paths, *data.held_out_paths)} == {"0", "1", "2"}


def test_a_folder_of_a_kept_styles_name_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "wave").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_origin_file("wave").is_file()


@pytest.mark.parametrize(("key", "told"), [("objective", "style_norm layers"), (None, "palette_weight 1")])
def test_a_checkpoint_of_another_loss_or_noise_is_not_resumed(finished, tmp_path, capsys, key, told):
    checkpoint = torch.load(finished / "runs" / "small" / "last.ckpt", weights_only=True)
    # Checkpoints from before there was a palette say neither, nor do they have a checksum.
    for name in (key, CHECKSUM):
        checkpoint.pop(name, None)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    options = {"ckpt_path": tmp_path / "last.ckpt", "model.palette_weight": 0.5, "runs": tmp_path / "runs"}
    assert main(arguments(finished, steps=2, **options)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert told in error
    assert "0.5" in error
    options |= {"model.palette_weight": 0, "model.style_norm": "layers", "model.network.noise": 0}
    options |= {"model.spectrum_weight": 0}
    assert (main(["validate", *arguments(finished, steps=2, **options)[1:]]) == 0) == (key is not None)


@pytest.mark.parametrize("term", ["stability_weight", "emd_weight", "emd_rarity", "content_focus"])
def test_a_checkpoint_from_before_a_term_is_resumed_without_it_only(finished, tmp_path, capsys, term):
    checkpoint = torch.load(finished / "runs" / "small" / "last.ckpt", weights_only=True)
    del checkpoint["objective"][term], checkpoint[CHECKSUM]
    torch.save(checkpoint, tmp_path / "last.ckpt")
    options = {"ckpt_path": tmp_path / "last.ckpt", "runs": tmp_path / "runs"}
    given = {f"model.{term}": 1, "model.emd_layers": "{relu2_1: 1}", "model.focus_layer": "relu2_1"}
    assert main(arguments(finished, steps=2, **given, **options)) == 2
    assert f"--model.{term} 0.0" in capsys.readouterr().err.splitlines()[-1]
    assert main(arguments(finished, steps=2, **options)) == 0


def forget(finished, setting, folder):
    """Copy a finished run's checkpoint into a folder, as a version wrote it that did not tell a setting."""
    checkpoint = torch.load(finished / "runs" / "small" / "last.ckpt", weights_only=True)
    del checkpoint["objective"][setting], checkpoint[CHECKSUM]
    torch.save(checkpoint, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_a_checkpoint_from_before_the_spectrum_term_is_resumed_without_it(finished, tmp_path, capsys):
    options = {"ckpt_path": forget(finished, "spectrum_weight", tmp_path), "runs": tmp_path / "runs"}
    assert main(arguments(finished, steps=2, **options)) == 2
    assert "--model.spectrum_weight 0.0" in capsys.readouterr().err.splitlines()[-1]
    assert main(arguments(finished, steps=2, **options, **{"model.spectrum_weight": 0})) == 0


def test_a_checkpoint_that_names_no_optimizer_is_adams(tmp_path, capsys):
    adam = {"model.optimizer": "adam"}
    assert main(arguments(tmp_path, steps=2, **adam)) == 0
    options = {"ckpt_path": forget(tmp_path, "optimizer", tmp_path), "runs": tmp_path / "others"}
    assert main(arguments(tmp_path, steps=2, **options)) == 2
    assert "was trained with --model.optimizer adam" in capsys.readouterr().err.splitlines()[-1]
    assert main(arguments(tmp_path, steps=2, **options, **adam)) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(
    "wrong", [{"trainer.accelerator": "gpu"}, {"trainer.devices": 0}, {"trainer.strategy": "best"}]
)
def test_a_trainer_that_this_machine_cannot_run_is_refused(finished, one_error, wrong):
    assert main(arguments(finished, name="absent", **wrong)) == 2
    one_error()
    assert not (finished / "runs" / "absent").exists()


def test_a_runs_folder_that_is_a_file_is_refused(tmp_path, one_error):
    (tmp_path / "runs").write_text("precious")
    assert main(arguments(tmp_path, steps=2)) == 2
    assert "--runs" in one_error()
    assert (tmp_path / "runs").read_text() == "precious"


def test_a_run_that_cannot_start_leaves_nothing(tmp_path, capsys):
    for wrong in ({"data.photos": "missing"}, {"model.style": "missing.jpg"}, {"model.perceptual_weights": "missing"}):
        assert main(arguments(tmp_path, steps=4, **wrong)) == 2
        assert "missing" in capsys.readouterr().err
    assert main(arguments(tmp_path, steps=4, ckpt_path="missing.ckpt")) == 2
    assert "'missing.ckpt' does not exist" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "small").exists()


def test_ctrl_c_before_the_first_step_is_no_traceback(tmp_path, monkeypatch, capsys):
    def interrupt(data, stage):
        raise KeyboardInterrupt

    monkeypatch.setattr(PhotoData, "setup", interrupt)
    assert main(arguments(tmp_path, steps=4)) == 130
    assert "stopped before the first step" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "small").exists()


@pytest.mark.parametrize("kind", ["damaged", "foreign", "other network"])
def test_a_checkpoint_that_does_not_fit_leaves_nothing(finished, tmp_path, capsys, kind):
    path = tmp_path / "given.ckpt"
    if kind == "damaged":
        path.write_bytes(b"nothing")
    elif kind == "foreign":
        torch.save({"state_dict": {}}, path)
    else:
        path.write_bytes((finished / "runs" / "small" / "last.ckpt").read_bytes())
    options = {"ckpt_path": path, "model.network.width": 5, "runs": tmp_path / "made" / "runs"}
    assert main(arguments(tmp_path, steps=2, **options)) == 2
    assert "checkpoint" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("how", ["flag", "config"])
def test_former_spelling_of_the_license_is_taken(tmp_path, how):
    (tmp_path / "old.yaml").write_text("licence: CC0\n")
    given = ["--licence", "CC0"] if how == "flag" else ["--config", str(tmp_path / "old.yaml")]
    assert main([*arguments(tmp_path, steps=1), *given]) == 0
    run = tmp_path / "runs" / "small"
    assert load_style(run / "style.safetensors")[1].license == "CC0"
    assert "license: CC0" in (run / "config.yaml").read_text()
    assert "licence" not in (run / "config.yaml").read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    torch.manual_seed(5)
    start = StartNetwork(count_statistics(), NetworkConfig(width=4, residual_blocks=1))
    torch.nn.init.normal_(start.predictor.output.weight, std=0.1)
    path = tmp_path_factory.mktemp("shared") / "start.safetensors"
    save_start(path, start, StartCard())
    return path


def train_one_tiny_step(folder, **options):
    assert main(arguments(folder, steps=1, model__learning_rate=1e-9, **options)) == 0
    run = folder / "runs" / "small"
    return load_style(run / "style.safetensors")[0].state_dict(), yaml.safe_load((run / "config.yaml").read_text())


def test_a_run_starts_from_the_shared_start_unless_told(tmp_path, monkeypatch, capsys, shared):
    monkeypatch.setattr("train.fit.command.START_FILE", shared)
    found, config = train_one_tiny_step(tmp_path)
    assert "from the shared start start.safetensors" in capsys.readouterr().out.splitlines()[0]
    assert config["model"]["start_from"] == str(shared)
    start, _ = load_start(shared)
    for name, value in start.make_style(describe_files([tmp_path / "painting.png"])).state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("given", "width", "said"),
    [
        ("none", 4, "from random weights;"),
        (None, 5, "from random weights (the shared start has width 4, this network 5)"),
        (None, None, "from random weights (the shared start start.safetensors is not there)"),
    ],
)
def test_random_weights_are_announced(tmp_path, monkeypatch, capsys, shared, given, width, said):
    monkeypatch.setattr("train.fit.command.START_FILE", shared if width else tmp_path / "start.safetensors")
    options = {"model.start_from": given, "model.network.width": width or 4}
    found, config = train_one_tiny_step(tmp_path, **options)
    assert said in capsys.readouterr().out.splitlines()[0]
    assert config["model"]["start_from"] == "none"
    assert (found["norm1.weight"] - 1).abs().max() < 1e-6


def test_a_start_file_may_be_named(tmp_path, capsys, shared):
    found, _ = train_one_tiny_step(tmp_path, model__start_from=shared)
    assert f"from {shared}" in capsys.readouterr().out.splitlines()[0]
    torch.testing.assert_close(found["conv1.weight"], load_start(shared)[0].network.conv1.weight, rtol=0, atol=1e-6)


def test_what_ships_names_the_shared_start_and_no_path(tmp_path):
    options = {"model.network.width": 32, "model.network.residual_blocks": 5, "model.network.noise": 6}
    found, config = train_one_tiny_step(tmp_path, **options)
    assert config["model"]["start_from"] == "start"
    weights = (tmp_path / "runs" / "small" / "style.safetensors").read_bytes()
    assert b"start_from: start" in weights
    assert str(ROOT).encode() not in weights
    torch.testing.assert_close(found["conv1.weight"], load_start(START_FILE)[0].network.conv1.weight, rtol=0, atol=1e-6)


def test_a_kept_style_may_be_named_without_its_path(tmp_path):
    options = {"model.network.width": 8, "model.network.residual_blocks": 5, "model.start_from": "wave_nano"}
    found, _ = train_one_tiny_step(tmp_path, **options)
    kept, _ = load_style(ROOT / "models" / "pretrained" / "wave_nano.safetensors")
    torch.testing.assert_close(found["conv1.weight"], kept.conv1.weight, rtol=0, atol=1e-6)


def test_a_named_start_of_another_architecture_is_refused(tmp_path, one_error, shared):
    options = {"model.start_from": shared, "model.network.width": 5}
    assert main(arguments(tmp_path, steps=1, **options)) == 2
    assert "--model.network" in one_error()


def test_a_damaged_shared_start_is_refused_and_nothing_is_written(tmp_path, monkeypatch, one_error, shared):
    torn = tmp_path / "start.safetensors"
    torn.write_bytes(shared.read_bytes()[:-100])
    monkeypatch.setattr("train.fit.command.START_FILE", torn)
    assert main(arguments(tmp_path, steps=1)) == 2
    assert str(torn) in one_error()
    assert not (tmp_path / "runs" / "small").exists()


def test_validation_takes_no_shared_start_unless_named(tmp_path, monkeypatch, one_error, shared):
    monkeypatch.setattr("train.fit.command.START_FILE", shared)
    assert main(["validate", *arguments(tmp_path, steps=2)[1:]]) == 2
    assert "--ckpt_path" in one_error()
