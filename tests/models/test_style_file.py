"""Style files keep a network and its card, and say what is wrong with other files."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from models.errors import ModelFileError
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, load_style, save_style
from tests.train.small_run import ROOT

CARD = StyleCard("wave", "MIT", "vgg19, a file", "model:\n  style: wave.jpg\n", "0.1.0", 2000)


@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_style_file_keeps_network_and_card(tmp_path, noise):
    config = NetworkConfig(width=4, residual_blocks=2, padding="zero", upsampling="pixel_shuffle", noise=noise)
    network = StyleNetwork(config)
    save_style(tmp_path / "wave.safetensors", network, CARD)
    loaded, card = load_style(tmp_path / "wave.safetensors")
    assert card == CARD
    assert loaded.config == network.config
    photo = torch.rand(1, 3, 20, 24)
    assert torch.equal(loaded(photo), network(photo))
    assert not loaded.training


@pytest.mark.parametrize("name", ["wave", "starry_night", "wave_half", "wave_nano"])
def test_style_files_from_before_there_was_noise_have_none(name):
    path = ROOT / "models" / "pretrained" / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        has_noise = "noise" in json.loads(file.metadata()["network"])
    assert (load_style(path)[0].config.noise > 0) == has_noise


def test_half_precision_halves_the_file(tmp_path):
    network = StyleNetwork()
    save_style(tmp_path / "full.safetensors", network, CARD)
    save_style(tmp_path / "half.safetensors", network, CARD, torch.float16)
    sizes = [(tmp_path / name).stat().st_size for name in ("full.safetensors", "half.safetensors")]
    assert sizes[1] < 0.51 * sizes[0]
    loaded, _ = load_style(tmp_path / "half.safetensors")
    assert next(loaded.parameters()).dtype == torch.float32


def test_channels_last_weights_are_stored_in_the_textbook_layout(tmp_path):
    network = StyleNetwork(NetworkConfig(width=4)).to(memory_format=torch.channels_last)
    save_style(tmp_path / "wave.safetensors", network, CARD)
    loaded, _ = load_style(tmp_path / "wave.safetensors")
    assert torch.equal(loaded.conv1.weight, network.conv1.weight)
    assert loaded.conv1.weight.is_contiguous()


@pytest.mark.parametrize("name", ["missing", "text", "truncated", "foreign", "wrong"])
def test_unusable_style_file_is_named_in_one_sentence(tmp_path, name):
    path = tmp_path / f"{name}.safetensors"
    save_style(tmp_path / "good.safetensors", StyleNetwork(NetworkConfig(width=4)), CARD)
    good = (tmp_path / "good.safetensors").read_bytes()
    if name == "text":
        path.write_text("not weights")
    elif name == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif name == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    elif name == "wrong":
        path.write_bytes(good.replace(b'\\"width\\": 4', b'\\"width\\": 8'))
    with pytest.raises(ModelFileError, match=name) as caught:
        load_style(path)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "wave.safetensors"
    network = StyleNetwork(NetworkConfig(width=4))
    save_style(path, network, CARD)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("models.style_file.save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_style(path, network, CARD)
    assert path.read_bytes() == before


def test_an_error_without_a_message_is_named_by_its_kind(tmp_path, monkeypatch):
    save_style(tmp_path / "wave.safetensors", StyleNetwork(NetworkConfig(width=4)), CARD)

    def fail(*_, **__):
        raise RuntimeError

    monkeypatch.setattr("models.style_file.safe_open", fail)
    with pytest.raises(ModelFileError, match=r"cannot be read \(RuntimeError\)"):
        load_style(tmp_path / "wave.safetensors")
