"""The losses: content, style, palette, places, smoothness, for the trainer and what it is compared with.

Every term is relative to a target of its own kind, so that a weight means the same whatever the scale of the frozen
network's activations, the number of layers, the size of the pictures, or the painting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.focus import apply_focus, find_focus
from models.motion import MARGIN
from models.names import CONTENT_LAYERS as CONTENT_LAYERS  # noqa: PLC0414  (exported from here, too)
from models.names import EMD_LAYERS as EMD_LAYERS  # noqa: PLC0414
from models.names import FOCUS_LAYER as FOCUS_LAYER  # noqa: PLC0414
from models.names import STYLE_LAYERS as STYLE_LAYERS  # noqa: PLC0414
from models.names import StyleNorm
from models.network import CELL
from models.palette import Palette, find_palette, palette_distance
from models.spectrum import find_limit, spectrum_excess
from models.transport import PLACES, relaxed_emd, sample_places, share_places

STYLE_BALANCE: Mapping[StyleNorm, float] = {"joint": 3.5, "layers": 2.0}
"""For each ``style_norm`` the factor of the style term at a ``style_weight`` of 1; chosen by eye, so that strokes and
photo both stay legible."""

STYLE_SMOOTHING = 0.01
"""Relative distance of Gram matrices below which the style term is quadratic, so that its gradient is 0 at a match."""

PALETTE_BALANCE = 0.3
"""Factor of the palette term at a ``palette_weight`` of 1; chosen by eye, so that the painting's colors arrive without
pushing the photo's light and shade aside."""

TV_BALANCE = 0.5
"""Factor of the total variation at a ``tv_weight`` of 1; just enough to keep single-pixel noise out of flat regions."""

ALPHA = 6
"""Power of the alpha-norm, as in Mahendran and Vedaldi (2015, section 3.1)."""

GRID_BALANCE = 200.0
"""Factor of the grid term at a ``grid_weight`` of 1: a grid of 2 levels of 255 adds 0.012, some 2 % of a trained
network's loss."""

PHOTO_BALANCE = 4.0
"""Factor of the distance from the photo, for pictures that are to be nearer to it than the style as trained: the whole
of it at strength 0, none from strength 1 on; chosen by eye, so that the photo's colors and faces return in even steps.
"""

GRID_WINDOW = 8
"""Cells along a side of the windows in which phases are compared: the grid may differ from one region to the next."""

STABILITY_BALANCE = 2.75
"""Factor of the stability term at a ``stability_weight`` of 1; chosen so that a tuning of 50 steps about halves the
flicker and the strokes remain."""

EMD_BALANCE = 10.0
"""Factor of the relaxed earth mover's distance at an ``emd_weight`` of 1; chosen by eye, so that the painting's figures
(stars, swirls) appear where the photo is empty, and faces stay."""

SPECTRUM_BALANCE = 10.0
"""Factor of the spectrum term at a ``spectrum_weight`` of 1; chosen by eye, so that a weave goes away within some
hundred steps."""

GRAM_PARTS = 8
"""Number of partial sums of a low-precision Gram matrix; with 8, bfloat16 errs by 6e-4 of the matrix's norm."""


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

    The style terms are distances and not squares, unlike Gatys et al. (2016, eq. 4). The gradient of a square grows
    with the distance that remains, so that a painting that is hard to match (The Scream) outweighs the photo at a
    weight that suits an easy one (The Great Wave). The gradient of a distance does not, and one weight serves all.

    Args:
        values: Shape (B, ...).
        target: Shape (B, ...) or (1, ...).
        smoothing: Distance below which the result is quadratic.

    Returns:
        Shape (B,), float32: 0 for equality, about 1 for ``values`` of zero.
    """
    return _distance(relative_error(values, target), smoothing)


def _distance(square: Tensor, smoothing: float = STYLE_SMOOTHING) -> Tensor:
    return (square + smoothing**2).sqrt() - smoothing


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


def alpha_norm(pictures: Tensor) -> Tensor:
    """Measure how far pixels are from gray, by a power that hardly counts before they leave [0, 1].

    Args:
        pictures: Shape (B, C, H, W), RGB that may lie outside of [0, 1].

    Returns:
        Shape (B,), float32: the mean of the distance from 0.5, of which half the range is the unit, to the power of
        ``ALPHA`` (Mahendran and Vedaldi 2015, section 3.1): 0 for gray, 1 for black and white.
    """
    return (2 * pictures.float() - 1).abs().pow(ALPHA).flatten(1).mean(1)


def grid_energy(pictures: Tensor, cell: int) -> Tensor:
    """Measure the pattern that repeats every ``cell`` pixels: the checkerboard of a network with that stride.

    Where nothing repeats, the pixels at one place (phase) of all cells of a region have the same mean as those at any
    other place; the variance of these means is the energy of the grid. Perceptual losses hardly react to it, because
    they take fine structure for the painting's (Odena et al. 2016 describe the artifact).

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


