"""Pictures like those that a perceptual loss is computed on in trainings: stylized, noisy, faded, half optimized."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from models.network import NetworkConfig, StyleNetwork

POOL_SIZE = 24
"""Pictures that are being optimized at any time; each batch takes a quarter of its photos from them."""

PARTS = 8
"""Number of equal parts of a batch, of which each kind of variation has one or two."""

MOST_PHOTOS = POOL_SIZE * 4
"""Largest batch, whose quarter are all pictures of the pool."""

POOL_AGE = 40
"""Steps after which an optimized picture is done and another begins."""

PUPIL_AGES = (250, 700)
"""Steps after which each of the two pupils is done and another begins: the sketches and the finished pictures."""

PHOTO_SHARE = 0.3
"""Share of photos among the styles, for textures that the paintings lack."""

PUPIL_RATE = 1e-3
"""Learning rate of the pupils."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From pictures, their photos and one painting, all (B, 3, S, S) in [0, 1], to a loss."""

Gradient = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From pictures, their photos and paintings, all (B, 3, S, S) in [0, 1], to a loss's gradient by the pictures."""


class Variations(NamedTuple):
    """A batch and what became of it.

    Args:
        photos: Shape (B, 3, S, S), RGB in [0, 1].
        varied: The same photos changed, in the same order, shape (B, 3, S, S).
        paintings: Styles that some of them are optimized towards, shape (P, 3, S, S).
        aims: Pairs of positions, in ``varied`` and in ``paintings``: which picture is optimized towards which painting.
    """

    photos: Tensor
    varied: Tensor
    paintings: Tensor
    aims: list[tuple[int, int]]


class Pupil:
    """A style network that is being trained.

    Args:
        network: The network to train further.
        painting: Its style, shape (1, 3, S, S).
    """

    def __init__(self, network: StyleNetwork, painting: Tensor) -> None:
        self.network, self.painting, self.age = network.requires_grad_(True), painting, 0
        self._optimizer = torch.optim.Adam(network.parameters(), lr=PUPIL_RATE)

    def learn(self, loss: Tensor) -> None:
        """Take a step down a loss, leaving no gradient on anything else."""
        parameters = list(self.network.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        self._optimizer.step()
        self.age += 1

    def state_dict(self) -> dict[str, Any]:
        """Return all that it takes to go on with it."""
        return {
            "config": self.network.config.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "painting": self.painting,
            "age": self.age,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], device: torch.device) -> Pupil:
        """Go on with a pupil on a device, from what ``state_dict`` returned."""
        # Its first weights are replaced, and nothing else is to depend on their being drawn.
        with torch.random.fork_rng(devices=[]):
            network = StyleNetwork(NetworkConfig.from_dict(state["config"]))
        network.load_state_dict(state["network"])
        pupil = cls(network.to(device), state["painting"].to(device))
        pupil._optimizer.load_state_dict(state["optimizer"])
        pupil.age = state["age"]
        return pupil


