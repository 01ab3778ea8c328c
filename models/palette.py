"""The colors of a painting as a whole, and how far a picture's are from them.

Colors are compared as distributions along a few axes (sliced Wasserstein distance: Pitié et al. 2007, Bonneel et al.
2015), not by mean and covariance: a network can reach a covariance with a few black blots, a distribution it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 0.05
"""Least variance along an axis, relative to that along the longest, in whose unit colors are measured: a painting in
one hue would otherwise allow no other at all."""

FLAT_VARIANCE = 1e-6
"""The same absolutely, for RGB in [0, 1]: a quarter of a level of 255, for a painting of a single color."""

QUANTILES = 1024
"""Points at which a distribution is kept."""

DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1))
"""In units of the painting's spread: its principal axes, and the diagonals between them."""


class Palette(NamedTuple):
    """A painting's colors along its own axes, float32.

    Args:
        mean: Mean RGB, shape (3,).
        axes: Columns are directions in RGB, scaled so that the painting's colors have variance 1 along them, or less
            where ``FLOOR`` or ``FLAT_VARIANCE`` applies; shape (3, D).
        quantiles: The painting's sorted colors along each, shape (D, ``QUANTILES``).
    """

    mean: Tensor
    axes: Tensor
    quantiles: Tensor


def find_palette(paintings: Sequence[Tensor], shares: Sequence[float] | None = None) -> Palette:
    """Measure the colors of one or several paintings together.

    Args:
        paintings: RGB in [0, 1], each of shape (1, 3, H, W), sides of at least 2.
        shares: Weight of each of them, relative to their sum; equal if None.

    Returns:
        The palette, on the device of the first painting.
    """
    # In float64 on the CPU: once for a painting, and the same on every device.
    pixels = [_average_pixels(painting.double().cpu())[0] for painting in paintings]
    given = shares or [1.0] * len(pixels)
    weights = torch.cat(
        [torch.full((len(rows),), share / len(rows)).double() for rows, share in zip(pixels, given, strict=True)]
    )
    weights = weights / weights.sum()
    colors = torch.cat(pixels)
    mean = weights @ colors
    centered = colors - mean
    variances, axes = torch.linalg.eigh(centered.T @ (weights[:, None] * centered))
    axes = axes / variances.clamp_min(max(FLOOR * float(variances.max()), FLAT_VARIANCE)).sqrt()
    directions = F.normalize(torch.tensor(DIRECTIONS, dtype=torch.float64), dim=1)
    axes = axes @ directions.T
    quantiles = torch.stack([_quantiles(values, weights) for values in (centered @ axes).T])
    return Palette(*(value.to(paintings[0].device, torch.float32) for value in (mean, axes, quantiles)))


def palette_distance(pictures: Tensor, palette: Palette) -> Tensor:
    """Measure how far the colors of pictures are from a palette, in units of its own spread.

    Args:
        pictures: RGB in [0, 1], shape (B, 3, H, W), sides of at least 2.
        palette: Of the painting.

    Returns:
        Shape (B,), float32: mean over the axes of the squared Wasserstein-2 distance; 0 for the painting's own colors,
        1 for a picture in the painting's mean color alone (less where an axis is at ``FLOOR``).
    """
    with torch.autocast(pictures.device.type, enabled=False):
        values = ((_average_pixels(pictures.float()) - palette.mean) @ palette.axes).sort(dim=1).values
        target = F.interpolate(palette.quantiles[None], size=values.shape[1], mode="linear", align_corners=False)
        return (values.transpose(1, 2) - target).square().mean((1, 2))


def _average_pixels(pictures: Tensor) -> Tensor:
    """Return the colors of cells of 2 x 2 pixels, (B, N, 3), so that grain does not count as color."""
    return F.avg_pool2d(pictures, 2).flatten(2).transpose(1, 2)


def _quantiles(values: Tensor, weights: Tensor) -> Tensor:
    """Return values at the middles of ``QUANTILES`` equal shares of the weight."""
    values, order = values.sort()
    reached = weights[order].cumsum(0)
    wanted = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    return values[torch.searchsorted(reached, wanted).clamp_max(len(values) - 1)]