def stability_distance(pictures: Tensor, expected: Tensor, margin: int = MARGIN) -> Tensor:
    """Measure how much the picture of a moved photo differs from the moved picture of the photo.

    The idea is that of ReReVST (Wang et al. 2020, ``models.motion``). Here it is a distance, relative to how much the
    picture varies over its area, so that one weight suits styles of much and of little contrast. The contrast counts as
    a constant: otherwise it would grow, and push the colors away from the painting's.

    Args:
        pictures: What a network makes of moved photos, shape (B, 3, H, W).
        expected: What it makes of the photos, moved, of the same shape.
        margin: Pixels at the border that do not count.

    Returns:
        Shape (B,), float32: 0 for equality, about 1 for a uniform picture.
    """
    inside = (..., slice(margin, -margin or None), slice(margin, -margin or None))
    pictures, expected = pictures[inside].float(), expected[inside].float()
    contrast = (expected - expected.mean((2, 3), keepdim=True)).detach().square().flatten(1).sum(1)
    return _distance(squared_error(pictures, expected) / contrast.clamp_min(torch.finfo(torch.float32).tiny))


_FROM_ZERO_UP = (
    "content_weight",
    "style_weight",
    "tv_weight",
    "grid_weight",
    "palette_weight",
    "stability_weight",
    "emd_weight",
    "emd_rarity",
    "content_focus",
    "spectrum_weight",
)


