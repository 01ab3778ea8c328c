"""At strength 1 a style is what it was, at 0 its picture is the photo, and between the norms change evenly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.network import NetworkConfig, StyleNetwork
from models.strength import MOST_STRENGTH, draw_strength
from models.style_file import StyleCard, load_style, save_style
from tests.export.small_export import add_strength, make_network

CONFIG = NetworkConfig(8, 2)


@pytest.fixture(scope="module")
def style():
    return make_network(CONFIG, spread=0.3)


@pytest.fixture(scope="module")
def adjustable(style):
    return add_strength(style)


@pytest.fixture(scope="module")
def photo():
    return torch.rand(2, 3, 33, 42, generator=torch.Generator().manual_seed(0))


def paint(network, photo, **options):
    with torch.inference_mode():
        return network(photo, **options)


def test_strength_1_is_the_style_as_it_was(style, adjustable, photo):
    expected = paint(style, photo)
    assert torch.equal(paint(adjustable, photo), expected)
    with torch.inference_mode():
        assert torch.equal(adjustable.transform(adjustable.add_noise(photo), torch.tensor(1.0)), expected)


def test_strength_0_is_the_photo(adjustable, photo):
    torch.testing.assert_close(paint(adjustable, photo, strength=0.0), photo)


def test_pictures_change_little_just_below_and_just_above_1(adjustable, photo):
    below, at, above = (paint(adjustable, photo, strength=1 + step) for step in (-0.001, 0.0, 0.001))
    for one in (below, above):
        assert 1e-4 < (one - at).abs().max() < 0.05


def test_norms_between_two_strengths_are_their_mean(adjustable):
    norm, features = adjustable.norm4, torch.randn(1, 16, 9, 9)
    for strengths in ((0.0, 0.5, 1.0), (1.0, 1.25, 1.5)):
        low, middle, high = (norm(features, torch.tensor(strength)) for strength in strengths)
        torch.testing.assert_close((low + high) / 2, middle)


def test_learning_begins_with_residual_blocks_that_add_nothing_at_0(style):
    network = StyleNetwork(replace(CONFIG, strength=True))
    network.start_from(style)
    features = torch.randn(1, 32, 8, 8)
    for block in network.residual:
        assert torch.equal(block(features, torch.tensor(0.0)), features)
        assert torch.equal(block(features, torch.tensor(1.5)), block(features))
    assert not network.norm1.changes.any()


def test_a_style_with_strength_is_a_start_for_one_without(style, adjustable, photo):
    network = StyleNetwork(CONFIG)
    network.start_from(adjustable)
    assert torch.equal(paint(network, photo), paint(style, photo))


def test_a_style_without_strength_has_no_other_than_1(style, photo):
    with pytest.raises(ValueError, match=r"strength is 0.5"):
        style(photo, strength=0.5)


@pytest.mark.parametrize("strength", [-0.1, 1.6, float("nan")])
def test_strengths_out_of_range_are_refused(adjustable, photo, strength):
    with pytest.raises(ValueError, match="from 0"):
        adjustable(photo, strength=strength)


def test_what_is_neither_true_nor_false_is_refused():
    with pytest.raises(ValueError, match="strength"):
        NetworkConfig(strength=0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int8])
def test_style_files_keep_the_strength(adjustable, photo, tmp_path, dtype):
    save_style(tmp_path / "kept.safetensors", adjustable, StyleCard("wave"), dtype)
    kept, _ = load_style(tmp_path / "kept.safetensors")
    assert kept.config.strength
    for strength in (0.5, 1.0, MOST_STRENGTH):
        expected = paint(adjustable, photo, strength=strength)
        difference = (paint(kept, photo, strength=strength) - expected).square().mean().sqrt()
        assert difference <= {torch.float32: 0, torch.float16: 0.005, torch.int8: 0.05}[dtype]


def test_configurations_without_strength_are_told_as_before_there_was_any():
    assert "strength" not in CONFIG.to_dict()
    for config in (CONFIG, replace(CONFIG, strength=True)):
        assert NetworkConfig.from_dict(config.to_dict()) == config
    assert replace(CONFIG, strength=True).bare == CONFIG.bare


def test_steps_draw_every_strength_alike_and_always_the_same():
    drawn = np.array([draw_strength(3, step) for step in range(2000)])
    shares, _ = np.histogram(drawn, 5, (0, MOST_STRENGTH))
    assert shares.sum() == 2000
    assert np.abs(shares - 400).max() < 80
    assert draw_strength(3, 7) == drawn[7] != draw_strength(4, 7)
