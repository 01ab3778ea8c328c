"""The relaxed earth mover's distance between the features of a picture and those of a painting.

A Gram matrix says which features are present together on average; strokes of one kind everywhere can have the right
one. This distance asks of each place of the picture that it looks like some place of the painting, and of each place of
the painting that it is found in the picture: its stars, swirls and figures, too (Kolkin et al. 2019, STROTSS; the
relaxation is that of Kusner et al. 2015).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PLACES = 1024
"""Places of a painting that are compared, per layer, as many as Kolkin et al. take: all of the deepest layer's, and
a sample of the others'."""

LEAST_UNLIKENESS = 1e-3
"""Distance from a painting's mean below which places count alike: all of a flat one's, where only rounding differs."""


def sample_places(features: Tensor, places: int = PLACES) -> Tensor:
    """Choose places of a painting, and normalize their features to length 1.

    Args:
        features: Activations of the painting, shape (1, C, H, W).
        places: How many at most; the sample is the same at each call.

    Returns:
        Shape (min(H W, places), C), float32.
    """
    rows = _directions(features)[0]
    if len(rows) > places:
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:places]
        rows = rows[chosen.sort().values.to(rows.device)]
    return rows.contiguous()


def share_places(painting: Tensor, rarity: float) -> Tensor:
    """Tell how much each place of a painting is to count: what is unlike most of the painting counts for more.

    A star takes up a hundredth of a sky. Where all places count alike, a picture without one lacks a hundredth of the
    painting, and a network leaves it at that.

    (Where a network pads with zeros, the outermost places of its layers are a little unlike the others, too.)

    Args:
        painting: What ``sample_places`` returned of one painting, shape (N, C).
        rarity: 0: all count alike; else the power of the cosine distance from the mean of all places that a place
            counts by.

    Returns:
        Shares that add up to 1, shape (N,), float32.
    """
    mean = F.normalize(painting.mean(0), dim=0)
    unlikeness = (1 - (painting * mean).sum(1)).clamp_min(LEAST_UNLIKENESS)
    # Of the largest one, so that no power of it vanishes in float32.
    weights = (unlikeness / unlikeness.max()) ** rarity
    return weights / weights.sum()


def relaxed_emd(features: Tensor, painting: Tensor, shares: Tensor) -> Tensor:
    """Compute the relaxed earth mover's distance of pictures from a painting.

    Each picture is to hold nothing but the painting's places, but only all pictures together are to hold all of them:
    a star then appears in a sky rather than on a face.

    Args:
        features: Activations of the pictures, shape (B, C, H, W).
        painting: What ``sample_places`` returned, shape (N, C), of one painting or of several in a row.
        shares: How much each of these places is to count, adding up to 1, shape (N,) (``share_places``).

    Returns:
        Float32 scalar from 0 to 2: the larger one of two means of cosine distances, that of each place of the pictures
        from the place of the painting most like it, and that of each place of the painting, by its share, from the
        place of the pictures most like it.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = _directions(features)
        # Only the pairs that are chosen have a gradient, so that the matrix of all pairs is not kept; and it is made
        # for one picture at a time. They are chosen in the features' own precision and compared in float32.
        with torch.no_grad():
            wanted = painting.to(features.dtype)
            likest = [_find_likest(picture, wanted) for picture in rows.to(features.dtype)]
            nearest = torch.cat([found for found, _, _ in likest])
            picture = torch.stack([likeness for _, likeness, _ in likest]).argmax(0)
            place = torch.stack([places for _, _, places in likest]).gather(0, picture[None])[0]
        flat = rows.flatten(0, 1)
        reached = 1 - (flat * painting[nearest]).sum(1).mean()
        # Not rows[picture, place], whose gradients several threads add up in any order: no two runs would be the same.
        found = flat.index_select(0, picture * rows.shape[1] + place)
        covered = 1 - (found * painting).sum(1) @ shares
        return torch.maximum(reached, covered)


def _find_likest(rows: Tensor, painting: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find for each of M places the likest of a painting's N, and for each of these the likest of the M.

    Returns:
        Indices of shape (M,); cosines and indices, both of shape (N,).
    """
    likeness = rows @ painting.T
    # Along rows that lie in memory one after the other: CPUs search along columns several times slower.
    best = likeness.T.contiguous().max(1)
    return likeness.max(1).indices, best.values, best.indices


def _directions(features: Tensor) -> Tensor:
    """Return the features of each place, of length 1: shape (B, H W, C), float32."""
    return F.normalize(features.float().flatten(2).transpose(1, 2), dim=2)