@dataclass(frozen=True)
class LossConfig:
    """What a loss is made of: the layers it compares, and the weight of each term.

    One object serves the trainer, the slow mode, the comparison, the distillation and the bench, so that a weight means
    the same in all of them. A new term gets its weight here and a function of its own in ``PerceptualLoss``.

    Args:
        content_layers: Layers whose activations are to stay the photo's, each with its share. Shares are relative: they
            are divided by their sum.
        style_layers: Layers whose Gram matrices are to become the painting's, each with its share, relative as well.
        content_weight: How much of the photo is kept; 0 switches the term off, and its layers are not computed.
        style_weight: Strength of the style; 0.5 is half as strong, 0 switches the term off, and its layers are not
            computed.
        tv_weight: Smoothness: total variation; 0 switches it off.
        grid_weight: How strongly a pattern is suppressed that repeats in every cell of the picture (checkerboard); 0
            switches the term off, and it is not computed. Only trainings have it: validation and comparison take 0.
        grid_cell: Side of these cells in pixels: the stride of the network that paints.
        style_norm: How the layers' differences become one number. ``joint``: one distance over all layers together,
            which the layers that are farther, mostly deep ones, dominate; ``layers``: each layer's own distance, added
            up.
        palette_weight: How closely the picture's colors, as a whole, are to be spread like the painting's; 0 switches
            the term off, and it is not computed.
        stability_weight: How strongly a picture is to move with its photo and to ignore noise, so that videos do not
            flicker; 0 switches the term off, and it is not computed. Only trainings have it, which add it to what
            ``PerceptualLoss`` returns, as it takes a further pass of the style network.
        emd_weight: How strongly each place of the picture is to look like some place of the painting, and each place of
            the painting is to be found in some picture of the batch (``models.transport``); 0 switches the term off,
            and it is not computed.
        emd_layers: Layers on which places are compared, each with its share, relative as well.
        emd_rarity: How much more those places of the painting are asked for that are unlike most of it: stars, a moon,
            a color that is used once (``models.transport.share_places``); 0: all places alike. Losses with different
            values do not compare.
        content_focus: How much more the photo is kept where it shows a thing (a face, an animal, a tower) than where it
            is empty: the power of the energy of its features (``models.focus``); 0: everywhere alike. Losses with
            different values do not compare.
        focus_layer: Layer whose features tell.
        spectrum_weight: How strongly fine structure is suppressed that runs in one direction or repeats more than the
            painting's (``models.spectrum``): weave, hatching, lattices; 0 switches the term off, and it is not
            computed. Only trainings have it; validation and comparison take 0.

    Raises:
        ValueError: If a weight, a share or a power is negative, the layers of a term that counts are empty, a cell has
            less than two pixels, or the norm has another name; the message begins with the field's name.
    """

    content_layers: dict[str, float] = field(default_factory=lambda: dict(CONTENT_LAYERS))
    style_layers: dict[str, float] = field(default_factory=lambda: dict(STYLE_LAYERS))
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float = 1.0
    grid_weight: float = 1.0
    grid_cell: int = CELL
    style_norm: StyleNorm = "joint"
    palette_weight: float = 1.0
    stability_weight: float = 0.0
    emd_weight: float = 0.0
    emd_layers: dict[str, float] = field(default_factory=lambda: dict(EMD_LAYERS))
    emd_rarity: float = 0.0
    content_focus: float = 0.0
    focus_layer: str = FOCUS_LAYER
    spectrum_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in _FROM_ZERO_UP:
            weight = getattr(self, name)
            if not 0 <= weight < math.inf:
                raise ValueError(f"{name} is {weight}; it must be a number from 0 up")
        for name, weight in (
            ("content_layers", self.content_weight),
            ("style_layers", self.style_weight),
            ("emd_layers", self.emd_weight),
        ):
            shares = getattr(self, name).values()
            if any(not 0 <= share < math.inf for share in shares):
                raise ValueError(f"{name} holds the share {min(shares)}; every share must be a number from 0 up")
            if weight > 0 and not sum(shares) > 0:
                raise ValueError(f"{name} names no layer with a share above 0; name one, or set its weight to 0")
        if self.grid_cell < 2:
            raise ValueError(f"grid_cell is {self.grid_cell}; it must be at least 2 pixels")
        if self.style_norm not in STYLE_BALANCE:
            raise ValueError(f"style_norm is {self.style_norm!r}; choose one of {', '.join(STYLE_BALANCE)}")

    def without_training_terms(self) -> LossConfig:
        """Return what pictures are judged by: the same loss without the terms that only trainings have."""
        return replace(self, grid_weight=0, stability_weight=0, spectrum_weight=0)

    @property
    def content_shares(self) -> dict[str, float]:
        """Shares of the content layers, which add up to 1; empty where the term is off."""
        return _normalize(self.content_layers) if self.content_weight > 0 else {}

    @property
    def style_shares(self) -> dict[str, float]:
        """Shares of the style layers, likewise."""
        return _normalize(self.style_layers) if self.style_weight > 0 else {}

    @property
    def emd_shares(self) -> dict[str, float]:
        """Shares of the layers of the relaxed earth mover's distance, likewise."""
        return _normalize(self.emd_layers) if self.emd_weight > 0 else {}

    @property
    def photo_layers(self) -> list[str]:
        """Layers that are computed of photos."""
        focus = [self.focus_layer] if self.content_shares and self.content_focus else []
        return list(dict.fromkeys([*self.content_shares, *focus]))

    @property
    def picture_layers(self) -> list[str]:
        """Layers that are computed of pictures: those of the terms that count."""
        return list(dict.fromkeys([*self.content_shares, *self.style_shares, *self.emd_shares]))

    @property
    def layers(self) -> list[str]:
        """Layers that the frozen network must reach: those of photos and of pictures."""
        return list(dict.fromkeys([*self.picture_layers, *self.photo_layers]))


class Content(NamedTuple):
    """What is to be kept of photos.

    Attributes:
        activations: By layer, each of shape (B, C, H, W); scaled by the focus where there is one.
        focus: How much each place counts (``models.focus``), shape (B, 1, H, W); None: all alike.
    """

    activations: Mapping[str, Tensor]
    focus: Tensor | None = None

    def select(self, part: slice) -> Content:
        """Return what is to be kept of some of the photos."""
        activations = {layer: values[part] for layer, values in self.activations.items()}
        return Content(activations, None if self.focus is None else self.focus[part])


