"""A kept style is the trained one in half the bytes."""

import errno
from pathlib import Path

import pytest
import torch

from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, load_style, save_style
from train.keep.command import main


def test_kept_style_paints_the_same_picture(tmp_path):
    network = StyleNetwork(NetworkConfig(width=8))
    save_style(tmp_path / "style.safetensors", network, StyleCard("wave", steps=3))
    assert main([str(tmp_path), str(tmp_path / "kept" / "wave.safetensors")]) == 0
    kept, card = load_style(tmp_path / "kept" / "wave.safetensors")
    assert (card.name, card.steps) == ("wave", 3)
    photo = torch.rand(1, 3, 32, 32)
    assert (kept(photo) - network(photo)).abs().mean() < 1 / 255


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

    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert main([str(tmp_path), str(tmp_path / "kept.safetensors")]) == 2
    assert "No space left on device" in one_error()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors"]
