"""Random motions of photos: what a video's next frame shows, made of one photo, without a video and its optical flow.

Wang et al. (2020, ReReVST, section 3.4) bend a photo by a smooth random field and add a little noise; what a network makes
of it can then be compared with the bent picture that it makes of the photo itself (``models.losses.stability_distance``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 3
"""Largest shift in pixels, up or down and left or right: the network shifts with its photo by whole cells of 4 anyway."""

BEND = 1.5
"""Largest further displacement of a single place, in pixels: parts of a scene move in different ways."""

BEND_GRAIN = 32
"""Distance in pixels between the random displacements that are interpolated."""

BENT_SHARE = 0.5
"""Share of the photos that are bent; the others are shifted only, which moves every pixel exactly and blurs nothing."""

GRAIN = 4.0
"""Standard deviation, in levels of 255, of the independent noise of each pixel, as of a camera's sensor."""

MARGIN = 8
"""Pixels at the border that are not compared: what moves in there comes from outside of the photo."""


@dataclass(frozen=True)
class Motion:
    """How the photos of a batch move, each in its own way.

    Args:
        positions: Where each pixel comes from, shape (B, H, W, 2): column and row, -1 and 1 at the outer pixels' centers.
        grain: The next frame's noise, shape (B, 3, H, W), of the photos' range.
    """

    positions: Tensor
    grain: Tensor

    def move(self, pictures: Tensor) -> Tensor:
        """Move pictures, shape (B, 3, H, W), by cubic interpolation; the same shape, float32, channels last.

        What is needed from outside of a picture is mirrored at its border.
        """
        moved = F.grid_sample(pictures.float(), self.positions, "bicubic", "reflection", align_corners=True)
        return moved.contiguous(memory_format=torch.channels_last)

    def take_next(self, photos: Tensor) -> Tensor:
        """Return the next frame of photos, RGB in [0, 1], shape (B, 3, H, W): moved, with other noise, not clamped."""
        return self.move(photos) + self.grain


def draw_motion(photos: Tensor, seed: int, step: int) -> Motion:
    """Draw a motion for each photo of a training step.

    Args:
        photos: Shape (B, 3, H, W).
        seed: Of the training.
        step: Its number; the same seed and step give the same motions, so that a training can be resumed.

    Returns:
        Motions on the photos' device.
    """
    batch, _, height, width = photos.shape
    # A stream of its own: the same seed and step draw where the noise tile begins.
    random = np.random.default_rng([seed, step, 1])
    shift = torch.from_numpy(random.integers(-SHIFT, SHIFT, (batch, 2, 1, 1), endpoint=True)).float()
    knots = [side // BEND_GRAIN + 2 for side in (height, width)]
    bends = torch.from_numpy(random.uniform(-BEND, BEND, (batch, 2, *knots))).float()
    bends = bends * torch.from_numpy(random.random((batch, 1, 1, 1)) < BENT_SHARE)
    displacement = shift + F.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    places = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows, columns = (place + moved for place, moved in zip(places, displacement.unbind(1), strict=True))
    positions = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], -1)
    grain = torch.from_numpy(random.standard_normal(photos.shape, np.float32)) * (GRAIN / 255)
    return Motion(positions.to(photos.device), grain.to(photos.device))
