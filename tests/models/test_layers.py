"""The layers compute what the textbook's do."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from models.layers import Conv, InstanceNorm, PhasedConv, UpsampledConv, pad

MODES = ("reflect", "replicate", "zero")
TORCH_NAME = {"reflect": "reflect", "replicate": "replicate", "zero": "constant"}
modes = st.sampled_from(MODES)
sides = st.integers(6, 19)


@given(height=sides, width=sides, before=st.integers(0, 5), after=st.integers(0, 5), mode=modes)
@settings(max_examples=40)
def test_pad_equals_torch_pad(height, width, before, after, mode):
    features = torch.randn(2, 3, height, width)
    expected = F.pad(features, (before, after, before, after), mode=TORCH_NAME[mode])
    assert torch.equal(pad(features, before, after, mode), expected)


@pytest.mark.parametrize("mode", MODES)
def test_pad_and_norm_keep_channels_last(mode):
    features = torch.randn(2, 8, 12, 10).contiguous(memory_format=torch.channels_last)
    padded = pad(features, 3, 3, mode)
    assert padded.is_contiguous(memory_format=torch.channels_last)
    assert InstanceNorm(8)(padded).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (9, 1)])
def test_conv_equals_padded_convolution(mode, kernel, stride):
    layer = Conv(3, 5, kernel, stride, mode)
    features = torch.randn(2, 3, 17, 14)
    margin = kernel // 2
    padded = F.pad(features, (margin,) * 4, mode=TORCH_NAME[mode])
    torch.testing.assert_close(layer(features), F.conv2d(padded, layer.weight, layer.bias, stride))
    assert layer(features).shape[-2:] == (-(-17 // stride), -(-14 // stride))


@given(height=st.integers(2, 12), width=st.integers(2, 12), mode=modes)
@settings(max_examples=30)
def test_fused_upsampling_equals_nearest_then_convolution(height, width, mode):
    layer = UpsampledConv(4, 3, mode)
    features = torch.randn(2, 4, height, width)
    doubled = F.interpolate(features, scale_factor=2, mode="nearest")
    expected = F.conv2d(F.pad(doubled, (1,) * 4, mode=TORCH_NAME[mode]), layer.weight, layer.bias)
    torch.testing.assert_close(layer(features), expected, atol=1e-5, rtol=1e-5)


def test_fused_upsampling_has_the_same_gradient():
    layer = UpsampledConv(4, 3, "reflect").double()
    features = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    cotangent = torch.randn(1, 3, 10, 12, dtype=torch.float64)
    (fused,) = torch.autograd.grad((layer(features) * cotangent).sum(), layer.weight)
    doubled = F.pad(F.interpolate(features, scale_factor=2, mode="nearest"), (1,) * 4, mode="reflect")
    plain_output = F.conv2d(doubled, layer.weight, layer.bias)
    (plain,) = torch.autograd.grad((plain_output * cotangent).sum(), layer.weight)
    torch.testing.assert_close(fused, plain)


def test_shuffled_upsampling_starts_without_checkerboard():
    picture = UpsampledConv(4, 3, "reflect", shuffle=True)(torch.randn(1, 4, 6, 6))
    assert picture.shape == (1, 3, 12, 12)
    cells = picture.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    torch.testing.assert_close(cells.amax(4), cells.amin(4))


@pytest.mark.parametrize("phases", [2, 4])
@pytest.mark.parametrize("mode", MODES)
def test_phased_convolution_equals_the_plain_one(phases, mode):
    layer = PhasedConv(5, 3, 9, phases=phases, padding=mode)
    features = torch.randn(2, 5, 12, 16)
    expected = F.conv2d(F.pad(features, (4,) * 4, mode=TORCH_NAME[mode]), layer.weight, layer.bias)
    torch.testing.assert_close(layer(features), expected, atol=1e-5, rtol=1e-5)


def test_instance_norm_equals_torchs():
    norm = InstanceNorm(4)
    torch.nn.init.uniform_(norm.weight)
    torch.nn.init.uniform_(norm.bias)
    features = 50 * torch.randn(2, 4, 9, 7) + 3
    torch.testing.assert_close(norm(features), F.instance_norm(features, weight=norm.weight, bias=norm.bias))


def test_instance_norm_takes_statistics_in_float32():
    features = (torch.randn(1, 2, 64, 64) + 100).bfloat16()
    expected = F.instance_norm(features.float())
    assert (InstanceNorm(2)(features).float() - expected).abs().max() < 0.05
