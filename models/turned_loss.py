"""A loss that mirrors and turns pictures, in another way at each step, so that a network cannot fit its blind spots.

A network that is trained makes use of whatever the frozen network does not see, and the small one sees less than VGG.
Its kernels are not symmetric, so it sees other things in a mirrored or turned picture: eight orientations in turn act
like eight different networks for the price of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from models.losses import Features, LossConfig, LossTerms, PerceptualLoss

ORIENTATIONS = 8
"""Ways to mirror and turn a square onto itself."""

ORIENTATION_STEP = 5
"""Distance from one step's orientation to the next: coprime to 8, so that all have their turn and neighbors differ."""


def turn(pictures: Tensor, orientation: int) -> Tensor:
    """Mirror and turn pictures.

    Args:
        pictures: Shape (B, C, H, W).
        orientation: 0 to 7; 0 leaves them as they are.

    Returns:
        Shape (B, C, H, W); from orientation 4 on (B, C, W, H).
    """
    if orientation & 1:
        pictures = pictures.flip(3)
    if orientation & 2:
        pictures = pictures.flip(2)
    return pictures.transpose(2, 3) if orientation & 4 else pictures


class TurnedLoss(nn.Module):
    """The perceptual loss of a training, of pictures as they are or in all orientations in turn.

    Args:
        features: The frozen network.
        config: Layers and weights; the defaults if None.
        orientations: 1, or ``ORIENTATIONS`` for another orientation at each step.

    Attributes:
        config: Layers and weights.
    """

    def __init__(self, features: Features, config: LossConfig | None = None, orientations: int = 1) -> None:
        super().__init__()
        self.config = config or LossConfig()
        # One for each: the painting, too, looks different from every side.
        self.losses = nn.ModuleList(PerceptualLoss(features, config) for _ in range(orientations))

    def set_style(self, paintings: Sequence[Tensor]) -> None:
        """Set the style's targets in every orientation; paintings are RGB in [0, 1], each of shape (1, 3, H, W)."""
        for orientation in range(len(self.losses)):
            self._oriented(orientation).set_style([turn(painting, orientation) for painting in paintings])

    def forward(self, pictures: Tensor, photos: Tensor, step: int = 0, strength: float = 1.0) -> LossTerms:
        """Compute the loss of stylized pictures.

        Args:
            pictures: Stylized, RGB in [0, 1], shape (B, 3, H, W).
            photos: The photos that they show, of the same shape.
            step: Number of the training step, which chooses the orientation; step 0 leaves pictures as they are.
            strength: Of the style in these pictures, as ``PerceptualLoss`` takes it.

        Returns:
            The terms; ``total`` is differentiable with respect to ``pictures``.
        """
        orientation = step * ORIENTATION_STEP % len(self.losses)
        loss = self._oriented(orientation)
        content = loss.describe_content(turn(photos, orientation))
        return loss(turn(pictures, orientation), content, strength)  # type: ignore[no-any-return]

    def _oriented(self, orientation: int) -> PerceptualLoss:
        return cast(PerceptualLoss, self.losses[orientation])
