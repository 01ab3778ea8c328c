"""The style network: Johnson's residual image transformation network (Johnson et al. 2016, supplement, table 1).

Two departures from the paper's figure, both in common use since: instance norm in place of batch norm (Ulyanov et al.
2016) and nearest-neighbor upsampling followed by a convolution in place of transposed convolution (Odena et al. 2016).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from models.layers import Conv, InstanceNorm, PaddingMode, PhasedConv, UpsampledConv, crop_to

Upsampling = Literal["nearest", "pixel_shuffle"]

SMALLEST_SIDE = 16
"""Shortest side of a picture, in pixels, that every padding mode supports."""

CELL = 4
"""Side in pixels of the cells that the network works in, its total stride; a picture of another size is padded to whole
cells inside, and cropped at the end."""


@dataclass(frozen=True)
class NetworkConfig:
    """What the network is made of; everything needed to build it again.

    Args:
        width: Channels after the first convolution; 32 is Johnson's, 16 and 8 serve small devices.
        residual_blocks: Number of residual blocks at a quarter of the resolution.
        padding: How borders are padded: ``reflect``, ``replicate`` or ``zero``.
        upsampling: ``nearest`` (nearest-neighbor, then 3x3 convolution) or ``pixel_shuffle`` (3x3 convolution to four
            times the channels, then depth to space).

    Raises:
        ValueError: For a value outside of what is listed.
    """

    width: int = 32
    residual_blocks: int = 5
    padding: PaddingMode = "reflect"
    upsampling: Upsampling = "nearest"

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}; it must be at least 1 (32, 16 and 8 are usual)")
        if self.residual_blocks < 0:
            raise ValueError(f"residual_blocks is {self.residual_blocks}; it must be 0 or more")
        if self.padding not in get_args(PaddingMode):
            raise ValueError(f"padding is {self.padding!r}; choose one of {', '.join(get_args(PaddingMode))}")
        if self.upsampling not in get_args(Upsampling):
            raise ValueError(f"upsampling is {self.upsampling!r}; choose one of {', '.join(get_args(Upsampling))}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON."""
        return asdict(self)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, without an activation after the sum (Gross and Wilber 2016)."""

    def __init__(self, channels: int, padding: PaddingMode) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=padding)
        self.norm1 = InstanceNorm(channels)
        self.conv2 = Conv(channels, channels, 3, padding=padding)
        self.norm2 = InstanceNorm(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        hidden = self.norm1(self.conv1(features)).relu()
        return features + self.norm2(self.conv2(hidden))  # type: ignore[no-any-return]


class StyleNetwork(nn.Module):
    """Repaint pictures in the one style that its weights hold.

    Args:
        config: The architecture; the default has 1,679,235 parameters.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        width, padding = config.width, config.padding
        shuffle = config.upsampling == "pixel_shuffle"
        self.conv1 = Conv(3, width, 9, padding=padding)
        self.norm1 = InstanceNorm(width)
        self.conv2 = Conv(width, 2 * width, 3, stride=2, padding=padding)
        self.norm2 = InstanceNorm(2 * width)
        self.conv3 = Conv(2 * width, 4 * width, 3, stride=2, padding=padding)
        self.norm3 = InstanceNorm(4 * width)
        self.residual = nn.Sequential(*(ResidualBlock(4 * width, padding) for _ in range(config.residual_blocks)))
        self.up1 = UpsampledConv(4 * width, 2 * width, padding=padding, shuffle=shuffle)
        self.norm4 = InstanceNorm(2 * width)
        self.up2 = UpsampledConv(2 * width, width, padding=padding, shuffle=shuffle)
        self.norm5 = InstanceNorm(width)
        self.conv4 = PhasedConv(width, 3, 9, phases=CELL, padding=padding)

    def forward(self, photo: Tensor) -> Tensor:
        """Repaint photos.

        Args:
            photo: RGB in [0, 1], shape (B, 3, H, W), H and W at least 16.

        Returns:
            Stylized pictures, RGB, shape (B, 3, H, W), float32, in [-0.1, 1.1]: the range is a little wider than
            [0, 1] so that black and white are reached; clamp it to show or store it.

        Raises:
            ValueError: If a side is shorter than 16 pixels.
        """
        height, width = photo.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"the picture is {width} x {height} pixels; the network needs at least "
                f"{SMALLEST_SIDE} on each side: enlarge it first"
            )
        hidden = self.norm1(self.conv1(photo)).relu()
        hidden = self.norm2(self.conv2(hidden)).relu()
        hidden = self.norm3(self.conv3(hidden)).relu()
        hidden = self.residual(hidden)
        hidden = self.norm4(self.up1(hidden)).relu()
        hidden = self.norm5(self.up2(hidden)).relu()
        return crop_to(to_picture(self.conv4(hidden)), height, width)


PICTURE_GAIN = 0.6
"""Half the width of the output range: Johnson's tanh, scaled past [0, 1] as 150/127.5 is in Lengstrom's network."""


def to_picture(features: Tensor) -> Tensor:
    """Map unbounded values, shape (B, 3, H, W), into RGB in [-0.1, 1.1], float32."""
    return 0.5 + PICTURE_GAIN * torch.tanh(features.float())


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
