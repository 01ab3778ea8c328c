"""Where a photo is to stay itself: in its faces, animals and towers more than in its skies.

The deep features of a network that was trained to tell things apart are large where there is a thing, and small in sky,
grass and cloth. Errors of the content term count by this energy, so that the painting's stars and strokes fall where
the photo is empty, and leave faces alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_ENERGY = 0.02
"""Of the mean: what is empty stays the photo's, if only a little, so that the network has something to paint there."""


def find_focus(features: Tensor, power: float) -> Tensor:
    """Tell how much each place of photos is to count.

    Args:
        features: Deep activations of the photos, shape (B, C, H, W).
        power: 0: all places count alike; 1: by their energy; 2: by its square.

    Returns:
        Weights, shape (B, 1, H, W), float32, at most 1: that of the place with the most energy.
    """
    energy = features.float().square().sum(1, keepdim=True)
    mean = energy.mean((2, 3), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    energy = (energy / mean).clamp_min(LEAST_ENERGY)
    # Relative errors do not depend on the scale of the weights, and no power of these is too large for float32.
    return (energy / energy.amax((2, 3), keepdim=True)) ** power


def apply_focus(activations: Tensor, focus: Tensor) -> Tensor:
    """Scale activations, so that their squared errors count by the weights of their places.

    Args:
        activations: Shape (B, C, H, W), of any layer.
        focus: What ``find_focus`` returned for the same photos; its size may differ.

    Returns:
        Shape (B, C, H, W), float32.
    """
    weights = F.interpolate(focus, activations.shape[2:], mode="bilinear", align_corners=False)
    return activations.float() * weights.sqrt()
