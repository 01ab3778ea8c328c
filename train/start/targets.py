"""The project's loss for a batch in which each picture has a painting of its own.

A painting's targets are computed once, on the whole painting, and kept: computing them takes longer than a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.losses import LossConfig, LossTerms, PerceptualLoss
from models.turned_loss import ORIENTATION_STEP, turn
from models.vgg import VGGFeatures

HALVED_FROM = 1024
"""Number of elements from which a target is kept in half precision: Gram matrices are, and the spectrum's limit (a
logarithm, which stays exact to a hundredth), a palette is not."""


class _Half(NamedTuple):
    """A tensor divided by its largest value, in float16, and that value."""

    values: Tensor
    scale: Tensor


Targets = dict[str, Tensor | _Half]
"""By the name of a buffer of ``PerceptualLoss``."""


class _Shown:
    """Activations that were computed before, of some pictures of a batch: a network as ``PerceptualLoss`` sees it."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.activations: dict[str, Tensor] = {}

    def __call__(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return {layer: self.activations[layer] for layer in layers}


class PaintingsLoss(nn.Module):
    """``PerceptualLoss`` of pictures that each have one of many paintings as their style.

    The frozen network computes the whole batch at once; what follows is computed by painting, by ``PerceptualLoss``
    itself, so that its terms are those of every other training.

    Args:
        features: The frozen network.
        config: Layers and weights.
        orientations: 1, or the number of orientations that pictures are seen in, another one at each step, as in
            ``TurnedLoss``.
    """

    def __init__(self, features: VGGFeatures, config: LossConfig, orientations: int = 1) -> None:
        super().__init__()
        self.features = features
        self.orientations = orientations
        self._measured = PerceptualLoss(features, config)
        self._shown = _Shown(features.network)
        self._loss = PerceptualLoss(self._shown, config)
        self._targets: list[list[Targets]] = []

    @property
    def megabytes(self) -> float:
        """Memory that the targets of all paintings take, in MB."""
        kept = [value for turned in self._targets for targets in turned for value in targets.values()]
        tensors = [value.values if isinstance(value, _Half) else value for value in kept]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6

    @torch.no_grad()
    def add(self, painting: Tensor) -> None:
        """Compute and keep the targets of a painting, RGB in [0, 1], shape (1, 3, H, W), on the network's device."""
        turned = []
        for orientation in range(self.orientations):
            self._measured.set_style([turn(painting, orientation)])
            # What it found are its own buffers; those of the frozen network are a module further down.
            found = dict(self._measured.named_buffers(recurse=False))
            turned.append({name: _halve(value) for name, value in found.items()})
        self._targets.append(turned)

    def forward(self, pictures: Tensor, photos: Tensor, paintings: Sequence[int], step: int = 0) -> LossTerms:
        """Compute the loss.

        Args:
            pictures: Stylized, RGB in [0, 1], shape (B, 3, H, W); the first B / P are in the style of the first
                painting, and so on.
            photos: The photos that they show, of the same shape.
            paintings: Numbers of the P paintings, in the order in which they were added; B is a multiple of P.
            step: Number of the training step, which chooses the orientation; step 0 leaves pictures as they are.

        Returns:
            The terms, averaged over the batch; ``total`` is differentiable with respect to ``pictures``.

        Raises:
            ValueError: If B is not a multiple of P.
        """
        each, left = divmod(len(pictures), len(paintings))
        if left:
            raise ValueError(f"{len(pictures)} pictures cannot be shared out over {len(paintings)} paintings evenly")
        orientation = step * ORIENTATION_STEP % self.orientations
        pictures = turn(pictures, orientation)
        content = self._measured.describe_content(turn(photos, orientation))
        layers = self._loss.layers
        activations = self.features(pictures, layers) if layers else {}
        found = []
        for index, painting in enumerate(paintings):
            part = slice(index * each, (index + 1) * each)
            for name, value in self._targets[painting][orientation].items():
                self._loss.register_buffer(name, _restore(value), persistent=False)
            self._shown.activations = {layer: values[part] for layer, values in activations.items()}
            found.append(self._loss(pictures[part], content.select(part)))
        # Not kept until the next step: they hold the memory of the whole backward pass.
        self._shown.activations = {}
        return LossTerms(*(torch.stack(terms).mean(0) for terms in zip(*found, strict=True)))


def _halve(value: Tensor) -> Tensor | _Half:
    if value.numel() < HALVED_FROM:
        return value.clone()
    scale = value.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return _Half((value / scale).half(), scale)


def _restore(value: Tensor | _Half) -> Tensor:
    return value.values.float() * value.scale if isinstance(value, _Half) else value