class PictureMaker(nn.Module):
    """Make variations of photos: an eighth stylized, one distorted, a quarter optimized, half painted by two pupils.

    A pupil is a style network that takes a training step with the caller's loss for every batch. The optimized pictures
    are kept in a pool and take a step of gradient descent whenever they are drawn. The caller's loss is
    that of the network being distilled, which therefore learns from the pictures that its own errors lead to.

    Args:
        paintings: RGB in [0, 1], each of shape (1, 3, H, W), no side shorter than ``size``.
        styles: Trained networks of one architecture, without strength; none leaves the stylized eighth distorted.
        size: Side S of the pictures in pixels.
    """

    pool: Tensor
    ages: Tensor

    def __init__(self, paintings: Sequence[Tensor], styles: Sequence[StyleNetwork], size: int) -> None:
        super().__init__()
        self.size = size
        self._paintings = [painting[0] for painting in paintings]
        self.styles = nn.ModuleList(styles).requires_grad_(False)
        # Picture, photo and painting of each place in the pool; kept in checkpoints.
        self.register_buffer("pool", torch.zeros(POOL_SIZE, 3, 3, size, size))
        self.register_buffer("ages", torch.full((POOL_SIZE,), POOL_AGE))
        # Not submodules: they are trained by optimizers of their own.
        self._pupils: dict[int, Pupil] = {}
        # Those of a checkpoint, until the first batch tells on which device they go on.
        self._waiting: dict[int, Mapping[str, Any]] = {}

    def save_pupils(self) -> dict[int, Mapping[str, Any]]:
        """Return the states of the pupils, by their places, for a checkpoint."""
        return self._waiting | {place: pupil.state_dict() for place, pupil in self._pupils.items()}

    def restore_pupils(self, states: Mapping[int, Mapping[str, Any]]) -> None:
        """Go on with pupils from what ``save_pupils`` returned; new ones begin in the other places."""
        self._pupils, self._waiting = {}, dict(states)

    def crop_paintings(self, count: int, draw: random.Random) -> Tensor:
        """Cut squares of random scale out of random paintings: shape (count, 3, S, S)."""
        crops = []
        for _ in range(count):
            painting = draw.choice(self._paintings)
            side = draw.randint(self.size, min(painting.shape[1:]))
            top, left = (draw.randint(0, length - side) for length in painting.shape[1:])
            square = painting[None, :, top : top + side, left : left + side]
            crops.append(F.interpolate(square, size=(self.size, self.size), mode="area"))
        return torch.cat(crops).to(self.pool.device)

    @torch.no_grad()
    def forward(self, photos: Tensor, loss: Loss, gradient: Gradient, seed: int) -> Variations:
        """Vary a batch.

        Args:
            photos: RGB in [0, 1], shape (B, 3, S, S), B a multiple of ``PARTS`` and at most ``MOST_PHOTOS``.
            loss: What the pupils learn from.
            gradient: Of the loss that the pool goes down.
            seed: Same seed, photos and pool, same result.
        """
        draw = random.Random(seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            eighth = len(photos) // PARTS
            stylized, distorted, *taught, optimized = torch.split(
                photos, [eighth, eighth, *[2 * eighth] * len(PUPIL_AGES), 2 * eighth]
            )
            varied = [
                stylized.lerp(self._stylize(stylized, draw), draw.choice((1.0, draw.uniform(0.2, 0.9)))),
                torch.cat([self._distort(photo[None], draw) for photo in distorted]),
            ]
            paintings, aims = [], []
            for place, (age, own) in enumerate(zip(PUPIL_AGES, taught, strict=True)):
                painted, painting = self._teach(place, age, own, loss, draw)
                first = sum(map(len, varied))
                aims += [(first + index, place) for index in range(len(painted))]
                varied.append(painted)
                paintings.append(painting)
            first, places = sum(map(len, varied)), len(paintings)
            advanced, own, targets = self._advance(optimized, gradient, draw)
            aims += [(first + index, places + index) for index in range(len(advanced))]
            return Variations(
                torch.cat([stylized, distorted, *taught, own]),
                torch.cat([*varied, advanced]).clamp(0, 1),
                torch.cat([*paintings, targets]),
                aims,
            )

    def _stylize(self, photos: Tensor, draw: random.Random) -> Tensor:
        if not self.styles:
            return torch.cat([self._distort(photo[None], draw) for photo in photos])
        # Interpolated weights give further styles.
        one, other, share = draw.choice(self.styles), draw.choice(self.styles), draw.random()
        state = {name: value.lerp(other.get_parameter(name), share) for name, value in one.named_parameters()}
        painted: Tensor = functional_call(one, state, (photos,))
        return painted.float().clamp(0, 1)

    def _teach(self, place: int, age: int, photos: Tensor, loss: Loss, draw: random.Random) -> tuple[Tensor, Tensor]:
        """Return a pupil's pictures and its painting, and train it.

        In evaluation mode it is not trained, and one that begins is not kept.
        """
        own = random.Random(draw.random())  # so that what else is drawn does not depend on whether a pupil begins
        if place in self._waiting:
            self._pupils[place] = Pupil.restore(self._waiting.pop(place), photos.device)
        pupil = self._pupils.get(place)
        if pupil is None or pupil.age >= age:
            start = own.choice([None, *self.styles])
            with torch.random.fork_rng(devices=[]):
                network = StyleNetwork() if start is None else deepcopy(start)
                painting = self._draw_painting(photos[0], own)[None]
            pupil = Pupil(network.to(photos.device), painting)
            # One that begins on held-out photos is not what the training goes on with.
            if self.training:
                self._pupils[place] = pupil
        with torch.enable_grad():
            pictures: Tensor = pupil.network(photos)
            if self.training:
                pupil.learn(loss(pictures, photos, pupil.painting))
        return pictures.detach().float(), pupil.painting

    def _draw_painting(self, photo: Tensor, draw: random.Random) -> Tensor:
        """Choose a style, shape (3, S, S): a painting, or in ``PHOTO_SHARE`` of the cases a photo with other colors."""
        if draw.random() < PHOTO_SHARE:
            with torch.autocast(photo.device.type, enabled=False):
                return self._recolor(photo[None], draw)[0].clamp(0, 1)
        return self.crop_paintings(1, draw)[0]

    def _distort(self, photo: Tensor, draw: random.Random) -> Tensor:
        """Apply one to three random distortions to a photo, shape (1, 3, S, S)."""
        for change in draw.sample((self._add_noise, self._recolor, self._blur, self._fade, self._overlay), 3)[
            : draw.randint(1, 3)
        ]:
            with torch.autocast(photo.device.type, enabled=False):
                photo = change(photo, draw)
        return photo.clamp(0, 1)

    def _add_noise(self, photo: Tensor, draw: random.Random) -> Tensor:
        coarse = self.size // draw.choice((1, 1, 2, 4, 16))
        noise = torch.randn(1, 3, coarse, coarse, device=photo.device)
        return photo + draw.uniform(0.02, 0.4) * F.interpolate(noise, size=photo.shape[2:], mode="nearest")

    def _recolor(self, photo: Tensor, draw: random.Random) -> Tensor:
        mixing = torch.eye(3, device=photo.device) + draw.uniform(0.1, 0.6) * torch.randn(3, 3, device=photo.device)
        return torch.einsum("ij,bjhw->bihw", mixing, photo - 0.5) + 0.5 + 0.1 * draw.gauss(0, 1)

    def _blur(self, photo: Tensor, draw: random.Random) -> Tensor:
        small = F.interpolate(photo, scale_factor=1 / draw.choice((2, 4, 8)), mode="area")
        return F.interpolate(small, size=photo.shape[2:], mode=draw.choice(("nearest", "bilinear")))

    def _fade(self, photo: Tensor, draw: random.Random) -> Tensor:
        return photo.lerp(photo.mean((2, 3), keepdim=True).lerp(torch.full_like(photo, 0.5), 0.5), draw.random())

    def _overlay(self, photo: Tensor, draw: random.Random) -> Tensor:
        return photo.lerp(self.crop_paintings(1, draw), draw.random())

    def _advance(self, photos: Tensor, gradient: Gradient, draw: random.Random) -> tuple[Tensor, Tensor, Tensor]:
        """Take pictures from the pool, one step further, with photos and paintings; a new one goes where one was done.

        In evaluation mode the pool stays as it was.
        """
        pool, ages = (self.pool, self.ages) if self.training else (self.pool.clone(), self.ages.clone())
        places = draw.sample(range(POOL_SIZE), len(photos))
        for place, photo in zip(places, photos, strict=True):
            if ages[place] >= POOL_AGE:
                start = draw.choice((photo, torch.rand_like(photo), self._distort(photo[None], draw)[0]))
                pool[place] = torch.stack([start, photo, self._draw_painting(photo.flip(-1), draw)])
                ages[place] = draw.randint(0, POOL_AGE // 2)
        pictures, kept, paintings = pool[places].unbind(1)
        with torch.enable_grad():
            step = gradient(pictures.clone().requires_grad_(), kept, paintings)
        size = step.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        pictures = (pictures - draw.uniform(0.01, 0.04) * (step / size).clamp(-3, 3)).clamp(0, 1)
        pool[places, 0] = pictures
        ages[places] += 1
        return pictures, kept, paintings
