"""The photos that excite a layer's channels most, kept while photos stream by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from train.features.field import Window, find_inside

KEPT = 9
"""Photos that are kept for each channel, as in Zeiler and Fergus (2014, figure 2)."""


class Strongest:
    """For every channel of a layer the photos with the largest activation, and where in them it is.

    Each photo counts once, with its largest activation among units that see no padding: many channels answer to the
    border of every photo, which tells nothing of what they see in it. Where all units of a layer see padding, along
    rows or along columns, all count. Memory does not grow with the number of photos.

    Args:
        windows: Those of all layers as far as this one, from the picture on.

    Attributes:
        seen: Photos so far.
        excited: For each channel the photos in which it is anywhere above 0, at the border, too, shape (C,).
        values: The largest activations, falling, shape (C, K), K at most ``KEPT``.
        photos: Their photos' numbers, shape (C, K).
        places: Their rows and columns in the layer, shape (C, K, 2).
    """

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = windows
        self.seen = 0
        self.excited = torch.zeros(0, dtype=torch.long)
        self.values = torch.zeros(0, 0)
        self.photos = torch.zeros(0, 0, dtype=torch.long)
        self.places = torch.zeros(0, 0, 2, dtype=torch.long)

    def add(self, number: int, activations: Tensor, size: tuple[int, int]) -> None:
        """Look at a photo.

        Args:
            number: The photo's number.
            activations: Of the layer, shape (1, C, H', W').
            size: Height and width of the photo.
        """
        (top, bottom), (left, right) = (
            find_inside(self.windows, units, side) for units, side in zip(activations.shape[2:], size, strict=True)
        )
        inside = activations[0, :, top:bottom, left:right]
        largest, index = (found.cpu() for found in inside.flatten(1).max(1))
        width = right - left
        places = torch.stack([index // width + top, index % width + left], 1)
        if not self.seen:
            channels = len(largest)
            self.excited = torch.zeros(channels, dtype=torch.long)
            self.values = torch.zeros(channels, 0)
            self.photos = torch.zeros(channels, 0, dtype=torch.long)
            self.places = torch.zeros(channels, 0, 2, dtype=torch.long)
        values = torch.cat([self.values, largest[:, None]], 1)
        photos = torch.cat([self.photos, torch.full_like(index, number)[:, None]], 1)
        places = torch.cat([self.places, places[:, None]], 1)
        # Stable, so that of equal activations the earlier photo comes first.
        self.values, order = values.sort(dim=1, descending=True, stable=True)
        self.values, order = self.values[:, :KEPT], order[:, :KEPT]
        self.photos = photos.gather(1, order)
        self.places = places.gather(1, order[..., None].expand(-1, -1, 2))
        self.excited += (activations[0].amax((1, 2)) > 0).cpu()
        self.seen += 1

    @property
    def dead(self) -> list[int]:
        """Channels that no photo excites."""
        return [int(channel) for channel in (self.excited == 0).nonzero()]

    def rank_channels(self, count: int) -> list[int]:
        """Return the channels with the largest mean of the kept activations, strongest first, without dead ones."""
        order = self.values.mean(1).argsort(descending=True, stable=True)
        alive = [int(channel) for channel in order if self.excited[channel]]
        return alive[:count]
