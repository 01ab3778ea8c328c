"""Synthetic style pictures, for use without a painting: ``python -m data.drawings FOLDER``.

Two are stored in ``data/styles/``: ``flowing_strokes`` (brush strokes that follow a flow) and ``stained_glass``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from data.files import OutputError, make_folder, require_absent
from data.images import encode
from data.scenes import fractal_noise

HELP = """usage: python -m data.drawings FOLDER [--overwrite]

Draw synthetic style pictures into a folder.

  --overwrite   replace drawings that are there

example: python -m data.drawings drawings
"""

Floats = NDArray[np.float64]

SUPERSAMPLING = 2
"""Factor by which drawings are made larger and then reduced, because Pillow draws without anti-aliasing."""

STROKES = ((26, 110, 1500), (15, 80, 4200), (8, 55, 5000))
"""Width and length in pixels, and number, of the brush strokes, in the order in which they are drawn."""

DUSK = ("#101c3c", "#1d3f72", "#2f7f93", "#86b7a4", "#f1dfae", "#f0a43c", "#d9512c", "#7c1f2d")
"""From night blue over teal and cream to vermilion."""

JEWELS = ("#7a0f1d", "#c0271f", "#e8952b", "#f3d36b", "#1d6b4a", "#2f9c95", "#1b3f8b", "#5b2a86", "#e9e2c8")
"""The glass of church windows."""


def draw_flowing_strokes(side: int = 768, seed: int = 7) -> Image.Image:
    """Draw brush strokes that follow a swirling flow, large ones first, in the colors of dusk.

    Args:
        side: Width and height in pixels.
        seed: Same seed, same drawing.

    Returns:
        An RGB picture.
    """
    draw = np.random.default_rng(seed)
    size = side * SUPERSAMPLING
    palette = _parse(DUSK)
    hue = _spread(_smooth(draw, size, 2.6))
    angle = 2.5 * np.pi * _spread(_smooth(draw, size, 3.2))
    canvas = Image.fromarray((palette[(hue * 7.99).astype(int)] * 0.6).astype(np.uint8))
    brush = ImageDraw.Draw(canvas)
    for width, length, count in STROKES:
        for x, y in draw.uniform(-0.02 * size, 1.02 * size, (count, 2)):
            path = _follow(angle, x, y, length * draw.uniform(0.6, 1.3), step=8)
            middle = path[len(path) // 2]
            place = hue[_clip(middle[1], size), _clip(middle[0], size)] * 7 + draw.normal(0, 0.45)
            color = _blend(palette, place) + draw.normal(0, 9)
            # A dark and a light edge make the paint look thick.
            for offset, light in ((width * 0.22, -38), (-width * 0.18, 26), (0, 0)):
                shifted = [(px + offset * 0.7, py + offset) for px, py in path]
                thick = max(2, int(width * (1 if offset == 0 else 0.9)))
                brush.line(shifted, fill=_color(color + light), width=thick, joint="curve")
            if width > 10:
                for streak in draw.uniform(-0.35, 0.35, 2):
                    shifted = [(px + streak * width, py + streak * width) for px, py in path]
                    brush.line(shifted, fill=_color(color + draw.normal(0, 24)), width=2)
    return canvas.resize((side, side), Image.Resampling.LANCZOS)


def draw_stained_glass(side: int = 768, seed: int = 3) -> Image.Image:
    """Draw panes of colored glass between leads, with streaks and bubbles in the glass.

    Args:
        side: Width and height in pixels.
        seed: Same seed, same drawing.

    Returns:
        An RGB picture.
    """
    draw = np.random.default_rng(seed)
    size = side * SUPERSAMPLING
    rows, columns = np.mgrid[0:size, 0:size] / size
    warped = np.stack([rows + 0.12 * (_smooth(draw, size, 3)), columns + 0.12 * _smooth(draw, size, 3)], -1)
    centers = draw.uniform(-0.1, 1.1, (130, 2))
    nearest = np.zeros((size, size), np.int32)
    first, second = np.full((size, size), np.inf), np.full((size, size), np.inf)
    for number, center in enumerate(centers):
        distance = np.hypot(warped[..., 0] - center[0], warped[..., 1] - center[1])
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        nearest[closer] = number
        first = np.where(closer, distance, first)
    hue = _spread(_smooth(draw, size, 2.8))
    at = [hue[_clip(y * size, size), _clip(x * size, size)] for y, x in centers]
    palette = _parse(JEWELS)
    picks = np.array([int(value * 8.99 + draw.normal(0, 1.2)) % len(palette) for value in at])
    glass = palette[picks][nearest] + draw.normal(0, 12, (len(centers), 1))[nearest]
    light = 1 + 0.22 * fractal_noise(draw, size, 1.4) + 0.25 * _smooth(draw, size, 2.4)
    edge = np.clip((second - first) / 0.035, 0, 1) ** 0.5
    glass = glass * light[..., None] * (0.55 + 0.5 * edge[..., None])
    lead = np.clip((second - first - 0.006) / 0.003, 0, 1)[..., None]
    picture = glass * lead + np.array([22, 20, 24]) * (1 - lead)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(1)).resize((side, side), Image.Resampling.LANCZOS)


DRAWINGS: dict[str, Callable[[], Image.Image]] = {
    "flowing_strokes": draw_flowing_strokes,
    "stained_glass": draw_stained_glass,
}
"""The drawings by name."""


def _smooth(draw: np.random.Generator, size: int, slope: float) -> Floats:
    """Return fractal noise of unit variance, drawn small and enlarged, because it has no fine detail."""
    small = Image.fromarray(fractal_noise(draw, 128, slope).astype(np.float32))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)


def _spread(values: Floats) -> Floats:
    """Map values to their ranks, in [0, 1): each shade covers the same area."""
    ranks = np.empty(values.size)
    ranks[np.argsort(values, axis=None)] = np.arange(values.size) / values.size
    return ranks.reshape(values.shape)


def _follow(angle: Floats, x: float, y: float, length: float, step: float) -> list[tuple[float, float]]:
    path = [(x, y)]
    for _ in range(max(2, int(length / step))):
        turn = angle[_clip(y, len(angle)), _clip(x, len(angle))]
        x, y = x + step * np.cos(turn), y + step * np.sin(turn)
        path.append((x, y))
    return path


def _clip(value: float, size: int) -> int:
    return min(max(int(value), 0), size - 1)


def _parse(colors: tuple[str, ...]) -> Floats:
    return np.array([[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in colors], float)


def _blend(palette: Floats, place: float) -> Floats:
    place = min(max(place, 0.0), len(palette) - 1.001)
    share = place - int(place)
    blended: Floats = palette[int(place)] * (1 - share) + palette[int(place) + 1] * share
    return blended


def _color(values: Floats) -> tuple[int, int, int]:
    red, green, blue = np.clip(values, 0, 255).astype(int)
    return int(red), int(green), int(blue)


def main(args: Sequence[str] | None = None) -> int:
    """Draw all of them into the folder that the command line names; returns the exit code: 0, or 2 for a mistake."""
    # Read by hand: argparse belongs to the layers above.
    words = sys.argv[1:] if args is None else args
    if {"-h", "--help"}.intersection(words):
        print(HELP, end="")
        return 0
    places = [word for word in words if word != "--overwrite"]
    if len(places) != 1 or not places[0] or places[0].startswith("-"):
        print("error: name the folder to write to: python -m data.drawings FOLDER", file=sys.stderr)
        return 2
    folder = Path(places[0])
    paths = {name: folder / f"{name}.jpg" for name in DRAWINGS}
    try:
        require_absent(paths.values(), "--overwrite" in words, "FOLDER")
        make_folder(folder, "FOLDER")
        for name, path in paths.items():
            encode(DRAWINGS[name](), path, quality=68)
            print(f"drew {path}")
    except OutputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
