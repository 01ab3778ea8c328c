"""A loss that looks at pictures from eight sides in turn, so that a network cannot hide from it.

What a frozen network is blind to, a network that it trains fills with whatever makes the loss fall, and the small one
is blind to more than VGG. As its kernels are not symmetric, mirrored and turned pictures are seen by eight different
networks for the price of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from models.losses import LossTerms, PerceptualLoss
from models.vgg import VGGFeatures

SIDES = 8
"""Ways to mirror and turn a square onto itself."""

STRIDE = 5
"""From one step's side to the next: coprime to ``SIDES``, so that all have their turn, and neighbors differ much."""


def turn(pictures: Tensor, side: int) -> Tensor:
    """Mirror and turn pictures.

    Args:
        pictures: Shape (B, C, H, W).
        side: 0 leaves them as they are; up to 7.

    Returns:
        Shape (B, C, H, W), from side 4 on (B, C, W, H).
    """
    if side & 1:
        pictures = pictures.flip(3)
    if side & 2:
        pictures = pictures.flip(2)
    return pictures.transpose(2, 3) if side & 4 else pictures


class TurnedLoss(nn.Module):
    """The perceptual loss of a training, seen from one side or from all in turn.

    Args:
        features: The frozen network.
        settings: Layers and weights of ``PerceptualLoss``.
        sides: 1, or ``SIDES`` for another side at each step.
    """

    def __init__(self, features: VGGFeatures, settings: Mapping[str, Any], sides: int = 1) -> None:
        super().__init__()
        self.sides = nn.ModuleList(PerceptualLoss(features, **settings) for _ in range(sides))

    def set_style(self, paintings: Sequence[Tensor]) -> None:
        """Measure the style, RGB in [0, 1], each of shape (1, 3, H, W), from every side."""
        for side in range(len(self.sides)):
            self._side(side).set_style([turn(painting, side) for painting in paintings])

    def forward(self, pictures: Tensor, photos: Tensor, step: int = 0) -> LossTerms:
        """Judge pictures.

        Args:
            pictures: Stylized, RGB in [0, 1], shape (B, 3, H, W).
            photos: What they are of, of the same shape.
            step: Number of the training step, on which the side depends; step 0 sees them as they are.

        Returns:
            The terms; ``total`` is differentiable with respect to ``pictures``.
        """
        side = step * STRIDE % len(self.sides)
        loss = self._side(side)
        return loss(turn(pictures, side), loss.describe_content(turn(photos, side)))  # type: ignore[no-any-return]

    def _side(self, side: int) -> PerceptualLoss:
        return cast(PerceptualLoss, self.sides[side])
