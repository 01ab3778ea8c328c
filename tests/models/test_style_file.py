"""Style files keep a network and its card, and say what is wrong with other files."""

import errno
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.errors import ModelFileError
from models.network import NetworkConfig, StyleNetwork
from models.quantization import quantize_weights
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


def rewrite(path, tensors=None, **entries):
    """Write a style file anew with other entries of its header, or with other tensors beside its own."""
    with safe_open(path, "pt") as file:
        header = file.metadata()
    save_file(load_file(path) | (tensors or {}), path, header | entries)
    return path


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"width": 4000}, "says width 4000 and 5 residual blocks, its weights have width 4 and 5"),
        ({"residual_blocks": 2_000_000}, "says width 4 and 2000000 residual blocks"),
        ({"width": 10**400}, "says width 100000"),
        ({"width": "4"}, "not supported"),
        ({"noise": [6]}, "not supported"),
        ({"depth": 3}, "depth"),
    ],
)
def test_a_network_of_another_size_than_the_weights_is_not_built(tmp_path, network, reason):
    path = tmp_path / "style.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(width=4)), CARD)
    rewrite(path, network=json.dumps(NetworkConfig(width=4).to_dict() | network))
    with pytest.raises(ModelFileError, match=reason):
        load_style(path)


def test_a_wide_first_layer_does_not_stand_for_a_wide_network(tmp_path):
    path = tmp_path / "style.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(width=4)), CARD, torch.int8)
    wide = {
        "conv1.weight": torch.zeros(4000, 3, 9, 9, dtype=torch.int8),
        "conv1.weight.scale": torch.ones(4000, 1, 1, 1),
    }
    rewrite(path, wide, network=json.dumps(NetworkConfig(width=4000).to_dict()))
    with pytest.raises(ModelFileError, match=r"its conv1\.bias has shape \[4\], needed \[4000\]"):
        load_style(path)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"card": "[1]"}, "a list where a JSON object is needed"),
        ({"network": "null"}, "a NoneType where a JSON object is needed"),
        ({"card": '{"name": 7}'}, "card's name is a int, needed str"),
        ({"card": '{"name": "wave", "steps": "many"}'}, "card's steps is a str, needed int"),
        ({"card": '{"name": "wave", "held_out_loss": {}}'}, "held_out_loss is a dict"),
        ({"card": '{"name": "\\ud800"}'}, "surrogates not allowed"),
        ({"card": "{}"}, "name"),
        ({"card": "[" * 100_000}, "nested too deep"),
        ({"network": '{"a":' * 100_000}, "nested too deep"),
        ({"card": '{"name": "wave", "steps": ' + "9" * 5000 + "}"}, "digits"),
    ],
)
def test_a_header_of_other_types_is_refused_in_one_sentence(tmp_path, entry, reason):
    path = tmp_path / "style.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(width=4)), CARD)
    with pytest.raises(ModelFileError, match=reason) as caught:
        load_style(rewrite(path, **entry))
    assert "\n" not in str(caught.value)


def test_a_scale_of_another_shape_is_not_multiplied(tmp_path):
    path = tmp_path / "style.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(width=4)), CARD, torch.int8)
    with pytest.raises(ModelFileError, match=r"conv2\.weight\.scale has shape \(100000, 1, 1, 1, 1\)"):
        load_style(rewrite(path, {"conv2.weight.scale": torch.ones(100_000, 1, 1, 1, 1)}))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "wave.safetensors"
    network = StyleNetwork(NetworkConfig(width=4))
    save_style(path, network, CARD)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr("models.tensor_file.save", fail)
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
