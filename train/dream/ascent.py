"""Gradient ascent on pixels, in octaves from coarse to fine (Mordvintsev, Olah and Tyka 2015)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from models.vgg import VGGFeatures
from train.dream.config import LEAST_SIDE, DreamConfig
from train.errors import TrainError
from train.slow.optimizer import make_noise, resize

OCTAVE_GROWTH = 1.4
"""Factor from one octave to the next, as in the authors' notebook."""

GRAY = 0.5
"""What pixels are drawn back to: halfway between black and white."""


class Ascent:
    """Steps that raise activations, on pictures of any size.

    Args:
        features: The network.
        config: Layers, priors and steps.
    """

    def __init__(self, features: VGGFeatures, config: DreamConfig) -> None:
        self.features = features
        self.config = config
        self._generator = torch.Generator().manual_seed(config.seed)

    def climb(self, picture: Tensor, steps: int) -> Iterator[tuple[Tensor, float]]:
        """Take steps from a picture.

        Args:
            picture: RGB in [0, 1], shape (1, 3, H, W).
            steps: How many.

        Yields:
            The picture after each step, and the weighted mean square of the activations before it; of a channel that
            nothing excites yet, the mean before its ReLU.

        Raises:
            TrainError: If the activations are no longer finite, or no pixel has a part in the channel that is raised.
        """
        config = self.config
        for _ in range(steps):
            shifts = [
                int(torch.randint(-config.jitter, config.jitter + 1, (), generator=self._generator)) for _ in range(2)
            ]
            leaf = picture.roll(shifts, (2, 3)).detach().requires_grad_()
            total = self._measure(leaf)
            activation = float(total.detach())
            if not math.isfinite(activation):
                raise TrainError(f"the activation became {activation}; lower the weights of --layers")
            (gradient,) = torch.autograd.grad(total, leaf)
            if config.channel is not None and not gradient.any():
                raise TrainError(
                    f"no pixel can change channel {config.channel} of --layers {config.layers}; choose another "
                    "--channel"
                )
            gradient = smooth_gradient(gradient, config.priors["smoothness"])
            gradient = gradient / gradient.abs().mean().clamp_min(torch.finfo(torch.float32).tiny)
            before = leaf.detach()
            moved = before + config.step * gradient + config.priors["decay"] * (GRAY - before)
            picture = moved.clamp(0, 1).roll([-shift for shift in shifts], (2, 3))
            yield picture, activation

    def _measure(self, picture: Tensor) -> Tensor:
        layers, channel = self.config.layers, self.config.channel
        if channel is None:
            found = self.features(picture, layers)
            return torch.stack([weight * found[layer].square().mean() for layer, weight in layers.items()]).sum()
        ((layer, weight),) = layers.items()
        before = layer.replace("relu", "conv")
        found = self.features(picture, {layer, before})
        activations = found[layer][:, channel]
        # A ReLU that is 0 everywhere has no gradient: what reaches it is raised until it is not.
        raised: Tensor = activations.square() if activations.any() else found[before][:, channel]
        return weight * raised.mean()


def dream(photo: Tensor | None, size: tuple[int, int], ascent: Ascent) -> Iterator[tuple[Tensor, float]]:
    """Raise activations, octave by octave.

    Args:
        photo: RGB in [0, 1], shape (1, 3, H, W); None to begin with noise, at the coarsest size.
        size: H and W.
        ascent: The steps, and how many there are in an octave.

    Yields:
        The picture after each step, shape (1, 3, h, w) in [0, 1], and the weighted mean square of the activations
        before it.

    Raises:
        TrainError: If the activations are no longer finite, or no pixel has a part in the channel that is raised.
    """
    config = ascent.config
    shrinks = [OCTAVE_GROWTH**-octave for octave in reversed(range(config.octaves))]
    sizes = [(max(LEAST_SIDE, round(size[0] * shrink)), max(LEAST_SIDE, round(size[1] * shrink))) for shrink in shrinks]
    device = ascent.features.mean.device
    ground = torch.full((1, 3, 1, 1), GRAY, device=device) if photo is None else photo
    detail = torch.zeros_like(ground[:, :, :1, :1])
    if photo is None:
        detail = make_noise((1, 3, *sizes[0]), config.seed).to(device) - GRAY
    for octave in sizes:
        base = ground.expand(1, 3, *octave) if photo is None else resize(ground, octave)
        # The changes so far are enlarged, not the picture, which would become blurred from octave to octave.
        picture = base + F.interpolate(detail, size=octave, mode="bilinear")
        for picture, activation in ascent.climb(picture, config.iterations):  # noqa: B020
            yield picture, activation
        detail = picture - base


def zoom_in(picture: Tensor, ascent: Ascent) -> Iterator[Tensor]:
    """Follow a zoom: enlarge the picture about its middle and dream on, again and again.

    Args:
        picture: RGB in [0, 1], shape (1, 3, H, W).
        ascent: The steps, how many there are for a frame, and how many frames.

    Yields:
        Each frame, of the same shape.

    Raises:
        TrainError: If the activations are no longer finite, or no pixel has a part in the channel that is raised.
    """
    config = ascent.config
    shrink = 1 / config.zoom
    window = torch.tensor([[[shrink, 0.0, 0.0], [0.0, shrink, 0.0]]], device=picture.device)
    grid = F.affine_grid(window, list(picture.shape), align_corners=False)
    for _ in range(config.frames):
        nearer = F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)
        *_, (picture, _) = ascent.climb(nearer, config.frame_iterations)
        yield picture


def smooth_gradient(gradient: Tensor, exponent: float) -> Tensor:
    """Divide a gradient's spectrum by the frequency to the power of an exponent.

    The amplitudes of photos fall with the frequency, about as its inverse (Field 1987). Ascent along the gradient
    itself favors fine patterns, which networks answer to and photos do not have; along the smoothed one a step has the
    spectrum of a photo (Olah, Mordvintsev and Schubert 2017, "preconditioning").

    Args:
        gradient: Shape (1, 3, H, W).
        exponent: 0 leaves the gradient as it is; 1 is the spectrum of photos.

    Returns:
        The same shape; the mean is treated as the lowest frequency.
    """
    if not exponent:
        return gradient
    height, width = gradient.shape[2:]
    down = torch.fft.fftfreq(height, device=gradient.device)[:, None]
    across = torch.fft.rfftfreq(width, device=gradient.device)
    frequency = (down.square() + across.square()).sqrt().clamp_min(1 / max(height, width))
    return torch.fft.irfft2(torch.fft.rfft2(gradient) / frequency**exponent, s=(height, width))  # type: ignore[no-any-return]
