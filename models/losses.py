"""The losses: content, style and total variation, shared by the fast trainer and everything it is compared with.

Every term is a ratio to something of its own kind, so that a weight means the same whatever the scale of the frozen
network's activations, the number of layers, the size of the pictures, or the painting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.names import CONTENT_LAYERS as CONTENT_LAYERS  # noqa: PLC0414  (exported from here, too)
from models.names import STYLE_LAYERS as STYLE_LAYERS  # noqa: PLC0414

STYLE_BALANCE = 2.0
"""What a ``style_weight`` of 1 means: chosen by eye, so that strokes and photo both stay legible."""

STYLE_SMOOTHING = 0.01
"""Relative distance of Gram matrices below which they count as equal, so that a match has gradient 0."""

TV_BALANCE = 0.5
"""What a ``tv_weight`` of 1 means: just enough that flat regions carry no speckle at the scale of single pixels."""

GRID_BALANCE = 200.0
"""What a ``grid_weight`` of 1 means: a grid of 2 levels of 255 adds 0.012, some 2 % of a trained network's loss."""

GRID_WINDOW = 8
"""Cells along a side of the windows in which phases are compared: the grid may differ from one region to the next."""

GRAM_PARTS = 8
"""Into how many sums a low-precision Gram matrix is split; with 8, bfloat16 errs by 6e-4 of the matrix's norm."""


def squared_error(values: Tensor, target: Tensor) -> Tensor:
    """Sum the squared differences over all but the batch (Gatys et al. 2016, eq. 1 without its half).

    Args:
        values: Shape (B, ...).
        target: The same shape, or one that broadcasts to it.

    Returns:
        Shape (B,), float32.
    """
    return (values.float() - target.float()).square().flatten(1).sum(1)


def relative_error(values: Tensor, target: Tensor) -> Tensor:
    """Divide the squared error by the target's own energy, so that no unit is left.

    Args:
        values: Shape (B, ...).
        target: Shape (B, ...) or (1, ...).

    Returns:
        Shape (B,), float32: 0 for equality, 1 for ``values`` of zero.
    """
    energy = target.float().square().flatten(1).sum(1)
    return squared_error(values, target) / energy.clamp_min(torch.finfo(torch.float32).tiny)


def relative_distance(values: Tensor, target: Tensor, smoothing: float = STYLE_SMOOTHING) -> Tensor:
    """Divide the distance by the target's norm: the root of ``relative_error``, rounded off near 0.

    The style terms are distances and not squares, unlike Gatys et al. (2016, eq. 4). A square pulls the harder the
    worse a painting can be matched, so that a hard one (The Scream) drowns the photo at a weight that suits an easy
    one (The Great Wave); a distance pulls on all alike, and one weight serves them.

    Args:
        values: Shape (B, ...).
        target: Shape (B, ...) or (1, ...).
        smoothing: Distance below which the square takes over.

    Returns:
        Shape (B,), float32: 0 for equality, about 1 for ``values`` of zero.
    """
    return (relative_error(values, target) + smoothing**2).sqrt() - smoothing


class _Gram(torch.autograd.Function):
    """X^T X per picture, in the input's precision but summed in float32; its gradient is one product, not two."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        batch, positions, channels = rows.shape
        # A bfloat16 product is summed in float32 inside and rounded at its end: sums of a few parts round less.
        parts = 1 if rows.dtype == torch.float32 else min(GRAM_PARTS, max(1, positions // 512))
        if positions % parts:
            rows = F.pad(rows, (0, 0, 0, -positions % parts))
        rows = rows.reshape(batch * parts, -1, channels)
        return (rows.transpose(1, 2) @ rows).float().view(batch, parts, channels, channels).sum(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows: Tensor = ctx.saved_tensors[0]
        return rows @ (gradient + gradient.transpose(1, 2)).to(rows.dtype)


def gram_matrix(features: Tensor) -> Tensor:
    """Correlate every pair of channels, averaged over positions (Gatys et al. 2016, eq. 3).

    Args:
        features: Activations, shape (B, C, H, W), any real range.

    Returns:
        Symmetric matrices, shape (B, C, C), float32 whatever the input's precision.
    """
    rows = features.flatten(2).transpose(1, 2)
    with torch.autocast(features.device.type, enabled=False):
        gram: Tensor = _Gram.apply(rows)
        return gram / rows.shape[1]


def total_variation(pictures: Tensor) -> Tensor:
    """Sum the squared differences of neighbors, down and to the right (Johnson et al. 2016, section 3.2).

    Args:
        pictures: Shape (B, C, H, W).

    Returns:
        Shape (B,), float32: the sum over the (H - 1) x (W - 1) pixels that have both neighbors.
    """
    pictures = pictures.float()
    corner = pictures[:, :, :-1, :-1]
    down = pictures[:, :, 1:, :-1] - corner
    right = pictures[:, :, :-1, 1:] - corner
    return (down.square() + right.square()).flatten(1).sum(1)


def grid_energy(pictures: Tensor, cell: int) -> Tensor:
    """Measure the pattern that repeats every ``cell`` pixels: the checkerboard of a network that works in such cells.

    Where nothing repeats, the pixels at one place of all cells of a region have the same mean as those at any other
    place (phase). How far the means differ is the grid; perceptual losses do not see it, for fine structure anywhere
    may be the painting's (Odena et al. 2016 describe the artifact).

    Args:
        pictures: Shape (B, C, H, W), sides of at least ``GRID_WINDOW * cell``; rows and columns beyond the last whole
            window do not count.
        cell: Period in pixels, the network's whole stride.

    Returns:
        Shape (B,), float32: variance of the phases' means, averaged over windows and channels.
    """
    side = GRID_WINDOW * cell
    down, across = (length // side for length in pictures.shape[-2:])
    whole = pictures.float()[:, :, : down * side, : across * side]
    windows = whole.reshape(*whole.shape[:2], down, GRID_WINDOW, cell, across, GRID_WINDOW, cell)
    phases = windows.mean((3, 6))  # (B, C, down, cell, across, cell)
    return (phases - phases.mean((3, 5), keepdim=True)).square().flatten(1).mean(1)


class LossTerms(NamedTuple):
    """The loss and its parts, each a scalar averaged over the batch; the parts are not yet weighted."""

    total: Tensor
    content: Tensor
    style: Tensor
    total_variation: Tensor


class Features(Protocol):
    """A frozen network: from pictures, RGB in [0, 1], shape (B, 3, H, W), to activations by layer."""

    @property
    def network(self) -> str:
        """Its name."""
        ...

    def __call__(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of the named layers, each of shape (B, C, H', W')."""
        ...


