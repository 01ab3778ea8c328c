"""Style files keep a network and its card, and say what is wrong with other files."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.errors import ModelFileError
from models.network import NetworkConfig, StyleNetwork
from models.quantization import quantize_weights
from models.style_file import StyleCard, load_style, save_style

CARD = StyleCard("wave", "MIT", "vgg19, a file", "model:\n  style: wave.jpg\n", "0.1.0", 2000)


def test_style_file_keeps_network_and_card(tmp_path):
    network = StyleNetwork(NetworkConfig(width=4, residual_blocks=2, padding="zero", upsampling="pixel_shuffle"))
    save_style(tmp_path / "wave.safetensors", network, CARD)
    loaded, card = load_style(tmp_path / "wave.safetensors")
    assert card == CARD
    assert loaded.config == network.config
    photo = torch.rand(1, 3, 20, 24)
    assert torch.equal(loaded(photo), network(photo))
    assert not loaded.training


def test_half_precision_halves_the_file(tmp_path):
    network = StyleNetwork()
    save_style(tmp_path / "full.safetensors", network, CARD)
    save_style(tmp_path / "half.safetensors", network, CARD, torch.float16)
    sizes = [(tmp_path / name).stat().st_size for name in ("full.safetensors", "half.safetensors")]
    assert sizes[1] < 0.51 * sizes[0]
    loaded, _ = load_style(tmp_path / "half.safetensors")
    assert next(loaded.parameters()).dtype == torch.float32


def test_8_bits_quarter_the_file_and_round_kernels_alone(tmp_path):
    network = StyleNetwork()
    save_style(tmp_path / "full.safetensors", network, CARD)
    save_style(tmp_path / "small.safetensors", network, CARD, torch.int8)
    sizes = [(tmp_path / name).stat().st_size for name in ("full.safetensors", "small.safetensors")]
    assert sizes[1] < 0.26 * sizes[0]
    loaded, card = load_style(tmp_path / "small.safetensors")
    assert (card, loaded.config) == (CARD, network.config)
    for (name, found), expected in zip(loaded.named_parameters(), network.parameters(), strict=True):
        assert found.dtype == torch.float32
        if found.ndim == 4:
            levels, scales = quantize_weights(expected.detach().numpy())
            restored = levels * scales[:, None, None, None]
        else:
            restored = expected.detach().half().float().numpy()
        np.testing.assert_array_equal(found.detach().numpy(), restored, name)


def test_8_bits_stored_again_keep_their_levels(tmp_path):
    paths = [tmp_path / "once.safetensors", tmp_path / "twice.safetensors"]
    save_style(paths[0], StyleNetwork(NetworkConfig(width=8)), CARD, torch.int8)
    save_style(paths[1], load_style(paths[0])[0], CARD, torch.int8)
    once, twice = map(load_file, paths)
    assert once.keys() == twice.keys()
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor, rtol=1e-6, atol=0)


def test_8_bits_have_a_format_that_earlier_versions_refuse(tmp_path):
    formats = []
    for dtype in (torch.float16, torch.int8):
        save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), CARD, dtype)
        with safe_open(tmp_path / "style.safetensors", "pt") as file:
            formats.append(file.metadata()["format"])
    assert formats == ["onestroke-style-1", "onestroke-style-2"]


def test_8_bit_kernel_without_its_scale_is_refused(tmp_path):
    path = tmp_path / "style.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(width=4)), CARD, torch.int8)
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    del tensors["conv2.weight.scale"]
    save_file(tensors, path, header)
    with pytest.raises(ModelFileError, match=r"conv2\.weight\.scale"):
        load_style(path)


def test_other_integers_than_8_bits_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"torch\.int16; it must be"):
        save_style(tmp_path / "style.safetensors", StyleNetwork(NetworkConfig(width=4)), CARD, torch.int16)
    assert list(tmp_path.iterdir()) == []


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
