"""A trained style whose pictures another network learns to paint: a narrow one beside its wide one (distillation).

The painting alone leaves a network free in where it puts strokes and which colors it gives to what. With the teacher's
picture in place of the photo, the content term asks for the teacher's own strokes and colors, in their places: both
networks see the same noise (``models.noise``).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.network import StyleNetwork
from models.style_file import load_style


class Teacher:
    """A finished style network, which does not learn. It is no module, so that checkpoints do not hold it.

    Args:
        path: Style file.

    Raises:
        ModelFileError: If it is absent, damaged or no style file.
    """

    def __init__(self, path: Path) -> None:
        self.network: StyleNetwork = load_style(path)[0].eval().requires_grad_(False)
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
