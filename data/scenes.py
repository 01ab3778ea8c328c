"""Synthetic scenes, drawn as they are needed: training pictures in place of photos.

Dead leaves (Lee, Mumford and Huang 2001) in front of gradients and fractal clouds. Like photos, they have objects that
occlude one another, sizes without a preferred scale, shading, texture, and light that comes from one side.
"""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

from data.photos import Sample, mix_seed

MOST_LEAVES = 160
"""Largest number of objects in a scene; the smallest is 0."""


def fractal_noise(draw: np.random.Generator, side: int, slope: float) -> NDArray[np.float64]:
    """Draw noise whose amplitude falls with frequency to the power ``slope``.

    Args:
        draw: Source of randomness.
        side: Height and width in pixels.
        slope: 0 is white noise, 1 the spectrum of photos, 2 and more are clouds.

    Returns:
        Shape (side, side), mean 0, standard deviation 1.
    """
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(draw.standard_normal((side, side))) * frequency**-slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (side, side))
    return np.asarray(noise / noise.std())


def draw_scene(side: int, seed: int) -> NDArray[np.uint8]:
    """Draw one scene.

    Args:
        side: Height and width in pixels, at least 16.
        seed: Same seed and side, same scene.

    Returns:
        RGB, shape (side, side, 3).
    """
    draw = np.random.default_rng(seed)
    count = int(MOST_LEAVES * draw.random() ** 2)
    shapes = _lay_out(side, count, draw)
    hue = draw.random()
    colors = np.array([_pick_color(draw, hue) for _ in range(count + 1)])
    across, down = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    # Shading and texture of each object, looked up by the object that each pixel shows; number 0 is the sky.
    tilt = draw.normal(0, 0.18, (count + 1, 2))
    tilt[0] *= 2
    rough = draw.gamma(1.2, 0.08, count + 1)
    textures = np.stack([fractal_noise(draw, side, slope) for slope in (0.6, 1.1, 1.8)])
    kind = draw.integers(0, len(textures), count + 1)
    kind[0], rough[0] = 2, draw.uniform(0, 0.3)
    texture = np.take_along_axis(textures, kind[shapes][None], axis=0)[0]
    light = 1 + tilt[shapes, 0] * across + tilt[shapes, 1] * down + rough[shapes] * texture
    picture = colors[shapes] * light[..., None]
    # A cast of light over the whole, as a sun or a lamp gives.
    picture = picture * (1 + 0.25 * draw.normal() * across + 0.25 * draw.normal() * down)[..., None]
    scene: NDArray[np.uint8] = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return scene


def _lay_out(side: int, count: int, draw: np.random.Generator) -> NDArray[np.int32]:
    """Draw overlapping objects; return the number of the visible object at each pixel, (side, side), 0 for none."""
    canvas = Image.new("I", (side, side), 0)
    brush = ImageDraw.Draw(canvas)
    # Radii with density r^-2: r^-3 looks the same at every distance, but would show specks more than objects.
    smallest, largest = 0.025, 0.5
    radii = side / (1 / smallest - draw.random(count) * (1 / smallest - 1 / largest))
    for number, radius in enumerate(np.sort(radii)[::-1] if draw.random() < 0.5 else radii, start=1):
        x, y = draw.uniform(-0.1, 1.1, 2) * side
        corners = int(draw.choice((3, 4, 5, 7, 24)))
        turn, stretch = draw.uniform(0, 2 * np.pi), draw.uniform(0.35, 1)
        angles = np.sort(turn + 2 * np.pi * (np.arange(corners) + draw.uniform(-0.3, 0.3, corners)) / corners)
        along, beside = radius * np.cos(angles), radius * stretch * np.sin(angles)
        lean = draw.uniform(0, np.pi)
        points = zip(
            x + along * np.cos(lean) - beside * np.sin(lean),
            y + along * np.sin(lean) + beside * np.cos(lean),
            strict=True,
        )
        brush.polygon([(float(px), float(py)) for px, py in points], fill=number)
    return np.asarray(canvas, dtype=np.int32)


def _pick_color(draw: np.random.Generator, hue: float) -> tuple[float, float, float]:
    """Pick a color, mostly near the scene's own hue, rarely saturated, at any brightness; RGB in [0, 1]."""
    own = hue + (draw.normal(0, 0.08) if draw.random() < 0.7 else draw.random())
    return colorsys.hsv_to_rgb(own % 1, draw.beta(1.5, 2.5), draw.beta(1.6, 1.3))


class SceneStream(Dataset[Sample]):
    """An endless series of scenes: sample ``n`` depends on the seed and on ``n`` alone.

    Args:
        size: Side of the scenes in pixels.
        seed: Seed of the drawings.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed

    def __getitem__(self, n: int) -> Sample:
        """Draw scene ``n``."""
        scene = draw_scene(self._size, mix_seed("scene", self._seed, n))
        return Sample(torch.from_numpy(scene).permute(2, 0, 1), ())


class MixedStream(Dataset[Sample]):
    """Photos, some replaced by scenes: which ones depends on the seed and the sample's number alone.

    Args:
        photos: Samples by number.
        scenes: Samples by number.
        scene_share: Share of the samples that are scenes, 0 to 1.
        seed: Seed of the choice.
    """

    def __init__(self, photos: Dataset[Sample], scenes: SceneStream, scene_share: float, seed: int) -> None:
        self._photos, self._scenes, self._share, self._seed = photos, scenes, scene_share, seed

    def __getitem__(self, n: int) -> Sample:
        """Return sample ``n``."""
        chosen = self._scenes if mix_seed("mix", self._seed, n) < self._share * 2**64 else self._photos
        return chosen[n]
