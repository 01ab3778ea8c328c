"""Random motions of photos: two frames of a video, made of one photo, without videos and their optical flow.

ReReVST (Wang et al. 2020, Consistent Video Style Transfer via Relaxation and Regularization) bends a photo by a smooth
random field and adds a little noise, and compares what a network makes of it with the bent picture of the photo itself
(``models.losses.stability_distance``). Its motions are larger; a network with a stride of 4 changes most where a photo
moves by a fraction of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 3
"""Largest shift in pixels, in rows and in columns; by 4, the network's cell, its picture shifts with the photo."""

BEND = 1.5
"""Largest displacement beside the shift, in pixels: parts of a scene move in different ways."""

KNOT_DISTANCE = 32
"""Distance in pixels between the random displacements that are interpolated."""

BENT_SHARE = 0.5
"""Share of the photos that are bent, too; a shift alone takes every pixel from another one and blurs none."""

SENSOR_NOISE = 9.0
"""Standard deviation, in levels of 255, of noise that differs from pixel to pixel and from frame to frame: that of a
bad sensor, because a good one's would have too small a share in the term for a network to learn to ignore it."""

MARGIN = 8
"""Pixels at the border that do not show what is expected of them: they come from outside of the photo."""


@dataclass(frozen=True)
class Motion:
    """How the photos of a batch move, each in its own way.

    Args:
        positions: Where each pixel comes from, shape (B, H, W, 2): column and row, from -1 to 1 between the centers of
            the outer pixels.
        noise: What the next frame's sensor adds, shape (B, 3, H, W), in the photos' unit.
    """

    positions: Tensor
    noise: Tensor

    def move(self, pictures: Tensor) -> Tensor:
        """Move pictures by cubic interpolation, which keeps strokes sharp.

        Args:
            pictures: Shape (B, C, H, W); they continue mirrored beyond their borders.

        Returns:
            The same shape, float32, with channels last in memory.
        """
        moved = F.grid_sample(pictures.float(), self.positions, "bicubic", "reflection", align_corners=True)
        return moved.contiguous(memory_format=torch.channels_last)

    def take_next(self, photos: Tensor) -> Tensor:
        """Return the next frame of photos, RGB in [0, 1], shape (B, 3, H, W): moved and noisy, not clamped."""
        return self.move(photos) + self.noise


def draw_motion(photos: Tensor, seed: int, step: int) -> Motion:
    """Draw a motion for each photo of a training step.

    Args:
        photos: Shape (B, 3, H, W).
        seed: Of the training.
        step: Number of the step; the same seed and step give the same motions, so that a training can be resumed.

    Returns:
        Motions on the photos' device.
    """
    batch, _, height, width = photos.shape
    # A stream of its own: the same seed and step draw where the noise tile begins.
    random = np.random.default_rng([seed, step, 1])
    shift = torch.from_numpy(random.integers(-SHIFT, SHIFT, (batch, 2, 1, 1), endpoint=True)).float()
    knots = [side // KNOT_DISTANCE + 2 for side in (height, width)]
    bends = torch.from_numpy(random.uniform(-BEND, BEND, (batch, 2, *knots))).float()
    bends = bends * torch.from_numpy(random.random((batch, 1, 1, 1)) < BENT_SHARE)
    displacement = shift + F.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    places = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows, columns = (place + moved for place, moved in zip(places, displacement.unbind(1), strict=True))
    positions = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], -1)
    noise = torch.from_numpy(random.standard_normal(photos.shape, np.float32)) * (SENSOR_NOISE / 255)
    return Motion(positions.to(photos.device), noise.to(photos.device))
