"""Strength: how much of a style a picture gets, from the photo itself at 0 past the style as trained at 1.

A network with strength has two more numbers beside each scale and shift of its norms: by how much it grows with the
strength, below 1 and above. All of its kernels, and so the strokes that it knows, are the same at every strength; the
norms decide which of them are painted (Dumoulin et al. 2017), and those that end the residual blocks multiply what the
blocks add (Kitov 2019). At strength 1 nothing is added, so that the style is exactly the one that was trained before.

Below 1 the photo shows through as well, because norms remove each photo's own colors, and no network with norms can
give them back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MOST_STRENGTH = 1.5
"""Largest strength; beyond it pictures lose the photo."""

CHECKED_STRENGTHS = (0.0, 0.5, 1.0, MOST_STRENGTH)
"""Strengths at which copies of a network with strength are compared with it."""

_STREAM = 2
"""Tells the strengths of a training from what else is drawn from the same seed and step."""


def draw_strength(seed: int, step: int) -> float:
    """Draw the strength of a training step.

    Args:
        seed: Of the training.
        step: Its number; the same seed and step give the same strength, so that a training can be resumed.

    Returns:
        From 0 to ``MOST_STRENGTH``, all equally likely.
    """
    return float(np.random.default_rng([seed, step, _STREAM]).uniform(0, MOST_STRENGTH))


def style_share(strength: float) -> float:
    """Return what a training multiplies the style's terms by: the strength (Kitov 2019), or its cube from 1 on.

    Kernels that do not learn come no nearer to a painting for one and a half times the weight.
    """
    return min(strength, 1) * max(strength, 1) ** 3


def photo_share(strength: Tensor) -> Tensor:
    """Return how much of the photo shows through: 1 at strength 0, 1/4 at 1/2, 0 from 1 on; shape as given.

    Its slope is 0 at strength 1, so that the pictures just below and just above grow alike.
    """
    return (1 - strength).relu().square()


def blend_photo(picture: Tensor, photo: Tensor, strength: Tensor) -> Tensor:
    """Let a photo show through its painted picture.

    Args:
        picture: RGB, shape (B, 3, H, W).
        photo: The same shape and range.
        strength: Scalar tensor.

    Returns:
        The same shape: the photo at strength 0, the picture unchanged from 1 on.
    """
    return picture + photo_share(strength) * (photo - picture)


def as_strength(value: float, like: Tensor) -> Tensor:
    """Return a strength as a float32 scalar on the device of another tensor.

    Raises:
        ValueError: If it is not from 0 to ``MOST_STRENGTH``.
    """
    if not 0 <= value <= MOST_STRENGTH:
        raise ValueError(f"strength is {value}; it must be from 0 (the photo) to {MOST_STRENGTH}, 1 as trained")
    return torch.tensor(value, dtype=torch.float32, device=like.device)
