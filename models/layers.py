"""Layers of the style network, all of which keep the channels-last memory layout.

``nn.ReflectionPad2d`` and ``nn.InstanceNorm2d`` return contiguous tensors, and the copies back and forth cost half of
the training step. Here pads are slices and concatenations, and the norm is a ``var_mean``; both keep the layout that
they are given and both can be fused by ``torch.compile``.

Every layer has one weight in the usual shape. Two of them compute with a rearranged copy of it that gives the same
picture with fewer multiplications; an exported graph can be rearranged in the same way.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PaddingMode = Literal["reflect", "replicate", "zero"]


def pad(features: Tensor, before: int, after: int, mode: PaddingMode) -> Tensor:
    """Pad a picture on all sides.

    Args:
        features: Shape (B, C, H, W).
        before: Rows added above and columns added to the left.
        after: Rows added below and columns added to the right.
        mode: ``reflect`` mirrors without repeating the border pixel, ``replicate`` repeats it, ``zero`` adds zeros.

    Returns:
        Shape (B, C, H + before + after, W + before + after), in the memory layout of ``features``.
    """
    if mode == "zero":
        return F.pad(features, (before, after, before, after))
    for dim in (2, 3):
        length = features.shape[dim]
        if mode == "reflect":
            head = [features.narrow(dim, 1, before).flip(dim)]
            tail = [features.narrow(dim, length - 1 - after, after).flip(dim)]
        else:
            # Not repeat(), which would return contiguous borders and take the result out of channels_last.
            head = [features.narrow(dim, 0, 1)] * before
            tail = [features.narrow(dim, length - 1, 1)] * after
        features = torch.cat([*head, features, *tail], dim)
    return features


def crop_to(features: Tensor, height: int, width: int) -> Tensor:
    """Keep the upper left ``height`` x ``width`` of a picture, shape (B, C, H, W)."""
    return features[:, :, :height, :width]


class Conv(nn.Module):
    """A padded convolution: stride 1 keeps the size.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel; odd.
        stride: Step between outputs; the output has H / stride rows, rounded up.
        padding: How borders are continued.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: PaddingMode = "reflect"
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = padding
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights as ``nn.Conv2d`` does (He et al. 2015, with slope sqrt 5)."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, ceil(H / stride), ceil(W / stride))."""
        margin = self.kernel_size // 2
        if self.padding == "zero":
            return F.conv2d(features, self.weight, self.bias, self.stride, margin)
        return F.conv2d(pad(features, margin, margin, self.padding), self.weight, self.bias, self.stride)


