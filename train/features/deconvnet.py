"""The deconvnet (Zeiler and Fergus 2014): activations sent back through a network, to the pixels that caused them.

A deconvnet runs a convolutional network backwards. Max pooling is undone with the positions of the maxima, recorded on
the way forward (switches); ReLUs rectify what comes back, whatever their sign on the way forward; convolutions are
applied with their filters transposed. The first and the last of these are what the gradient does, too, so that a
deconvnet is a backward pass with another rule for ReLUs (Springenberg et al. 2014, section 3.4).

The means and variances of an instance norm are recorded on the way forward, as switches are, and are constants on the
way back: a norm is then a filter of size 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Network = Callable[[Tensor], object]
"""From pictures, RGB in [0, 1], shape (B, 3, H, W), through all layers that are looked at; what it returns is not
used."""


class _Rectified(torch.autograd.Function):
    """ReLU forward, and ReLU of what comes back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> Tensor:
        return signal.clamp_min(0)


class _Deconvnet(TorchFunctionMode):
    """While it is entered, ReLUs have the deconvnet's backward pass, and those that are wanted are kept.

    Args:
        wanted: Numbers of the ReLUs whose activations are kept, in the order in which they are computed, from 0.

    Attributes:
        found: Activations by number.
    """

    _RECTIFIERS = (F.relu, torch.relu, Tensor.relu)

    def __init__(self, wanted: Collection[int]) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: dict[int, Tensor] = {}
        self._count = 0

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if func in self._RECTIFIERS:
            rectified = _Rectified.apply(args[0])
            if self._count in self.wanted:
                self.found[self._count] = rectified
            self._count += 1
            return rectified
        result = func(*args, **(kwargs or {}))
        return tuple(value.detach() for value in result) if func is torch.var_mean else result


def rectified_activations(network: Network, pictures: Tensor, wanted: Collection[int]) -> dict[int, Tensor]:
    """Compute the activations of a network's ReLUs.

    Args:
        network: Any network of convolutions, max poolings, ReLUs and instance norms.
        pictures: RGB in [0, 1], shape (B, 3, H, W).
        wanted: Numbers of the ReLUs, in the order in which the network computes them, from 0.

    Returns:
        Activations of at least 0, shape (B, C, H', W'), by number. What is differentiated through them is projected, as
        ``project`` does.
    """
    deconvnet = _Deconvnet(wanted)
    with deconvnet:
        network(pictures)
    return deconvnet.found


def project(activations: Tensor, pictures: Tensor, unit: tuple[int, int, int]) -> Tensor:
    """Project the activation of one unit to the pixels; all other activations of its layer are taken as 0.

    Args:
        activations: A layer of ``rectified_activations``, of one picture, shape (1, C, H', W').
        pictures: The picture that they were computed from, which requires a gradient, shape (1, 3, H, W).
        unit: Channel, row and column.

    Returns:
        Shape (3, H, W), any real range: 0 where pixels had no part in it.
    """
    signal = torch.zeros_like(activations)
    signal[(0, *unit)] = activations[(0, *unit)].detach()
    (projection,) = torch.autograd.grad(activations, pictures, signal, retain_graph=True)
    return projection[0]