class LossTerms(NamedTuple):
    """The loss and its terms, each a float32 scalar averaged over the batch; the terms are not yet weighted."""

    total: Tensor
    content: Tensor
    style: Tensor
    total_variation: Tensor
    grid: Tensor = torch.zeros(())
    palette: Tensor = torch.zeros(())
    stability: Tensor = torch.zeros(())
    emd: Tensor = torch.zeros(())
    spectrum: Tensor = torch.zeros(())

    def add_stability(self, distances: Tensor, weight: float) -> LossTerms:
        """Add the stability term of a training.

        Args:
            distances: What ``stability_distance`` returned.
            weight: ``LossConfig.stability_weight``.

        Returns:
            All terms.
        """
        stability = distances.mean()
        return self._replace(total=self.total + STABILITY_BALANCE * weight * stability, stability=stability.detach())


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
        features: The frozen network, VGG or another; it must reach ``config.layers``.
        config: Layers and weights; the defaults if None.

    Attributes:
        content_layers: Shares of the content layers, which add up to 1; empty where the term is off.
        style_layers: Shares of the style layers, likewise.
        emd_layers: Shares of the layers of the relaxed earth mover's distance, likewise.
        layers: All of these, which are computed of pictures.
    """

    def __init__(self, features: Features, config: LossConfig | None = None) -> None:
        super().__init__()
        self.features = features
        self.config = config = config or LossConfig()
        self.content_layers = config.content_shares
        self.style_layers = config.style_shares
        self.emd_layers = config.emd_shares
        self.layers = config.picture_layers

    @torch.no_grad()
    def set_style(self, paintings: Sequence[Tensor], shares: Sequence[float] | None = None) -> None:
        """Set the style's targets: the paintings' mean Gram matrices and spectrum, and the palette and places of all.

        Args:
            paintings: RGB in [0, 1], each of shape (1, 3, H, W); sizes may differ.
            shares: Weight of each of them, relative to their sum; equal if None.
        """
        weights = torch.tensor(shares or [1.0] * len(paintings))
        weights = weights / weights.sum()
        if self.config.palette_weight and len(paintings):
            for name, value in zip(_PALETTE_BUFFERS, find_palette(paintings, shares), strict=True):
                self.register_buffer(name, value, persistent=False)
        if self.config.spectrum_weight and len(paintings):
            self.register_buffer("spectrum_limit", find_limit(paintings, shares), persistent=False)
        layers = list(dict.fromkeys([*self.style_layers, *self.emd_layers]))
        if not layers:
            return
        grams: dict[str, list[Tensor]] = {layer: [] for layer in self.style_layers}
        places: dict[str, list[Tensor]] = {layer: [] for layer in self.emd_layers}
        place_shares: dict[str, list[Tensor]] = {layer: [] for layer in self.emd_layers}
        for painting, share in zip(paintings, weights, strict=True):
            activations = self.features(painting, layers)
            for layer, found in grams.items():
                found.append(gram_matrix(activations[layer]))
            for layer, found in places.items():
                found.append(sample_places(activations[layer], max(1, round(PLACES * float(share)))))
                place_shares[layer].append(share_places(found[-1], self.config.emd_rarity) * share.item())
        for layer, found in places.items():
            self.register_buffer(f"{layer}_places", torch.cat(found), persistent=False)
            self.register_buffer(f"{layer}_place_shares", torch.cat(place_shares[layer]), persistent=False)
        for layer, found in grams.items():
            stacked = torch.stack(found)
            mean = (stacked * weights.to(stacked.device).view(-1, 1, 1, 1)).sum(0)
            self.register_buffer(f"{layer}_gram", mean, persistent=False)

    @torch.no_grad()
    def describe_content(self, photos: Tensor) -> Content:
        """Compute what is to be kept of photos, RGB in [0, 1], shape (B, 3, H, W)."""
        layers = self.config.photo_layers
        if not layers:
            return Content({})
        activations = self.features(photos, layers)
        kept = {layer: activations[layer] for layer in self.content_layers}
        if not self.config.content_focus:
            return Content(kept)
        focus = find_focus(activations[self.config.focus_layer], self.config.content_focus)
        return Content({layer: apply_focus(values, focus) for layer, values in kept.items()}, focus)

    def forward(self, pictures: Tensor, content: Content, strength: float = 1.0) -> LossTerms:
        """Compute the loss of stylized pictures.

        Args:
            pictures: Stylized, RGB in [0, 1], shape (B, 3, H, W).
            content: What ``describe_content`` returned for their photos.
            strength: Of the style in these pictures: what its terms are multiplied by (Kitov 2019).

        Returns:
            The terms; ``total`` is differentiable with respect to ``pictures``.
        """
        activations = self.features(pictures, self.layers) if self.layers else {}
        content_loss = self._content_term(pictures, activations, content)
        style_loss = self._style_term(pictures, activations)
        variation = self._variation_term(pictures)
        grid = self._grid_term(pictures)
        palette = self._palette_term(pictures)
        emd = self._emd_term(pictures, activations)
        spectrum = self._spectrum_term(pictures)
        total = (
            self.config.content_weight * content_loss
            + STYLE_BALANCE[self.config.style_norm] * self.config.style_weight * strength * style_loss
            + TV_BALANCE * self.config.tv_weight * variation
            + GRID_BALANCE * self.config.grid_weight * grid
            + PALETTE_BALANCE * self.config.palette_weight * strength * palette
            + EMD_BALANCE * self.config.emd_weight * strength * emd
            + SPECTRUM_BALANCE * self.config.spectrum_weight * strength * spectrum
        )
        terms = (content_loss, style_loss, variation, grid, palette, pictures.new_zeros(()), emd, spectrum)
        return LossTerms(total, *(term.detach() for term in terms))

    def _content_term(self, pictures: Tensor, activations: Mapping[str, Tensor], content: Content) -> Tensor:
        def compare(layer: str) -> Tensor:
            values = activations[layer]
            values = values if content.focus is None else apply_focus(values, content.focus)
            return relative_error(values, content.activations[layer])

        return sum_terms((share * compare(layer) for layer, share in self.content_layers.items()), pictures)

    def _style_term(self, pictures: Tensor, activations: Mapping[str, Tensor]) -> Tensor:
        """Compute one distance over all layers, or the sum of each layer's own.

        The gradient of a distance does not grow with what remains, so that one weight serves easy and hard paintings
        (``relative_distance``). The balance between layers is another matter. With a distance of its own, the pull of
        each layer stays as strong when it is nearly matched, and most of it is spent on the first layer, that of single
        colors. In a joint distance the layers share one pull in proportion to what each still lacks, as in a sum of
        squares.
        """
        errors = {
            layer: relative_error(gram_matrix(activations[layer]), getattr(self, f"{layer}_gram"))
            for layer in self.style_layers
        }
        if self.config.style_norm == "layers":
            return sum_terms((share * _distance(errors[layer]) for layer, share in self.style_layers.items()), pictures)
        squares = [share * errors[layer] for layer, share in self.style_layers.items()]
        return sum_terms([_distance(torch.stack(squares).sum(0))] if squares else [], pictures)

    def _variation_term(self, pictures: Tensor) -> Tensor:
        return (total_variation(pictures) / pictures[0].numel()).mean()

    def _grid_term(self, pictures: Tensor) -> Tensor:
        # Not computed where it does not count: pictures that are smaller than a window have none.
        if not self.config.grid_weight:
            return pictures.new_zeros(())
        return grid_energy(pictures, self.config.grid_cell).mean()

    def _palette_term(self, pictures: Tensor) -> Tensor:
        if not self.config.palette_weight:
            return pictures.new_zeros(())
        palette = Palette(*(getattr(self, name) for name in _PALETTE_BUFFERS))
        return palette_distance(pictures, palette).mean()

    def _emd_term(self, pictures: Tensor, activations: Mapping[str, Tensor]) -> Tensor:
        distances = [
            share
            * relaxed_emd(
                activations[layer], self.get_buffer(f"{layer}_places"), self.get_buffer(f"{layer}_place_shares")
            )
            for layer, share in self.emd_layers.items()
        ]
        return torch.stack(distances).sum() if distances else pictures.new_zeros(())

    def _spectrum_term(self, pictures: Tensor) -> Tensor:
        if not self.config.spectrum_weight:
            return pictures.new_zeros(())
        return spectrum_excess(pictures, self.get_buffer("spectrum_limit")).mean()


_PALETTE_BUFFERS = tuple(f"palette_{name}" for name in Palette._fields)


def sum_terms(terms: Iterable[Tensor], pictures: Tensor) -> Tensor:
    """Add up per-picture terms, each of shape (B,), and average over the batch: a float32 scalar, 0 for no term."""
    found = list(terms)
    return torch.stack(found).sum(0).mean() if found else torch.zeros((), device=pictures.device)


def _normalize(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    return {layer: share / total for layer, share in shares.items()}
