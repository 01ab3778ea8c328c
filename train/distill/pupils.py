"""Style networks that are trained with either perceptual network, and the losses of their pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import deepcopy
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from data.images import list_images
from data.photos import HeldOutPhotos, PhotoStream, collate, hold_out, to_unit
from models.losses import LossConfig, PerceptualLoss
from models.network import StyleNetwork
from models.vgg import PerceptualName, VGGFeatures
from train.fit.step import Step, build_step

STAGES = (0.03, 0.1, 0.25, 0.5, 1.0)
"""Shares of a training after which a copy of the network is kept, so that worse pictures are ranked, too."""

HELD_OUT = 16
"""Photos that pupils are not trained on, and that their pictures are made of."""

Frozen = tuple[PerceptualName, str]
"""Name of a perceptual network and where its weights are."""


class Pupils:
    """Train style networks with either loss, and evaluate their pictures.

    Args:
        large: The network that is the standard.
        small: The network that is evaluated.
        photos: Folder of photos; those that training holds out are stylized and evaluated.
        size: Side of the pictures in pixels.
        batch: Photos per step.
        compiled: Compile the pupils, as trainings of this length do.
        device: Where everything is computed; the CPU if None.
    """

    def __init__(
        self,
        large: Frozen,
        small: Frozen,
        photos: Path,
        size: int,
        batch: int,
        compiled: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.frozen = {"large": large, "small": small}
        self.size, self.batch, self.compiled = size, batch, compiled
        self.training, held_out = hold_out(list_images(photos), HELD_OUT, photos)
        held = HeldOutPhotos(held_out, size)
        self.held_out = to_unit(collate([held[index] for index in range(len(held))]).photos).to(self.device)

    def _batches(self, size: int) -> Iterator[Tensor]:
        stream = PhotoStream(self.training, size, seed=0)
        number = 0
        while True:
            samples = [stream[number + index] for index in range(self.batch)]
            yield to_unit(collate(samples).photos)
            number += self.batch

    def _build_step(self, kind: str, painting: Tensor, size: int, steps: int) -> tuple[Step, nn.Module]:
        name, weights = self.frozen[kind]
        compiled = self.compiled and size == self.size
        return build_step(weights, painting, steps, perceptual=name, compiled=compiled)

    def time_step(self, kind: str, painting: Tensor, rounds: int = 6) -> float:
        """Return the median seconds of a whole training step, after three that are not counted."""
        step, _ = self._build_step(kind, painting, self.size, 100)
        batches, seconds = self._batches(self.size), []
        for _ in range(rounds + 3):
            start = time.perf_counter()
            # Reading the loss waits for a GPU, which works asynchronously.
            float(step(next(batches)))
            seconds.append(time.perf_counter() - start)
        return sorted(seconds[3:])[rounds // 2]

    def train(
        self, kind: str, painting: Tensor, steps: int, size: int | None = None
    ) -> tuple[list[StyleNetwork], float]:
        """Train one pupil; return copies of it at each stage, and the seconds that its steps took."""
        size = size or self.size
        step, network = self._build_step(kind, painting, size, steps)
        due = {max(1, round(share * steps)) for share in STAGES}
        stages: list[StyleNetwork] = []
        batches = self._batches(size)
        spent = 0.0
        for number in tqdm(range(1, steps + 1), desc=kind, unit="step", disable=None, leave=False):
            start = time.perf_counter()
            loss = float(step(next(batches)))
            # The first step compiles, which takes as long with either network.
            spent += time.perf_counter() - start if number > 1 else 0
            if number in due:
                stages.append(deepcopy(network))  # type: ignore[arg-type]
                with tqdm.external_write_mode():
                    print(f"  {kind}, step {number} of {steps}: own loss {loss:.3f}", flush=True)
        return stages, spent

    @torch.no_grad()
    def paint(self, network: StyleNetwork) -> Tensor:
        """Stylize the held-out photos: RGB in [0, 1], shape (N, 3, S, S)."""
        network = network.to(self.device)
        return torch.cat([network(photo[None]).clamp(0, 1) for photo in self.held_out])

    @torch.no_grad()
    def evaluate(self, kind: str, painting: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        """Return loss, content and style of each picture, in float32, each of shape (N,).

        Args:
            kind: ``large`` or ``small``.
            painting: RGB in [0, 1], shape (1, 3, H, W), on the CPU.
            pictures: Repainted held-out photos, all of them any number of times, RGB in [0, 1], shape (N, 3, S, S).
        """
        loss = build_loss(self.frozen[kind], painting).to(self.device)
        found = []
        for picture, photo in zip(pictures.to(self.device), cycle(self.held_out), strict=False):
            found.append(torch.stack(list(loss(picture[None], loss.describe_content(photo[None]))[:3])))
        return dict(zip(("loss", "content", "style"), torch.stack(found).unbind(1), strict=True))


def build_loss(frozen: Frozen, painting: Tensor) -> PerceptualLoss:
    """Build the default loss towards a painting on features of one of the networks."""
    config = LossConfig().without_training_terms()
    loss = PerceptualLoss(VGGFeatures(frozen[0], config.layers, frozen[1]), config)
    loss.set_style([painting])
    return loss
