"""Settings of a dream; imports no torch, so that --help is fast."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

from models.names import PerceptualName
from train.errors import TrainError, require_named
from train.limits import MOST_SIDE, MOST_WEIGHT, SEEDS, require_between, require_positive

LEAST_SIDE = 32
"""Smallest side of a picture in pixels; the deepest layers need it."""

MOST_OCTAVES = 100
"""Largest number of octaves: 1.4 to this power is more than any picture's side."""


@dataclass
class DreamConfig:
    """Amplify what a network's layers respond to in a photo.

    Args:
        content: Photo to start from.
        output: Picture to write.
        layers: Layers whose activations are raised, each with its weight.
        size: Longer side of the picture in pixels; null keeps the photo's.
        octaves: Number of sizes, each 1.4 times the previous one.
        iterations: Steps of gradient ascent in each octave.
        step: Mean change per step of a pixel's value, which lies in [0, 1].
        jitter: Largest random shift in pixels before a step; it hides the grid of the network's strides.
        perceptual: The frozen network, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` or a file in torchvision's layout.
        seed: Fixes the random shifts.
        overwrite: Replace an earlier picture of the same name; never the photo itself.
    """

    content: str
    output: str
    layers: dict[str, float] = field(default_factory=lambda: {"relu4_4": 1.0, "relu5_1": 0.5})
    size: int | None = 512
    octaves: int = 4
    iterations: int = 15
    step: float = 0.01
    jitter: int = 16
    perceptual: PerceptualName = "vgg19"
    perceptual_weights: str = "default"
    seed: int = 0
    overwrite: bool = False

    def check(self) -> None:
        """Check the settings before anything is read.

        Raises:
            TrainError: Naming the flag.
        """
        require_named(content=self.content, output=self.output, perceptual_weights=self.perceptual_weights)
        require_between(1, MOST_OCTAVES, octaves=self.octaves)
        require_between(1, sys.maxsize, iterations=self.iterations)
        require_between(0, MOST_SIDE, jitter=self.jitter)
        require_between(*SEEDS, seed=self.seed)
        if self.size is not None:
            require_between(LEAST_SIDE, MOST_SIDE, size=self.size)
        require_positive(1, step=self.step)
        weights = self.layers.values()
        if not all(math.isfinite(weight) and abs(weight) <= MOST_WEIGHT for weight in weights) or not any(weights):
            raise TrainError(
                f"--layers is {self.layers}; give at least one layer a weight other than 0, each at most "
                f"{MOST_WEIGHT:g}, such as '{{relu4_4: 1}}'"
            )