class InstanceNorm(nn.Module):
    """Give every channel of every picture mean 0 and variance 1, then an affine map (Ulyanov et al. 2016, eq. 5).

    Statistics are taken in float32 whatever the input's precision; ``eps`` is that of ``nn.InstanceNorm2d``. In
    ``torch.func.functional_call`` scale and shift may have the shape (B, C) in place of (C,): each picture of a batch
    then has its own (``models.start``).

    Args:
        channels: C.
        strength: Whether scale and shift depend on a strength (``models.strength``). ``changes``, shape (2, 2, C), then
            holds by how much they grow with it: below strength 1 and above, of the scale and of the shift.
    """

    eps = 1e-5
    changes: nn.Parameter | None

    def __init__(self, channels: int, strength: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_parameter("changes", nn.Parameter(torch.zeros(2, 2, channels)) if strength else None)

    def forward(self, features: Tensor, strength: Tensor | None = None) -> Tensor:
        """Map (B, C, H, W) to the same shape, layout and precision.

        Args:
            features: Any real range.
            strength: Scalar, for a norm with strength; None for 1.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if strength is not None and self.changes is not None:
            lack, excess = (1 - strength).relu(), (strength - 1).relu()
            change = excess * self.changes[1] - lack * self.changes[0]
            weight, bias = weight + change[0], bias + change[1]
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0, keepdim=True)
        scale = torch.rsqrt(variance + self.eps) * weight[..., None, None]
        shift = bias[..., None, None] - mean * scale
        return (features.float() * scale + shift).to(features.dtype)


def fuse_upsampling(weight: Tensor) -> Tensor:
    """Rearrange a 3x3 kernel that follows nearest-neighbor x2 into a 2x2 kernel that precedes depth to space.

    Of the nine pixels under the kernel at most four differ, so their weights can be added beforehand: 16 products per
    low-resolution pixel and channel pair in place of 36.

    Args:
        weight: Shape (C_out, C_in, 3, 3).

    Returns:
        Shape (4 C_out, C_in, 2, 2), output channels ordered for ``pixel_shuffle``.
    """
    # Rows: output phase; columns: left and right low-resolution tap; depth: the 3x3 kernel's tap.
    # With the result shifted by one pixel, phase 0 sees (x, x, x') and phase 1 sees (x, x', x').
    taps = weight.new_tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]])
    fused = torch.einsum("pai,oqij,rbj->oprqab", taps, weight, taps)
    return fused.flatten(0, 2)


class UpsampledConv(Conv):
    """Double the resolution: nearest-neighbor x2 and a 3x3 convolution, or a 3x3 convolution and a pixel shuffle.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        padding: How borders are continued.
        shuffle: Learn the four output pixels separately (Shi et al. 2016); they are initialized as nearest-neighbor
            (Aitken et al. 2017), so that training starts without a checkerboard.
    """

    def __init__(self, in_channels: int, out_channels: int, padding: PaddingMode, shuffle: bool = False) -> None:
        self.shuffle = shuffle
        super().__init__(in_channels, out_channels * (4 if shuffle else 1), 3, padding=padding)

    def reset_parameters(self) -> None:
        """Draw weights as ``nn.Conv2d`` does; the four kernels of one shuffled channel start equal."""
        super().reset_parameters()
        if self.shuffle:
            with torch.no_grad():
                self.weight.copy_(self.weight[::4].repeat_interleave(4, 0))
                self.bias.copy_(self.bias[::4].repeat_interleave(4, 0))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, 2H, 2W)."""
        if self.shuffle:
            return F.pixel_shuffle(super().forward(features), 2)
        # A reflected border of the doubled picture is the repeated border of the small one.
        edge: PaddingMode = "zero" if self.padding == "zero" else "replicate"
        bias = self.bias.repeat_interleave(4)
        phases = F.conv2d(pad(features, 1, 1, edge), fuse_upsampling(self.weight), bias)
        return F.pixel_shuffle(phases, 2)[:, :, 1:-1, 1:-1]


def split_phases(weight: Tensor, phases: int) -> Tensor:
    """Rearrange a kernel into one of stride ``phases`` that precedes depth to space.

    Convolutions to very few channels leave most of a vector unit idle; here ``phases`` squared neighboring outputs
    become channels of one.

    Args:
        weight: Shape (C_out, C_in, K, K).
        phases: Outputs per cell and direction.

    Returns:
        Shape (phases^2 C_out, C_in, K + phases - 1, K + phases - 1), ordered for ``pixel_shuffle``.
    """
    last = phases - 1
    shifted = [
        F.pad(weight, (right, last - right, down, last - down)) for down in range(phases) for right in range(phases)
    ]
    return torch.stack(shifted, 1).flatten(0, 1)


class PhasedConv(Conv):
    """A convolution of stride 1 to few channels, computed ``phases`` x ``phases`` outputs at a time.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel; odd.
        phases: Outputs per cell and direction; H and W of the input must be multiples of it.
        padding: How borders are continued.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, phases: int, padding: PaddingMode = "reflect"
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)
        self.phases = phases

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W)."""
        margin = self.kernel_size // 2
        padded = pad(features, margin, margin, self.padding)
        weight = split_phases(self.weight, self.phases)
        bias = self.bias.repeat_interleave(self.phases**2)
        return F.pixel_shuffle(F.conv2d(padded, weight, bias, self.phases), self.phases)
