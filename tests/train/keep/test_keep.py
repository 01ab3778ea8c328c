"""A kept style is the trained one in a quarter of the bytes, or half of them."""

import errno
import os

import pytest
import torch
from safetensors.torch import load_file

from data.scenes import draw_scene
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, load_style, save_style
from tests import ROOT
from tests.pictures import write_photos
from train.keep import command
from train.keep.command import compare_networks, main


@pytest.mark.slow
def test_kept_style_paints_the_same_picture(tmp_path):
    torch.manual_seed(0)
    network = StyleNetwork(NetworkConfig(width=16))
    save_style(tmp_path / "style.safetensors", network, StyleCard("wave", steps=3))
    assert main([str(tmp_path), str(tmp_path / "kept" / "wave.safetensors")]) == 0
    kept, card = load_style(tmp_path / "kept" / "wave.safetensors")
    assert (card.name, card.steps) == ("wave", 3)
    photo = torch.rand(1, 3, 32, 32)
    # Noise through random weights is hard to keep; what trained networks lose is measured below.
    assert (kept(photo) - network(photo)).abs().mean() < 2 / 255


@pytest.mark.slow
def test_nobody_sees_that_wave_has_8_bits(tmp_path, monkeypatch):
    # The command's own comparison is tested elsewhere.
    monkeypatch.setattr(command, "SCENE_SIDE", 48)
    wave = ROOT / "models" / "pretrained" / "wave.safetensors"
    kept = tmp_path / "wave.safetensors"
    assert main([str(wave), str(kept)]) == 0
    assert kept.stat().st_size < 1_720_000
    pictures = [draw_scene(128, seed) for seed in range(10, 13)]
    difference = compare_networks(load_style(kept)[0], load_style(wave)[0], pictures)
    assert difference.psnr_db >= 40
    assert difference.ssim >= 0.99


@pytest.mark.parametrize(
    ("bits", "kinds"), [("8", {torch.int8, torch.float16, torch.float32}), ("16", {torch.float16})]
)
def test_weights_have_the_bits_that_were_asked_for(tmp_path, bits, kinds):
    torch.manual_seed(0)
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=16)), StyleCard("wave"))
    assert main([str(tmp_path), str(tmp_path / "kept.safetensors"), "--bits", bits]) == 0
    assert {tensor.dtype for tensor in load_file(tmp_path / "kept.safetensors").values()} == kinds


def test_the_difference_is_told_for_the_photos_that_are_named(tmp_path, capsys):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    write_photos(tmp_path / "photos", 9)
    assert main([str(tmp_path), str(tmp_path / "kept.safetensors"), "--photos", str(tmp_path / "photos")]) == 0
    assert "dB or more on 6 photos" in capsys.readouterr().out


