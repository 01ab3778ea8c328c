"""The paintings that the shared start is trained on: which are held out, their variants, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from data.images import decode, list_images, scale_short_side, to_array
from data.photos import hold_out, mix_seed, to_tensor
from train.errors import TrainError

VARIANT_SCALE = (0.3, 0.9)
"""Smallest and largest share of a painting's area that a variant shows."""

HUE_SHIFT = 0.5
"""Largest shift of a variant's hue, in turns of the color circle: every hue may become any other."""


def split_paintings(folder: Path, held_out: int | Sequence[str]) -> tuple[list[Path], list[Path]]:
    """List the paintings of a folder and set some aside.

    Args:
        folder: Folder of picture files.
        held_out: How many to set aside, chosen by a hash of their names; or their names, with or without ending.

    Returns:
        Paintings to train on, and those held out, in alphabetical order.

    Raises:
        ImageError: If the folder is absent or holds no picture.
        TrainError: If fewer than two are left to train on, a name is not in the folder, or one that is held out has the
            name of another.
    """
    paths = list_images(folder, "set --model.paintings to a folder of JPEG or PNG files")
    if isinstance(held_out, int):
        if held_out < 0 or len(paths) - held_out < 2:
            raise TrainError(
                f"--model.held_out_paintings is {held_out}, and '{folder}' holds {len(paths)} paintings; it must be at "
                "least 0 and leave at least 2 to train on"
            )
        training, aside = hold_out(paths, held_out, folder)
        require_unique_names(aside, paths)
        return training, aside
    names = set(held_out)
    unknown = names - {path.name for path in paths} - {path.stem for path in paths}
    if unknown:
        raise TrainError(f"--model.held_out_paintings names '{min(unknown)}', which is not in '{folder}'")
    aside = [path for path in paths if {path.name, path.stem} & names]
    require_unique_names(aside, paths)
    training = [path for path in paths if path not in aside]
    if len(training) < 2:
        raise TrainError(f"--model.held_out_paintings leaves {len(training)} painting of '{folder}'; 2 are needed")
    return training, aside


def require_unique_names(chosen: Iterable[Path], paths: Sequence[Path]) -> None:
    """Refuse paintings that share their name without ending, the one that start files and reports know them by.

    Args:
        chosen: Paintings that must be told from all others.
        paths: All paintings of the folder.

    Raises:
        TrainError: Naming two of one name.
    """
    for path in chosen:
        for other in paths:
            if other != path and other.stem == path.stem:
                raise TrainError(
                    f"'{path}' and '{other}' have one name, and one of them is held out, which start files tell by its "
                    "name; rename one of them"
                )


class Painting:
    """One painting, or a variant of it, at any size.

    Args:
        path: The picture file.
        variant: 0 for the painting itself; others are cropped, mirrored and recolored at random.
        seed: What variants are drawn from.
    """

    def __init__(self, path: Path, variant: int = 0, seed: int = 0) -> None:
        self.path = path
        self.variant = variant
        self._seed = mix_seed(f"variant {path.stem}", seed, variant)

    @property
    def name(self) -> str:
        """The file's name without ending, and the variant's number."""
        return self.path.stem + (f" #{self.variant}" if self.variant else "")

    def read(self, size: int | None) -> Tensor:
        """Read it.

        Args:
            size: Pixels that its short side is scaled to; None leaves it as it is.

        Returns:
            Shape (1, 3, H, W), float32 in [0, 1], RGB.

        Raises:
            ImageError: If the picture cannot be read.
        """
        image = decode(self.path)
        if self.variant:
            image = vary(image, self._seed)
        return to_tensor(to_array(image if size is None else scale_short_side(image, size)))


def vary(image: Image.Image, seed: int) -> Image.Image:
    """Crop a picture, mirror it or not, and turn its hues around the color circle, all at random."""
    generator = torch.Generator().manual_seed(seed)

    def draw(least: float, most: float) -> float:
        return least + (most - least) * float(torch.rand((), generator=generator))

    share = draw(*VARIANT_SCALE) ** 0.5
    width, height = max(1, round(share * image.width)), max(1, round(share * image.height))
    left, top = int(draw(0, image.width - width)), int(draw(0, image.height - height))
    image = image.crop((left, top, left + width, top + height))
    if draw(0, 1) < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    varied: Image.Image = v2.functional.adjust_hue(image, draw(-HUE_SHIFT, HUE_SHIFT))
    return varied


def draw_paintings(seed: int, turn: int, count: int, total: int) -> list[int]:
    """Choose the paintings of a step: all take turns, in a new order each time around.

    Args:
        seed: Of the training.
        turn: Number of the step, among those of all processes.
        count: Paintings per step.
        total: Number of paintings.

    Returns:
        Indices from 0 to ``total`` - 1, which depend on the arguments alone, so that a resumed training is the same.
    """
    found: list[int] = []
    for number in range(turn * count, (turn + 1) * count):
        epoch, position = divmod(number, total)
        generator = torch.Generator().manual_seed(mix_seed("paintings", seed, epoch))
        found.append(int(torch.randperm(total, generator=generator)[position]))
    return found
