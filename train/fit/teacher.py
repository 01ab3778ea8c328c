"""A trained style whose pictures another network learns to paint: a narrow one beside its wide one (distillation).

The painting alone leaves a network free in where it puts strokes and which colors it gives to what. With the teacher's
picture in place of the photo, the content term asks for the teacher's own strokes and colors, in their places: both
networks see the same noise (``models.noise``).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from models.losses import LossConfig
from models.network import StyleNetwork
from models.style_file import load_style
from train.fit.origin import find_origin_file

TEACHER_BALANCE = 4.0
"""Factor of the content term where it keeps a teacher's picture: that can be matched in every layer, unlike a photo,
which the style term pulls away from."""


def keep_pictures(config: LossConfig) -> LossConfig:
    """Change a loss so that its content term keeps pictures and not photos: with their colors and strokes.

    Args:
        config: The loss of a training without a teacher.

    Returns:
        The same, but half of the content's shares are on the style's layers, which hold colors and strokes, and the
        term counts more, and everywhere alike: a picture can be matched in its skies, too. Where one of the two terms
        is switched off, its layers do not count. The spectrum term stays: a weave that the teacher has is not to be
        learned from it.
    """
    content, style = config.content_shares, config.style_shares
    shares = {layer: content.get(layer, 0) + style.get(layer, 0) for layer in [*content, *style]}
    return replace(
        config, content_layers=shares, content_weight=TEACHER_BALANCE * config.content_weight, content_focus=0
    )


class Teacher:
    """A finished style network, which does not learn. It is no module, so that checkpoints do not hold it.

    Args:
        style: A kept style's name, or the path of a style file.

    Attributes:
        style: The same, as it was given.

    Raises:
        ModelFileError: If it is absent, damaged or no style file.
    """

    def __init__(self, style: str) -> None:
        self.style = style
        self.network: StyleNetwork = load_style(find_origin_file(style))[0].eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)
        self._transform = self.network.transform

    def compile(self) -> None:
        """Compile the network, which pays in a training of some hundred steps."""
        self._transform = torch.compile(self.network.transform, dynamic=False)

    @torch.no_grad()
    def paint(self, photos: Tensor, offset: tuple[int, int]) -> Tensor:
        """Paint photos.

        Args:
            photos: RGB in [0, 1], shape (B, 3, S, S), on any device.
            offset: Where in its tile the noise begins, as for the network that learns.

        Returns:
            Pictures, RGB, of the same shape, without gradient.
        """
        self.network.to(photos.device)
        return self._transform(self.network.add_noise(photos, offset))
