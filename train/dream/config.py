"""Settings of a dream; imports no torch, so that --help is fast."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.names import PerceptualName
from train.errors import TrainError, require_named, spell_flag
from train.limits import MOST_SIDE, MOST_WEIGHT, SEEDS, require_between, require_positive

LEAST_SIDE = 32
"""Smallest side of a picture in pixels; the deepest layers need it."""

NOISE_SIZE = 512
"""Side in pixels of a dream from noise where no size is given."""

MOST_OCTAVES = 100
"""Largest number of octaves: 1.4 to this power is more than any picture's side."""

MOST_FRAMES = 500
"""Most frames of a zoom; they are in memory until the GIF is written."""

PHOTO_PRIORS: Mapping[str, float] = {"smoothness": 0.0, "decay": 0.0}
NOISE_PRIORS: Mapping[str, float] = {"smoothness": 0.8, "decay": 0.03}
"""Priors of a dream from a photo, which is smooth itself, and of one from noise, where these are not given."""


@dataclass
class DreamConfig:
    """Amplify what a network's layers respond to in a photo, or in noise.

    Args:
        output: Picture to write.
        content: Photo to start from; without one, the dream begins with noise.
        layers: Layers whose activations are raised, each with its weight.
        channel: Raise this channel alone, counted from 0, in place of all of the layer's.
        size: Longer side of the picture in pixels; null keeps the photo's, and means 512 from noise; a smaller
            photo is not enlarged.
        octaves: Number of sizes, each 1.4 times the previous one.
        iterations: Steps of gradient ascent in each octave.
        step: Mean change per step of a pixel's value, which lies in [0, 1].
        jitter: Largest random shift in pixels before a step; it hides the grid of the network's strides.
        smoothness: How much more coarse changes count than fine ones: those of f cycles per picture count f to the
            power of minus this. 1 is the spectrum of photos. Null is 0 from a photo, 0.8 from noise.
        decay: Share by which every step draws pixels back to gray, so that only what raises the activations keeps its
            color. Null is 0 from a photo, 0.03 from noise.
        frames: Frames of a zoom into the dream, written as a GIF beside the picture; 0 makes none.
        zoom: Factor by which each frame is enlarged for the next; it needs ``frames``.
        frame_iterations: Steps of gradient ascent for each frame, likewise.
        perceptual: The frozen network, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` or a file in torchvision's layout.
        seed: Fixes the noise and the random shifts.
        overwrite: Replace an earlier picture, and GIF, of the same name; never the photo itself.
    """

    output: str
    content: str | None = None
    layers: dict[str, float] = field(default_factory=lambda: {"relu4_4": 1.0, "relu5_1": 0.5})
    channel: int | None = None
    size: int | None = 512
    octaves: int = 4
    iterations: int = 15
    step: float = 0.01
    jitter: int = 16
    smoothness: float | None = None
    decay: float | None = None
    frames: int = 0
    zoom: float = 1.04
    frame_iterations: int = 3
    perceptual: PerceptualName = "vgg19"
    perceptual_weights: str = "default"
    seed: int = 0
    overwrite: bool = False

    @property
    def animation(self) -> Path:
        """The file of the zoom."""
        return Path(self.output).with_suffix(".gif")

    def list_written(self) -> list[Path]:
        """List the picture and, where there is a zoom, its file."""
        if not Path(self.output).name:
            return []
        return [Path(self.output), *([self.animation] if self.frames else [])]

    @property
    def priors(self) -> Mapping[str, float]:
        """``smoothness`` and ``decay`` as they are used."""
        usual = NOISE_PRIORS if self.content is None else PHOTO_PRIORS
        given = {"smoothness": self.smoothness, "decay": self.decay}
        return {name: usual[name] if value is None else value for name, value in given.items()}

    def check(self) -> None:
        """Check the settings before anything is read.

        Raises:
            TrainError: Naming the flag.
        """
        require_named(content=self.content, output=self.output, perceptual_weights=self.perceptual_weights)
        require_between(1, MOST_OCTAVES, octaves=self.octaves)
        require_between(1, sys.maxsize, iterations=self.iterations, frame_iterations=self.frame_iterations)
        require_between(0, MOST_SIDE, jitter=self.jitter)
        require_between(*SEEDS, seed=self.seed)
        if self.size is not None:
            require_between(LEAST_SIDE, MOST_SIDE, size=self.size)
        require_positive(1, step=self.step)
        require_between(0, 3, smoothness=self.priors["smoothness"])
        require_between(0, 1, decay=self.priors["decay"])
        require_between(0, MOST_FRAMES, frames=self.frames)
        require_between(1, 2, zoom=self.zoom)
        for name in ("zoom", "frame_iterations"):
            value = getattr(self, name)
            if not self.frames and value != getattr(DreamConfig, name):
                raise TrainError(
                    f"{spell_flag(name)} is {value} and --frames is 0; give the number of frames too, such as "
                    "--frames 60, or leave it out"
                )
        weights = self.layers.values()
        if not all(math.isfinite(weight) and abs(weight) <= MOST_WEIGHT for weight in weights) or not any(weights):
            raise TrainError(
                f"--layers is {self.layers}; give at least one layer a weight other than 0, each at most "
                f"{MOST_WEIGHT:g}, such as '{{relu4_4: 1}}'"
            )
        if self.channel is not None and (len(self.layers) > 1 or self.channel < 0):
            raise TrainError(
                f"--channel is {self.channel} of --layers {self.layers}; give the number, from 0 on, of a channel of "
                "one layer, such as --layers '{relu4_1: 1}' --channel 53"
            )