def test_the_mean_of_stages_lies_between_them(tmp_path, capsys):
    stages = {}
    for seed, share in ((0, 1), (1, 3)):
        torch.manual_seed(seed)
        network = StyleNetwork(NetworkConfig(width=4, noise=6 + seed, strength=not seed))
        (tmp_path / str(seed)).mkdir()
        card = StyleCard(("first", "second")[seed], steps=seed, held_out_loss=1)
        save_style(tmp_path / str(seed) / "style.safetensors", network, card)
        stages[seed] = share, network.state_dict()
    runs = ",".join(f"{tmp_path / str(seed)}:{share}" for seed, (share, _) in stages.items())
    assert main([runs, str(tmp_path / "mean.safetensors"), "--bits", "16"]) == 0
    mean, card = load_style(tmp_path / "mean.safetensors")
    assert mean.config == NetworkConfig(width=4, noise=6.75)
    assert (card.steps, card.held_out_loss) == (1, None)
    assert card.training_config.startswith("# The mean of first 0.25, second 0.75; ")
    assert "a mean has no strength" in capsys.readouterr().out
    for name, weights in mean.state_dict().items():
        torch.testing.assert_close(weights, 0.25 * stages[0][1][name] + 0.75 * stages[1][1][name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("noise", [0.0, 24.0])
def test_other_noise_leaves_the_weights_as_they_are(tmp_path, noise):
    network = StyleNetwork(NetworkConfig(width=4, noise=6, strength=True))
    save_style(tmp_path / "style.safetensors", network, StyleCard("wave", steps=3, held_out_loss=1))
    kept = tmp_path / "kept.safetensors"
    assert main([str(tmp_path), str(kept), "--bits", "16", "--noise", f"{noise:g}"]) == 0
    changed, card = load_style(kept)
    assert changed.config == NetworkConfig(width=4, noise=noise, strength=True)
    assert (card.steps, card.held_out_loss) == (3, None)
    assert card.training_config.startswith(f"# Noise of {noise:g} in place of 6, ")
    for name, weights in network.state_dict().items():
        torch.testing.assert_close(changed.state_dict()[name], weights, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("noise", ["-1", "nan", "inf"])
def test_noise_that_cannot_be_is_refused(tmp_path, noise, one_error):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    assert main([str(tmp_path), str(tmp_path / "kept.safetensors"), f"--noise={noise}"]) == 2
    assert f"--noise: noise is {float(noise)}; it must be" in one_error()
    assert not (tmp_path / "kept.safetensors").exists()


def test_networks_of_two_kinds_have_no_mean(tmp_path, one_error):
    for width in (4, 8):
        save_style(tmp_path / f"{width}.safetensors", StyleNetwork(NetworkConfig(width=width)), StyleCard("wave"))
    runs = ",".join(f"{tmp_path / name}.safetensors:1" for name in ("4", "8"))
    assert main([runs, str(tmp_path / "mean.safetensors")]) == 2
    assert "only stages of one style have a mean" in one_error()
    assert not (tmp_path / "mean.safetensors").exists()


def test_a_stage_that_is_named_twice_is_no_mean(tmp_path, one_error):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    assert main([f"{tmp_path}:0.4,{tmp_path / 'style.safetensors'}:0.6", str(tmp_path / "mean.safetensors")]) == 2
    assert "name each stage once" in one_error()


def test_a_visible_difference_is_refused_and_the_old_file_stays(tmp_path, monkeypatch, one_error):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    (tmp_path / "kept.safetensors").write_text("old")
    monkeypatch.setattr(command, "LEAST_PSNR_DB", 90)
    assert main([str(tmp_path), str(tmp_path / "kept.safetensors"), "--overwrite"]) == 2
    assert "where 90 dB are needed" in (said := one_error())
    assert "pass --bits 16" in said
    assert (tmp_path / "kept.safetensors").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.safetensors", "style.safetensors"]


def test_a_kept_style_is_not_overwritten(tmp_path, capsys):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    (tmp_path / "wave.safetensors").write_text("old")
    assert main([str(tmp_path), str(tmp_path / "wave.safetensors")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "wave.safetensors").read_text() == "old"


def test_an_absent_run_is_named(tmp_path, capsys):
    assert main([str(tmp_path / "missing"), str(tmp_path / "out.safetensors")]) == 2
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["afile/out.safetensors", "."])
def test_an_output_that_cannot_be_is_refused_with_nothing_left(tmp_path, monkeypatch, output, capsys):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    (tmp_path / "afile").write_text("precious")
    monkeypatch.chdir(tmp_path)
    assert main([".", output, "--overwrite"]) == 2
    assert "is a f" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["afile", "style.safetensors"]


def test_only_a_safetensors_file_is_written(tmp_path, one_error):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))
    (tmp_path / "wave.onnx").write_text("mine")
    assert main([str(tmp_path), str(tmp_path / "wave.onnx"), "--overwrite"]) == 2
    assert "does not end in .safetensors" in one_error()
    assert (tmp_path / "wave.onnx").read_text() == "mine"


def test_full_disk_gets_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, one_error):
    save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), StyleCard("wave"))

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert main([str(tmp_path), str(tmp_path / "kept.safetensors")]) == 2
    assert "No space left on device" in one_error()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors"]
