"""The style network has Johnson's size and serves every picture size."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from models.network import NetworkConfig, StyleNetwork, count_parameters
from train.bench.reference import ReferenceNetwork


def test_full_width_has_the_published_number_of_parameters():
    assert count_parameters(StyleNetwork()) == 1_679_235


def test_network_equals_the_textbook_one():
    config = NetworkConfig(width=8)
    ours, textbook = StyleNetwork(config), ReferenceNetwork(config)
    textbook.load_from(ours)
    photo = torch.rand(2, 3, 32, 48)
    torch.testing.assert_close(ours(photo), textbook(photo), atol=1e-5, rtol=1e-5)


@given(
    height=st.integers(16, 41),
    width=st.integers(16, 41),
    padding=st.sampled_from(["reflect", "replicate", "zero"]),
    upsampling=st.sampled_from(["nearest", "pixel_shuffle"]),
)
@settings(max_examples=25)
def test_output_has_the_inputs_size(height, width, padding, upsampling):
    network = StyleNetwork(NetworkConfig(width=4, residual_blocks=1, padding=padding, upsampling=upsampling))
    picture = network(torch.rand(1, 3, height, width))
    assert picture.shape == (1, 3, height, width)
    assert picture.dtype == torch.float32
    assert -0.11 < picture.min() < picture.max() < 1.11


def test_too_small_a_picture_is_refused_with_its_size():
    with pytest.raises(ValueError, match="15 x 40 pixels"):
        StyleNetwork(NetworkConfig(width=4))(torch.rand(1, 3, 40, 15))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("residual_blocks", -1),
        ("padding", "mirror"),
        ("upsampling", "bilinear"),
        ("noise", -1.0),
        ("noise", float("nan")),
    ],
)
def test_wrong_architecture_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        NetworkConfig(**{field: value})


def test_noise_has_the_strength_that_is_told_and_0_is_none():
    photo = torch.rand(2, 3, 256, 256)
    noise = 255 * (StyleNetwork(NetworkConfig(4, 0, noise=8)).add_noise(photo) - photo)
    assert noise.std().item() == pytest.approx(8, rel=0.01)
    torch.testing.assert_close(noise, noise[:1, :1].expand(2, 3, 256, 256), atol=1e-4, rtol=0)
    assert StyleNetwork(NetworkConfig(4, 0, noise=0)).add_noise(photo) is photo


def test_constant_photo_gets_a_picture_with_something_in_it():
    gray = torch.full((1, 3, 96, 104), 0.5)
    torch.manual_seed(0)
    network = StyleNetwork(NetworkConfig(8, 1))
    bare = StyleNetwork(NetworkConfig(8, 1, noise=0))
    bare.load_state_dict(network.state_dict())
    with torch.no_grad():
        picture, flat = network(gray), bare(gray)
    assert picture.std() > 0.02
    # Without noise the middle repeats itself in every cell; with it nothing does.
    for found, repeats in ((flat, True), (picture, False)):
        middle = found[..., 32:64, 32:64]
        assert torch.allclose(middle[..., 4:], middle[..., :-4], atol=1e-3) == repeats


def test_configuration_without_noise_is_told_as_before_there_was_any():
    assert NetworkConfig(noise=0).to_dict().keys() == {"width", "residual_blocks", "padding", "upsampling"}
    for noise in (0.0, 6.0):
        assert NetworkConfig.from_dict(NetworkConfig(noise=noise).to_dict()) == NetworkConfig(noise=noise)
    assert NetworkConfig(8, noise=2).bare == NetworkConfig(8, noise=4).bare


def test_channels_last_gives_the_same_picture():
    network = StyleNetwork(NetworkConfig(width=8))
    photo = torch.rand(1, 3, 37, 50)
    expected = network(photo)
    network = network.to(memory_format=torch.channels_last)
    actual = network(photo.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_every_parameter_that_matters_gets_a_gradient():
    network = StyleNetwork(NetworkConfig(width=4, residual_blocks=1))
    F.mse_loss(network(torch.rand(1, 3, 24, 24)), torch.rand(1, 3, 24, 24)).backward()
    dead = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert dead == []
