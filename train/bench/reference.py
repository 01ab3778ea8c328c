"""The reference that our training step is measured against: as common scripts write it, float32, contiguous, eager.

Network, losses and weights are equal to ours, only the way of computing differs, so that both learn the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from models.losses import (
    GRID_BALANCE,
    GRID_WINDOW,
    PALETTE_BALANCE,
    SPECTRUM_BALANCE,
    STYLE_BALANCE,
    STYLE_SMOOTHING,
    TV_BALANCE,
    LossConfig,
)
from models.network import CELL, NetworkConfig, StyleNetwork, to_picture
from models.noise import NOISE_SCALE, NOISE_SIDE, draw_offset, noise_tile
from models.palette import Palette, find_palette, palette_distance
from models.spectrum import find_limit, spectrum_excess
from models.vgg import IMAGENET_MEAN, IMAGENET_STD, LAYOUTS, load_perceptual_weights, name_layers
from train.compute.device import choose_device
from train.fit.step import Step, make_step


class ReferenceNetwork(nn.Module):
    """The style network, built of torch's own padding, norm and upsampling layers.

    Args:
        config: Architecture; reflect padding and nearest upsampling only, as in common scripts.

    Raises:
        ValueError: For another padding or upsampling.
    """

    noise: Tensor

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        tile = torch.from_numpy(noise_tile().copy()) * (config.noise / (255 * NOISE_SCALE))
        self.register_buffer("noise", tile, persistent=False)
        if (config.padding, config.upsampling) != ("reflect", "nearest"):
            raise ValueError(
                "the reference network has only reflect padding and nearest upsampling; its config is "
                f"padding={config.padding!r}, upsampling={config.upsampling!r}"
            )

        def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride))

        def norm(channels: int) -> nn.Module:
            return nn.InstanceNorm2d(channels, affine=True)

        width, deep = config.width, 4 * config.width
        self.down = nn.Sequential(
            *(conv(3, width, 9), norm(width), nn.ReLU()),
            *(conv(width, 2 * width, 3, 2), norm(2 * width), nn.ReLU()),
            *(conv(2 * width, deep, 3, 2), norm(deep), nn.ReLU()),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(deep, deep, 3), norm(deep), nn.ReLU(), conv(deep, deep, 3), norm(deep))
            for _ in range(config.residual_blocks)
        )
        self.up = nn.Sequential(
            *(nn.Upsample(scale_factor=2), conv(deep, 2 * width, 3), norm(2 * width), nn.ReLU()),
            *(nn.Upsample(scale_factor=2), conv(2 * width, width, 3), norm(width), nn.ReLU()),
            conv(width, 3, 9),
        )

    def load_from(self, network: nn.Module) -> None:
        """Copy the weights of a ``StyleNetwork``, whose parameters are in the same order."""
        values = network.state_dict().values()
        self.load_state_dict(dict(zip(self.state_dict(), values, strict=True)))

    def to_style(self) -> StyleNetwork:
        """Return a ``StyleNetwork`` with these weights, which repaints as this network does."""
        network = StyleNetwork(self.config)
        network.load_state_dict(dict(zip(network.state_dict(), self.state_dict().values(), strict=True)))
        return network

    def forward(self, photo: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        """Map RGB in [0, 1], shape (B, 3, H, W) with H and W multiples of 4, to the same shape; offset of the noise."""
        height, width = photo.shape[2:]
        shifted = self.noise.roll((-offset[0], -offset[1]), (0, 1))
        noise = shifted.repeat(-(-height // NOISE_SIDE), -(-width // NOISE_SIDE))[:height, :width]
        hidden = self.down(photo + noise)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return to_picture(self.up(hidden))


class ReferenceLoss(nn.Module):
    """The default loss, written plainly: the photo, too, passes through the whole frozen network.

    Args:
        state: VGG weights in torchvision's layout.
        painting: RGB in [0, 1], shape (1, 3, H, W).
        config: Layers and their shares, which add up to 1; the weights are those of the default loss.
        network: ``vgg16`` or ``vgg19``.
    """

    spectrum_limit: Tensor

    def __init__(
        self,
        state: Mapping[str, Tensor],
        painting: Tensor,
        config: LossConfig,
        network: str = "vgg19",
    ) -> None:
        super().__init__()
        names = name_layers(network)
        self.names = names[: max(map(names.index, config.layers)) + 1]
        self.vgg = make_layers(list(LAYOUTS[network]))[: len(self.names)].requires_grad_(False)
        self.vgg.load_state_dict({name: state[f"features.{name}"].float() for name in self.vgg.state_dict()})
        for layer in self.vgg:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.content_layers, self.style_layers = config.content_layers, config.style_layers
        with torch.no_grad():
            found = self._activations(painting)
            for name in self.style_layers:
                self.register_buffer(f"{name}_gram", _gram(found[name]))
            for field, value in find_palette([painting])._asdict().items():
                self.register_buffer(f"palette_{field}", value)
            self.register_buffer("spectrum_limit", find_limit([painting]))

    def _activations(self, pictures: Tensor) -> dict[str, Tensor]:
        mean, std = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        hidden = (pictures - mean) / std
        found = {}
        for name, layer in zip(self.names, self.vgg, strict=True):
            hidden = layer(hidden)
            if name in self.content_layers or name in self.style_layers:
                found[name] = hidden
        return found

    def forward(self, pictures: Tensor, photos: Tensor) -> Tensor:
        """Return the total loss of stylized pictures and their photos, both shape (B, 3, H, W) in [0, 1]."""
        found, kept = self._activations(pictures), self._activations(photos)
        loss = pictures.new_zeros(())
        for name, share in self.content_layers.items():
            loss = loss + share * _relative(found[name], kept[name]).mean()
        error = pictures.new_zeros(len(pictures))
        for name, share in self.style_layers.items():
            error = error + share * _relative(_gram(found[name]), getattr(self, f"{name}_gram"))
        distance = ((error + STYLE_SMOOTHING**2).sqrt() - STYLE_SMOOTHING).mean()
        loss = loss + STYLE_BALANCE["joint"] * distance + PALETTE_BALANCE * self._palette(pictures)
        corner = pictures[:, :, :-1, :-1]
        down, right = pictures[:, :, 1:, :-1] - corner, pictures[:, :, :-1, 1:] - corner
        variation = (down**2 + right**2).sum() / pictures.numel()
        loss = loss + TV_BALANCE * variation + GRID_BALANCE * _grid(pictures)
        # The project's own functions, here and for the palette: they cost next to nothing, and scripts that people copy
        # have no such terms.
        return loss + SPECTRUM_BALANCE * spectrum_excess(pictures, self.spectrum_limit).mean()

    def _palette(self, pictures: Tensor) -> Tensor:
        palette = Palette(self.palette_mean, self.palette_axes, self.palette_quantiles)  # type: ignore[arg-type]
        return palette_distance(pictures, palette).mean()


def _grid(pictures: Tensor) -> Tensor:
    batch, channels, height, width = pictures.shape
    side = GRID_WINDOW * CELL
    down, across = height // side, width // side
    windows = pictures[:, :, : down * side, : across * side].reshape(
        batch, channels, down, GRID_WINDOW, CELL, across, GRID_WINDOW, CELL
    )
    phases = windows.mean((3, 6))
    return ((phases - phases.mean((3, 5), keepdim=True)) ** 2).mean()


def _gram(features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    rows = features.view(batch, channels, height * width)
    return rows.bmm(rows.transpose(1, 2)) / (height * width)


def _relative(values: Tensor, target: Tensor) -> Tensor:
    return ((values - target) ** 2).flatten(1).sum(1) / (target**2).flatten(1).sum(1)


def draw_painting(size: int) -> Tensor:
    """Draw soft colored blotches, shape (1, 3, S, S) in [0, 1], the style that both steps train towards."""
    noise = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)


def build_reference_loss(weights: str, painting: Tensor) -> ReferenceLoss:
    """Build the reference's loss towards a painting, shape (1, 3, H, W); weights are ``default`` or a file."""
    state = load_perceptual_weights("vgg19", weights)
    return ReferenceLoss(state, painting, LossConfig())


def build_reference_step(weights: str, painting: Tensor, steps: int, seed: int = 0) -> tuple[Step, ReferenceNetwork]:
    """Build the reference's whole step; arguments and result are those of ``train.fit.step.build_step``."""
    device = choose_device()
    torch.manual_seed(seed)
    # First, so that its weights are those that our step starts from.
    start = StyleNetwork()
    network = ReferenceNetwork()
    network.load_from(start)
    network.to(device)
    loss = build_reference_loss(weights, painting).to(device)

    def compute(photos: Tensor, number: int) -> Tensor:
        return loss(network(photos, draw_offset(seed, number)), photos)  # type: ignore[no-any-return]

    return make_step(compute, network, steps, "adam"), network
