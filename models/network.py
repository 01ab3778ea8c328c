"""The style network: Johnson's residual image transformation network (Johnson et al. 2016, supplement, table 1).

Two departures from the paper's figure, both in common use since: instance norm in place of batch norm (Ulyanov et al.
2016) and nearest-neighbor upsampling followed by a convolution in place of transposed convolution (Odena et al. 2016).
What enters it is the photo with smooth noise (``models.noise``), so that flat regions have something to paint with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from models.layers import Conv, InstanceNorm, PaddingMode, PhasedConv, UpsampledConv, crop_to
from models.noise import NOISE_SCALE, noise_tile, repeat_tile
from models.strength import as_strength, blend_photo

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
        noise: Standard deviation, in levels of 255, of the smooth noise that is added to the photo; 0 adds none.
        strength: Whether the style's strength can be chosen when the network is used (``models.strength``).

    Raises:
        ValueError: For a value outside of what is listed.
    """

    width: int = 32
    residual_blocks: int = 5
    padding: PaddingMode = "reflect"
    upsampling: Upsampling = "nearest"
    noise: float = 6.0
    strength: bool = False

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}; it must be at least 1 (32, 16 and 8 are usual)")
        if self.residual_blocks < 0:
            raise ValueError(f"residual_blocks is {self.residual_blocks}; it must be 0 or more")
        if self.padding not in get_args(PaddingMode):
            raise ValueError(f"padding is {self.padding!r}; choose one of {', '.join(get_args(PaddingMode))}")
        if self.upsampling not in get_args(Upsampling):
            raise ValueError(f"upsampling is {self.upsampling!r}; choose one of {', '.join(get_args(Upsampling))}")
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise is {self.noise}; it must be a number from 0 up, in levels of 255")
        if not isinstance(self.strength, bool):
            raise ValueError(f"strength is {self.strength!r}; it must be true or false")  # noqa: TRY004

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON; without ``noise`` and ``strength`` where there is none."""
        values = asdict(self)
        # Files from before there were these have no such keys, and are written again as they were.
        for name in ("noise", "strength"):
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """Build a configuration from what ``to_dict`` returned; an absent ``noise`` means none."""
        return cls(**{"noise": 0.0, **values})

    @property
    def bare(self) -> NetworkConfig:
        """The same network without noise and strength; equal for networks that can start from each other's weights."""
        return replace(self, noise=0.0, strength=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, without an activation after the sum (Gross and Wilber 2016)."""

    def __init__(self, channels: int, padding: PaddingMode, strength: bool = False) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=padding)
        self.norm1 = InstanceNorm(channels, strength)
        self.conv2 = Conv(channels, channels, 3, padding=padding)
        self.norm2 = InstanceNorm(channels, strength)

    def forward(self, features: Tensor, strength: Tensor | None = None) -> Tensor:
        """Map (B, C, H, W) to the same shape, at a strength if the norms have one."""
        hidden = self.norm1(self.conv1(features), strength).relu()
        return features + self.norm2(self.conv2(hidden), strength)  # type: ignore[no-any-return]


class StyleNetwork(nn.Module):
    """Repaint pictures in the one style that its weights hold.

    Args:
        config: The architecture; the default has 1,679,235 parameters.
    """

    noise: Tensor | None

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        # In [0, 1], shape (1, 1, S, S); it follows from the configuration, so files do not hold it.
        tile = torch.from_numpy(noise_tile().copy())[None, None] * (config.noise / (255 * NOISE_SCALE))
        self.register_buffer("noise", tile if config.noise else None, persistent=False)
        width, padding, strength = config.width, config.padding, config.strength
        shuffle = config.upsampling == "pixel_shuffle"
        self.conv1 = Conv(3, width, 9, padding=padding)
        self.norm1 = InstanceNorm(width, strength)
        self.conv2 = Conv(width, 2 * width, 3, stride=2, padding=padding)
        self.norm2 = InstanceNorm(2 * width, strength)
        self.conv3 = Conv(2 * width, 4 * width, 3, stride=2, padding=padding)
        self.norm3 = InstanceNorm(4 * width, strength)
        blocks = (ResidualBlock(4 * width, padding, strength) for _ in range(config.residual_blocks))
        self.residual = nn.ModuleList(blocks)
        self.up1 = UpsampledConv(4 * width, 2 * width, padding=padding, shuffle=shuffle)
        self.norm4 = InstanceNorm(2 * width, strength)
        self.up2 = UpsampledConv(2 * width, width, padding=padding, shuffle=shuffle)
        self.norm5 = InstanceNorm(width, strength)
        self.conv4 = PhasedConv(width, 3, 9, phases=CELL, padding=padding)

    def forward(self, photo: Tensor, has_noise: bool = False, strength: float = 1.0) -> Tensor:
        """Repaint photos.

        Args:
            photo: RGB in [0, 1], shape (B, 3, H, W), H and W at least 16.
            has_noise: Whether ``add_noise`` was called for them already.
            strength: From 0, the photo, to 1.5; 1 is the style as trained, and all that a network without strength has.

        Returns:
            Stylized pictures, RGB, shape (B, 3, H, W), float32, in [-0.1, 1.1]: the range is a little wider than
            [0, 1] so that black and white are reached; clamp it to show or store it.

        Raises:
            ValueError: If a side is shorter than 16 pixels, or the network has not got this strength.
        """
        noisy = photo if has_noise else self.add_noise(photo)
        if strength == 1:
            return self.transform(noisy)
        if not self.config.strength:
            raise ValueError(f"strength is {strength}; a network without strength has no other than 1")
        chosen = as_strength(strength, photo)
        return blend_photo(self.transform(noisy, chosen), photo, chosen)

    def add_noise(self, photo: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        """Add the network's noise to photos.

        Args:
            photo: RGB in [0, 1], shape (B, 3, H, W).
            offset: Row and column of the noise's tile that comes to lie in the upper left corner; only trainings choose
                another than the first.

        Returns:
            The same shape, not clamped; the photo itself for a network without noise.
        """
        if self.noise is None:
            return photo
        return photo + repeat_tile(self.noise, photo.shape[-2], photo.shape[-1], offset)

    def transform(self, photo: Tensor, strength: Tensor | None = None) -> Tensor:
        """Repaint photos that have their noise already, without letting the photo show through.

        Args:
            photo: RGB in [0, 1] and noise, shape (B, 3, H, W), H and W at least 16.
            strength: Scalar, for a network with strength; None for 1.

        Returns:
            As ``forward`` does.

        Raises:
            ValueError: If a side is shorter than 16 pixels.
        """
        height, width = photo.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"the picture is {width} x {height} pixels; the network needs at least "
                f"{SMALLEST_SIDE} on each side: enlarge it first"
            )
        hidden = self.norm1(self.conv1(photo), strength).relu()
        hidden = self.norm2(self.conv2(hidden), strength).relu()
        hidden = self.norm3(self.conv3(hidden), strength).relu()
        for block in self.residual:
            hidden = block(hidden, strength)
        hidden = self.norm4(self.up1(hidden), strength).relu()
        hidden = self.norm5(self.up2(hidden), strength).relu()
        return crop_to(to_picture(self.conv4(hidden)), height, width)

    @property
    def deep_convolutions(self) -> list[Conv]:
        """Those of the network's most channels, at a quarter of the resolution, into it and out of it."""
        parts = (self.conv3, self.residual, self.up1)
        return [module for part in parts for module in part.modules() if isinstance(module, Conv)]

    @property
    def inner_convolutions(self) -> list[Conv]:
        """All but the first, which reads the photo, and the last, which paints the picture."""
        ends = (self.conv1, self.conv4)
        return [module for module in self.modules() if isinstance(module, Conv) and module not in ends]

    def start_from(self, style: StyleNetwork) -> None:
        """Take the weights of a trained style, of the same ``config.bare``.

        A style without strength gets one to train on: the less of it, the less the residual blocks add (Kitov 2019),
        and no more than 1.
        """
        state = style.state_dict()
        if self.config.strength and not style.config.strength:
            for block in range(self.config.residual_blocks):
                norm = f"residual.{block}.norm2"
                below = torch.stack([state[f"{norm}.weight"], state[f"{norm}.bias"]])
                state[f"{norm}.changes"] = torch.stack([below, torch.zeros_like(below)])
        # The other changes stay 0, and those of a style are left out where this network has no strength.
        self.load_state_dict(state, strict=False)


PICTURE_GAIN = 0.6
"""Half the width of the output range: Johnson's tanh, scaled past [0, 1] as 150/127.5 is in Lengstrom's network."""


def to_picture(features: Tensor) -> Tensor:
    """Map unbounded values, shape (B, 3, H, W), into RGB in [-0.1, 1.1], float32."""
    return 0.5 + PICTURE_GAIN * torch.tanh(features.float())


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
