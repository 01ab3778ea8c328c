"""The demo trains, exports and repaints with nothing but what the repository and scikit-image hold."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from data.images import decode, encode, from_array, to_array
from models.style_file import load_style
from tests import ROOT
from tests.pictures import noise, ramp, write
from train.demo.command import find_shipped, main
from train.errors import TrainError
from train.fit.datamodule import PhotoData

pytest.importorskip("skimage", reason="the sample photos come with scikit-image")

FLAGS = ["--data.image_size", "64", "--data.workers", "0", "--trainer.accelerator", "cpu"]
DEFAULT = ["--steps", "2", "--", *FLAGS]
NANO = ROOT / "models" / "pretrained" / "wave_nano.safetensors"
QUICK = [*DEFAULT, "--model.start_from", str(NANO), "--model.network.width", "8", "--model.style_size", "96"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert main(["--output", str(folder), *QUICK]) == 0
    return folder


@pytest.mark.slow
def test_demo_trains_exports_and_shows_before_and_after(tmp_path):
    assert main(["--output", str(tmp_path), *DEFAULT]) == 0
    run = tmp_path / "flowing_strokes"
    _, card = load_style(run / "style.safetensors")
    assert card.steps == 2
    assert card.perceptual_source.startswith("vgg_small from vgg_small.safetensors, sha256")
    assert (run / "style.onnx").is_file()
    sheet, painted = decode(tmp_path / "before-after.png"), decode(tmp_path / "painted.jpg")
    assert painted.size == (451, 300)
    assert sheet.width > 2 * painted.width


def test_demo_run_again_does_not_train_again(demo, capsys):
    weights = demo / "flowing_strokes" / "style.safetensors"
    before = weights.stat().st_mtime_ns
    assert main(["--output", str(demo), *QUICK]) == 0
    assert weights.stat().st_mtime_ns == before
    assert "trained already" in capsys.readouterr().out


def test_demo_that_was_refused_is_not_taken_for_trained(demo, tmp_path, capsys):
    output = tmp_path / "demo"
    shutil.copytree(demo, output)
    with pytest.raises(SystemExit):
        main(["--output", str(output), *QUICK, "--model.bogus", "1"])
    arguments = ["--output", str(output), "--photos", str(tmp_path / "later"), *QUICK]
    assert json.loads((output / "flowing_strokes" / "demo.json").read_text())["flags"][-1] != "1"
    capsys.readouterr()
    assert main(arguments) == 2
    assert "is trained anew" in capsys.readouterr().out
    for index in range(3):
        write(tmp_path / "later" / f"{index}.png", noise(90, 80, seed=index))
    assert main(arguments) == 0
    assert "trained already" not in capsys.readouterr().out
    config = yaml.safe_load((output / "flowing_strokes" / "config.yaml").read_text())
    assert config["data"]["photos"] == str(tmp_path / "later")


@pytest.mark.slow
def test_interrupted_demo_goes_on(demo, tmp_path, capsys):
    run = tmp_path / "flowing_strokes"
    assert main(["--output", str(tmp_path), *QUICK]) == 0
    (run / "style.onnx").unlink()
    (run / "style.safetensors").unlink()
    assert main(["--output", str(tmp_path), *QUICK]) == 0
    assert "going on from" in capsys.readouterr().out
    (one, _), (other, _) = (load_style(path / "style.safetensors") for path in (run, demo / "flowing_strokes"))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    assert (run / "style.onnx").is_file()


def test_demo_takes_the_users_own_pictures(tmp_path):
    for index in range(3):
        write(tmp_path / "photos" / f"{index}.png", noise(90, 80, seed=index))
    encode(from_array(ramp(100, 90)), tmp_path / "my painting.jpg")
    write(tmp_path / "me.png", noise(50, 40, seed=9))
    own = ["--style", "my painting.jpg", "--photos", "photos", "--photo", "me.png"]
    own = [str(tmp_path / word) if not word.startswith("--") else word for word in own]
    assert main(["--output", str(tmp_path / "demo"), *own, *QUICK]) == 0
    assert decode(tmp_path / "demo" / "painted.jpg").size == (50, 40)
    config = yaml.safe_load((tmp_path / "demo" / "my painting" / "config.yaml").read_text())
    assert config["data"]["photos"] == str(tmp_path / "photos")
    assert config["license"] == ""
    assert json.loads((tmp_path / "demo" / "my painting" / "demo.json").read_text())


@pytest.mark.parametrize("flag", ["--photo", "--style", "--photos"])
def test_demo_says_what_is_missing(tmp_path, capsys, flag):
    assert main(["--output", str(tmp_path), flag, str(tmp_path / "nowhere.jpg"), *QUICK]) == 2
    assert "nowhere.jpg" in capsys.readouterr().err


def test_demo_never_replaces_what_it_did_not_make(demo, tmp_path, one_error):
    shutil.copytree(demo / "flowing_strokes", tmp_path / "flowing_strokes")
    (tmp_path / "flowing_strokes" / "demo.json").unlink()
    assert main(["--output", str(tmp_path), *QUICK]) == 2
    assert "flowing_strokes' holds a run that is not the demo's; choose another --output" in one_error()
    (tmp_path / "painted.jpg").write_text("mine")
    assert main(["--output", str(tmp_path), *QUICK]) == 2
    assert "painted.jpg' is not the demo's; choose another --output" in one_error()
    assert (tmp_path / "painted.jpg").read_text() == "mine"


def test_demo_never_replaces_the_photo_that_it_repaints(demo, one_error):
    before = (demo / "painted.jpg").read_bytes()
    assert main(["--output", str(demo), "--photo", str(demo / "painted.jpg"), *QUICK]) == 2
    assert "painted.jpg' is also an input" in one_error()
    assert (demo / "painted.jpg").read_bytes() == before


def test_shown_photo_is_not_trained_on():
    data = PhotoData("samples", scene_share=0.5)
    data.setup("fit")
    assert [path.stem for path in data.held_out_paths] == ["chelsea"]
    assert "chelsea" not in [path.stem for path in data.training_paths]


def test_impossible_scene_share_is_refused():
    with pytest.raises(TrainError, match=r"--data\.scene_share is 1\.5"):
        PhotoData("samples", scene_share=1.5)


def test_demo_config_needs_no_download():
    config = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())
    assert config["model"]["perceptual"] == "vgg_small"
    assert (ROOT / config["model"]["style"]).is_file()
    assert config["model"]["start_from"] == "start"
    assert np.ptp(to_array(decode(ROOT / config["model"]["style"]))) > 200


def test_its_own_files_are_found_from_any_folder(tmp_path, monkeypatch):
    drawn = "data/styles/flowing_strokes.jpg"
    monkeypatch.chdir(ROOT)
    assert str(find_shipped(drawn)) == drawn
    monkeypatch.chdir(tmp_path)
    assert find_shipped(drawn) == ROOT / drawn
