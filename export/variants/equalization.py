"""Prepare a network for quantization: every channel gets the same range, and the picture stays the same.

One step size serves all channels of an activation, so a channel with a small range is rounded to few levels. Between an
instance norm and the convolutions that read it, each channel's scale is free: the norm's affine map is divided by a
factor and the kernels are multiplied by it, because ReLU and padding commute with it (Nagel et al. 2019, section 4.1).
The sums of the residual blocks share one scale per channel. Before an instance norm the scale is free, too: it is
removed.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.layers import Conv
from models.network import StyleNetwork

_SHARE = 0.9999
"""Share of a channel's values within its range; the rest are outliers."""

_SAMPLES = 3_000
"""Values kept per channel and photo, at most: enough for that share."""


@dataclass(frozen=True)
class Activations:
    """What one convolution saw on the photos: samples of its input and output, shape (channels, samples)."""

    before: npt.NDArray[np.float32]
    after: npt.NDArray[np.float32]


def observe(
    network: StyleNetwork, photos: Sequence[Tensor], strengths: Sequence[float] = (1.0,)
) -> dict[str, Activations]:
    """Record inputs and outputs of each convolution.

    Args:
        network: The network.
        photos: RGB in [0, 1], each of shape (1, 3, H, W).
        strengths: Those at which each photo is painted.

    Returns:
        Samples per convolution, under the module's name; inputs are those before padding.
    """
    seen: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, Conv):
            seen[name] = ([], [])

            def keep(_: nn.Module, inputs: tuple[Tensor], output: Tensor, name: str = name) -> None:
                for values, kept in zip((inputs[0], output), seen[name], strict=True):
                    flat = values[0].flatten(1)
                    kept.append(flat[:, :: -(-flat.shape[1] // _SAMPLES)].clone())

            handles.append(module.register_forward_hook(keep))
    try:
        with torch.inference_mode():
            for photo, strength in itertools.product(photos, strengths):
                network(photo, strength=strength)
    finally:
        for handle in handles:
            handle.remove()
    return {name: Activations(*(torch.cat(values, 1).numpy() for values in pair)) for name, pair in seen.items()}


def equalize(network: StyleNetwork, seen: dict[str, Activations]) -> StyleNetwork:
    """Return a network of the same function in which the channels of each activation have one range.

    The norms' epsilon is compensated at the variances of the photos; at others the function differs slightly.

    Args:
        network: The network; it is not changed.
        seen: What ``observe`` recorded of it.
    """
    network = copy.deepcopy(network)
    modules = dict(network.named_modules())
    with torch.no_grad():
        for norms, readers in _shared_scales(network):
            ranges = np.quantile(np.abs(np.concatenate([seen[name].before for name in readers], 1)), _SHARE, axis=1)
            factors = _relative(ranges)
            for name in norms:
                for values in modules[name].parameters():
                    values.div_(factors)
            for name in readers:
                modules[name].weight.mul_(factors[:, None, None])
        for name, follower in _normed(network):
            conv, norm = modules[name], modules[follower]
            variances = torch.from_numpy(seen[name].after.var(1))
            factors = _relative(variances.sqrt().numpy())
            factors /= factors.max()
            conv.weight.div_(factors[:, None, None, None])
            conv.bias.div_(factors)
            # The norm's epsilon has another weight than before; at the photos' variances this compensates for it.
            correction = ((variances + norm.eps * factors**2) / (variances + norm.eps)).sqrt()
            norm.weight.mul_(correction)
            if norm.changes is not None:
                norm.changes[:, 0].mul_(correction)
    return network


def _shared_scales(network: StyleNetwork) -> Iterator[tuple[list[str], list[str]]]:
    """Name the norms that write, and the convolutions that read, each value whose channels have scales of their own."""
    blocks = range(len(network.residual))
    yield ["norm1"], ["conv2"]
    yield ["norm2"], ["conv3"]
    yield ["norm3", *(f"residual.{at}.norm2" for at in blocks)], [*(f"residual.{at}.conv1" for at in blocks), "up1"]
    for at in blocks:
        yield [f"residual.{at}.norm1"], [f"residual.{at}.conv2"]
    yield ["norm4"], ["up2"]
    yield ["norm5"], ["conv4"]


def _normed(network: StyleNetwork) -> Iterator[tuple[str, str]]:
    """Name each convolution with the norm that follows it; a learned shuffle's four phases share one norm and stay."""
    yield from ((f"conv{at}", f"norm{at}") for at in (1, 2, 3))
    for block in range(len(network.residual)):
        yield from ((f"residual.{block}.conv{at}", f"residual.{block}.norm{at}") for at in (1, 2))
    if not network.up1.shuffle:
        yield from (("up1", "norm4"), ("up2", "norm5"))


def _relative(ranges: npt.NDArray[np.floating]) -> Tensor:
    """Return ranges divided by their geometric mean; a dead channel's counts as a hundredth of the largest."""
    ranges = np.maximum(ranges.astype(np.float64), max(ranges.max() / 100, np.finfo(np.float32).tiny))
    return torch.from_numpy((ranges / np.exp(np.log(ranges).mean())).astype(np.float32))