class PerceptualLoss(nn.Module):
    """Distance of a picture to a photo's content and a painting's style (Johnson et al. 2016, eq. 5).

    Args:
        features: The frozen network, VGG or another.
        content_layers: Layers whose activations are to stay the photo's, each with its share.
        style_layers: Layers whose Gram matrices are to become the painting's, each with its share. Shares are
            relative: they are divided by their sum.
        content_weight: 1 is the reference; 0 switches the term off, and its layers are not computed.
        style_weight: 1 is the strength that suits most paintings; 0.5 is half as strong, 0 switches the term off.
        tv_weight: 1 removes speckle; 0 switches smoothing off.

    Raises:
        ValueError: If a weight or share is negative, or all shares are zero.
    """

    def __init__(
        self,
        features: Features,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        tv_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, weight in (("content", content_weight), ("style", style_weight), ("tv", tv_weight)):
            if not weight >= 0:
                raise ValueError(f"{name}_weight is {weight}; it must be 0 or more")
        self.features = features
        self.content_layers = _share(content_layers, "content_layers") if content_weight > 0 else {}
        self.style_layers = _share(style_layers, "style_layers") if style_weight > 0 else {}
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight

    @torch.no_grad()
    def set_style(self, paintings: Sequence[Tensor], shares: Sequence[float] | None = None) -> None:
        """Measure what the style is: the mean Gram matrices of one or several paintings.

        Args:
            paintings: RGB in [0, 1], each of shape (1, 3, H, W); sizes may differ.
            shares: How much each of them counts, equally unless told; they are divided by their sum.
        """
        if not self.style_layers:
            return
        weights = torch.tensor(shares or [1.0] * len(paintings))
        weights = weights / weights.sum()
        grams: dict[str, list[Tensor]] = {layer: [] for layer in self.style_layers}
        for painting in paintings:
            activations = self.features(painting, self.style_layers)
            for layer, values in activations.items():
                grams[layer].append(gram_matrix(values))
        for layer, found in grams.items():
            stacked = torch.stack(found)
            mean = (stacked * weights.to(stacked.device).view(-1, 1, 1, 1)).sum(0)
            self.register_buffer(f"{layer}_gram", mean, persistent=False)

    @torch.no_grad()
    def describe_content(self, photos: Tensor) -> dict[str, Tensor]:
        """Compute what is to be kept of photos, RGB in [0, 1], shape (B, 3, H, W): content activations by layer."""
        return self.features(photos, self.content_layers) if self.content_layers else {}

    def forward(self, pictures: Tensor, content: Mapping[str, Tensor]) -> LossTerms:
        """Judge pictures.

        Args:
            pictures: Stylized, RGB in [0, 1], shape (B, 3, H, W).
            content: What ``describe_content`` said of their photos.

        Returns:
            The terms; ``total`` is differentiable with respect to ``pictures``.
        """
        layers = {**self.content_layers, **self.style_layers}
        activations = self.features(pictures, layers) if layers else {}
        content_loss = sum_terms(
            (
                share * relative_error(activations[layer], content[layer])
                for layer, share in self.content_layers.items()
            ),
            pictures,
        )
        style_loss = sum_terms(
            (
                share * relative_distance(gram_matrix(activations[layer]), getattr(self, f"{layer}_gram"))
                for layer, share in self.style_layers.items()
            ),
            pictures,
        )
        variation = (total_variation(pictures) / pictures[0].numel()).mean()
        total = (
            self.content_weight * content_loss
            + STYLE_BALANCE * self.style_weight * style_loss
            + TV_BALANCE * self.tv_weight * variation
        )
        return LossTerms(total, content_loss.detach(), style_loss.detach(), variation.detach())


def sum_terms(terms: Iterable[Tensor], pictures: Tensor) -> Tensor:
    """Add up per-picture terms, each of shape (B,), and average over the batch: a float32 scalar, 0 for no term."""
    found = list(terms)
    return torch.stack(found).sum(0).mean() if found else torch.zeros((), device=pictures.device)


def _share(layers: Mapping[str, float], name: str) -> dict[str, float]:
    if any(not share >= 0 for share in layers.values()):
        raise ValueError(f"{name} holds a negative share; every share must be 0 or more")
    total = sum(layers.values())
    if not total > 0:
        raise ValueError(f"{name} is empty; name at least one layer with a share above 0")
    return {layer: share / total for layer, share in layers.items()}
