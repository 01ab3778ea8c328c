"""The training step as the scripts that people copy write it: float32, contiguous, eager.

It is what the fast step is measured against, and proof that both learn the same: network, losses and weights are equal
to the last parameter, only the way of computing differs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from models.losses import GRID_BALANCE, GRID_WINDOW, STYLE_BALANCE, STYLE_SMOOTHING, TV_BALANCE
from models.network import STRIDE, NetworkConfig, to_picture
from models.vgg import IMAGENET_MEAN, IMAGENET_STD, LAYOUTS, name_layers


class ReferenceNetwork(nn.Module):
    """The style network of torch's own pads, norms and upsampling.

    Args:
        config: Architecture; reflect padding and nearest upsampling only, as the scripts have it.

    Raises:
        ValueError: For another padding or upsampling.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        if (config.padding, config.upsampling) != ("reflect", "nearest"):
            raise ValueError("the reference network knows reflect padding and nearest upsampling only")

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
        """Take over the weights of a ``StyleNetwork``, whose parameters stand in the same order."""
        values = network.state_dict().values()
        self.load_state_dict(dict(zip(self.state_dict(), values, strict=True)))

    def forward(self, photo: Tensor) -> Tensor:
        """Map RGB in [0, 1], shape (B, 3, H, W) with H and W multiples of 4, to the same shape."""
        hidden = self.down(photo)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return to_picture(self.up(hidden))


class ReferenceLoss(nn.Module):
    """The default loss, written the plain way: one pass of the whole frozen network for picture and photo alike.

    Args:
        state: VGG weights in torchvision's layout.
        painting: RGB in [0, 1], shape (1, 3, H, W).
        content_layer: Layer that holds the content.
        style_layers: Layers that hold the style, with equal shares; the last is the deepest.
        network: ``vgg16`` or ``vgg19``.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        painting: Tensor,
        content_layer: str,
        style_layers: list[str],
        network: str = "vgg19",
    ) -> None:
        super().__init__()
        names = name_layers(network)
        self.names = names[: names.index(style_layers[-1]) + 1]
        self.vgg = make_layers(list(LAYOUTS[network]))[: len(self.names)].requires_grad_(False)
        self.vgg.load_state_dict({name: state[f"features.{name}"].float() for name in self.vgg.state_dict()})
        for layer in self.vgg:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.content_layer, self.style_layers = content_layer, style_layers
        with torch.no_grad():
            for name, value in self._activations(painting).items():
                self.register_buffer(f"{name}_gram", _gram(value))

    def _activations(self, pictures: Tensor) -> dict[str, Tensor]:
        mean, std = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        hidden = (pictures - mean) / std
        found = {}
        for name, layer in zip(self.names, self.vgg, strict=True):
            hidden = layer(hidden)
            if name == self.content_layer or name in self.style_layers:
                found[name] = hidden
        return found

    def forward(self, pictures: Tensor, photos: Tensor) -> Tensor:
        """Return the total loss of stylized pictures and their photos, both shape (B, 3, H, W) in [0, 1]."""
        found, kept = self._activations(pictures), self._activations(photos)[self.content_layer]
        loss = _relative(found[self.content_layer], kept).mean()
        for name in self.style_layers:
            error = _relative(_gram(found[name]), getattr(self, f"{name}_gram"))
            distance = ((error + STYLE_SMOOTHING**2).sqrt() - STYLE_SMOOTHING).mean()
            loss = loss + STYLE_BALANCE / len(self.style_layers) * distance
        corner = pictures[:, :, :-1, :-1]
        down, right = pictures[:, :, 1:, :-1] - corner, pictures[:, :, :-1, 1:] - corner
        variation = (down**2 + right**2).sum() / pictures.numel()
        return loss + TV_BALANCE * variation + GRID_BALANCE * _grid(pictures)


def _grid(pictures: Tensor) -> Tensor:
    batch, channels, height, width = pictures.shape
    side = GRID_WINDOW * STRIDE
    down, across = height // side, width // side
    windows = pictures[:, :, : down * side, : across * side].reshape(
        batch, channels, down, GRID_WINDOW, STRIDE, across, GRID_WINDOW, STRIDE
    )
    phases = windows.mean((3, 6))
    return ((phases - phases.mean((3, 5), keepdim=True)) ** 2).mean()


def _gram(features: Tensor) -> Tensor:
    batch, channels, height, width = features.shape
    rows = features.view(batch, channels, height * width)
    return rows.bmm(rows.transpose(1, 2)) / (height * width)


def _relative(values: Tensor, target: Tensor) -> Tensor:
    return ((values - target) ** 2).flatten(1).sum(1) / (target**2).flatten(1).sum(1)
