"""The power spectrum of fine structure: a picture's weave and hatching stand out in it as peaks.

Gram matrices tell how much fine structure there is, and hardly whether it runs in all directions, as a brush leaves it,
or in one or two that repeat over the whole picture: a network spends it on the few patterns that it has at hand. The
spectrum tells them apart, and holds them to what the painting has there (a spectrum constraint as in Liu et al. 2016).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW = 64
"""Side in pixels of the windows that a spectrum is averaged over; they overlap by half."""

LONGEST_PERIOD = 8
"""Pixels: what repeats at longer distances are strokes and figures, which may have a direction."""

SLACK = 1.5
"""How many times the painting's power a picture may have at each frequency: the spectrum of a crop varies about as much
from that of its whole painting."""

FLOOR = 1 / (12 * 255**2)
"""Power below which nothing counts: that of rounding to 8 bits, for RGB in [0, 1]."""


def power_spectrum(pictures: Tensor) -> Tensor:
    """Average the power spectra of overlapping windows (Welch 1967).

    Args:
        pictures: RGB, shape (B, C, H, W). Sides shorter than ``WINDOW`` make for smaller windows, and for spectra that
            are smoother.

    Returns:
        Shape (B, C, ``WINDOW``, ``WINDOW`` // 2 + 1), float32: power by frequency down and across, in the order of
        ``torch.fft.rfft2``; for white noise its variance, at every frequency and for every size.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        down, across = (min(WINDOW, side) for side in pictures.shape[2:])
        windows = pictures.float().unfold(2, down, max(1, down // 2)).unfold(3, across, max(1, across // 2))
        windows = windows.flatten(2, 3)
        taper = _taper(down, pictures.device)[:, None] * _taper(across, pictures.device)
        centered = (windows - windows.mean((3, 4), keepdim=True)) * taper
        waves = torch.view_as_real(torch.fft.rfft2(centered, s=(WINDOW, WINDOW)))
        return waves.square().sum(-1).mean(2) / taper.square().sum()


def find_limit(paintings: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
    """Compute what power pictures of a style may have at each frequency.

    That is what the painting has there, or what it has at that period in the mean over all directions: a picture may
    run in directions of its own, as its photo wants, as long as no single one stands out.

    Args:
        paintings: RGB in [0, 1], each of shape (1, 3, H, W).
        shares: Weight of each of them, relative to their sum; equal if None.

    Returns:
        The logarithm of the power, as ``spectrum_excess`` takes it: shape (3, ``WINDOW``, ``WINDOW`` // 2 + 1).
    """
    weights = torch.tensor(shares or [1.0] * len(paintings), device=paintings[0].device)
    powers = torch.stack([power_spectrum(painting)[0] for painting in paintings])
    power = (powers * (weights / weights.sum()).view(-1, 1, 1, 1)).sum(0)
    # Half of the plane: its other half is the same, and would hardly change the mean over a ring.
    ring = _frequencies().round().long().flatten().to(power.device)
    sums = power.new_zeros(len(power), int(ring.max()) + 1).index_add(1, ring, power.flatten(1))
    means = sums / torch.bincount(ring, minlength=sums.shape[1]).clamp_min(1)
    return (SLACK * torch.maximum(power, means[:, ring].view_as(power)) + FLOOR).log()


def spectrum_excess(pictures: Tensor, limit: Tensor) -> Tensor:
    """Measure by how much pictures have more power than allowed at the frequencies of fine structure.

    Args:
        pictures: RGB in [0, 1], shape (B, 3, H, W).
        limit: What ``find_limit`` returned.

    Returns:
        Shape (B,), float32: mean over these frequencies of the logarithm of how many times the limit is reached; 0
        where it is not.
    """
    excess = ((power_spectrum(pictures) + FLOOR).log() - limit).clamp_min(0)
    fine = _frequencies().to(pictures.device) >= WINDOW / LONGEST_PERIOD
    return excess[:, :, fine].mean((1, 2))


@functools.cache
def _frequencies() -> Tensor:
    """Return how often a pattern repeats in a window, in any direction: shape (``WINDOW``, ``WINDOW`` // 2 + 1)."""
    down = WINDOW * torch.fft.fftfreq(WINDOW)
    across = WINDOW * torch.fft.rfftfreq(WINDOW)
    return torch.hypot(down[:, None], across)


def _taper(side: int, device: torch.device) -> Tensor:
    """Return a Hann window that is above 0 everywhere, so that one of a single pixel is, too."""
    return torch.hann_window(side + 2, periodic=False, device=device)[1:-1]
