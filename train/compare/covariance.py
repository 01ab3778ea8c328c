"""Distance of a picture to a painting that no loss minimizes: covariances of features, relative to those of its crops.

The covariances of a frozen network's activations describe strokes and shapes, and not the palette, because the means of
the channels are removed. No two pieces of a painting have the same, so that the mean distance of the painting's own
crops to the whole is the unit: 1 stands for a picture that is as close as a piece of the painting.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image
from torch import Tensor

from data.images import scale_short_side, to_array
from data.photos import to_tensor
from models.losses import Features, gram_matrix

LAYERS = ("relu3_1", "relu4_1")
"""Layers whose receptive fields (of VGG-19: 24 and 68 pixels) are as large as strokes and the shapes they form."""

PAINTING_SIZES = (256, 384, 512)
"""Short sides in pixels to which the painting is scaled: a style is to be like it at one of them, whatever the size
that it was trained with."""

CROP = 2 / 3
"""Sides of a crop relative to the painting's."""


class CovarianceDistance:
    """Relative covariance distance of pictures to one painting.

    At each of ``PAINTING_SIZES`` and each of ``LAYERS`` the Frobenius norm of the difference of the covariances, of the
    picture and of the painting, is divided by the mean of the same for the painting's four corner crops. The ratios are
    averaged over the layers, and the smallest of the sizes counts.

    Args:
        features: Frozen network that reaches ``LAYERS``; the figures of different networks do not compare.
        painting: The painting, RGB, of any size.
        device: Where the network is.
    """

    def __init__(self, features: Features, painting: Image.Image, device: torch.device) -> None:
        self._features = features
        self._targets: list[dict[str, tuple[Tensor, Tensor]]] = []
        for size in PAINTING_SIZES:
            whole = to_tensor(to_array(scale_short_side(painting, size))).to(device)
            height, width = (round(side * CROP) for side in whole.shape[-2:])
            crops = [whole[..., rows, columns] for rows in _ends(height) for columns in _ends(width)]
            target, pieces = self._describe(whole), [self._describe(crop) for crop in crops]
            self._targets.append(
                {
                    layer: (
                        target[layer],
                        torch.stack([_relative(piece[layer], target[layer]) for piece in pieces]).mean(),
                    )
                    for layer in LAYERS
                }
            )

    def __call__(self, picture: Tensor) -> float:
        """Measure a picture, RGB in [0, 1], shape (1, 3, H, W): 0 at the painting itself, 1 as close as its crops."""
        found = self._describe(picture)
        return min(
            sum(float(_relative(found[layer], target) / unit) for layer, (target, unit) in targets.items())
            / len(LAYERS)
            for targets in self._targets
        )

    @torch.no_grad()
    def _describe(self, picture: Tensor) -> Mapping[str, Tensor]:
        return {layer: covariance(values) for layer, values in self._features(picture, LAYERS).items()}


def covariance(features: Tensor) -> Tensor:
    """Correlate every pair of channels after their means are removed, averaged over positions.

    Args:
        features: Activations, shape (B, C, H, W).

    Returns:
        Shape (B, C, C), float32.
    """
    values = features.float()
    return gram_matrix(values - values.mean((2, 3), keepdim=True))


def _relative(matrix: Tensor, target: Tensor) -> Tensor:
    distance: Tensor = (matrix - target).norm() / target.norm().clamp_min(torch.finfo(torch.float32).tiny)
    return distance


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)
