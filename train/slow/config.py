"""Settings of the slow mode; imports no torch, so that --help is fast."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from data.images import MAX_PIXELS, check_writable_format
from models.names import CONTENT_LAYERS, EMD_LAYERS, FOCUS_LAYER, STYLE_LAYERS, PerceptualName, PoolingName, StyleNorm
from train.compute.precision import PrecisionName
from train.errors import TrainError, require_at_least, require_named
from train.limits import MOST_SIDE, MOST_WEIGHT, POWERS, SEEDS, require_between, require_positive
from train.slow.outputs import SlowFiles

STARTS = frozenset({"content", "photo", "noise", "mixture", "style"})
"""Starts by name; any other start is a picture file."""

OptimizerName = Literal["lbfgs", "adam"]

LEARNING_RATES: Mapping[OptimizerName, float] = {"lbfgs": 1.0, "adam": 0.02}
"""Default learning rates."""

MOST_LEARNING_RATE = 1e6
"""Largest learning rate: far beyond any that is of use on values in [0, 1], and finite in float32 after a step."""

TEXTURE_SIZE = 512
"""Side in pixels of a texture where no size is given."""

LEAST_SIZE = 32
"""Smallest size in pixels that can be asked for."""

STYLE_SCALES = (0.05, 20)
"""Smallest and largest ``style_scale``: a painting scaled beyond them has no strokes left, or needs too much memory."""


@dataclass
class SlowConfig:
    """Repaint one picture by optimizing its pixels.

    Args:
        output: Picture to write.
        content: Photo; without one, a texture of the style is made.
        style: Painting, or several; without one, the photo is reconstructed from what the content layers hold of it.
        style_shares: How much each painting counts; equally unless told.
        size: Longer side of the picture in pixels; null keeps the photo's, and a smaller photo is not enlarged.
        style_scale: Longer side of the painting over that of the picture: above 1 strokes are larger.
        smallest_size: Longer side of the first, coarse picture, below ``size``; null begins at full size.
        start: Where the pixels begin: content (or photo, the same), noise, mixture (half of each), style, or a picture
            file.
        starts: Several starts in place of one; each is optimized, and all stand on one sheet, the picture to write.
        optimizer: lbfgs or adam.
        iterations: Iterations at each size; fewer where ``patience`` ends a size early.
        learning_rate: L-BFGS's first trial step (1) or Adam's step (0.02).
        perceptual: The frozen network, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` or a file in torchvision's layout.
        pooling: max or average.
        content_layers: Layers that hold the photo's content, each with its share.
        style_layers: Layers that hold the style, each with its share.
        content_weight: How much of the photo is kept.
        content_focus: How much more of it is kept where it shows a thing (a face, an animal, a tower) than where it is
            empty; 0: everywhere alike.
        focus_layer: Layer whose features tell.
        style_weight: Strength of the style; 0.5 is half as strong.
        tv_weight: Smoothness: total variation (squared differences); 0 switches it off.
        alpha_weight: Contrast: alpha-norm, which draws pixels back from black, white and beyond; 0 switches it off.
        style_norm: joint (one distance over all layers) or layers (each layer's distance, added up).
        palette_weight: How closely the picture's colors are to be spread like the painting's; 0 switches it off.
        emd_weight: How strongly the painting's own figures are asked for (relaxed earth mover's distance); 0 switches
            it off.
        emd_layers: Layers on which they are looked for, each with its share.
        emd_rarity: How much more those of them are asked for that are rare in the painting; 0: all alike. It needs
            ``emd_weight``.
        preserve_color: Change the luminance only, and keep the photo's colors.
        precision: float32, bfloat16, or auto. auto takes bfloat16 where the hardware has it, which halves the time,
            and changes to float32 once L-BFGS gains less by a step than bfloat16 rounds away.
        patience: Early stopping: iterations without a fall of the loss by 0.2 % after which a size is done; 0 never
            stops early.
        save_every: Iterations between two intermediate pictures; 0 keeps none, and makes no GIF.
        seed: Fixes the noise.
        overwrite: Replace an earlier picture of the same name, and what lies beside it; never a picture that is read.
    """

    output: str
    content: str | None = None
    style: str | list[str] = field(default_factory=list)
    style_shares: list[float] | None = None
    size: int | None = 512
    style_scale: float = 1.0
    smallest_size: int | None = None
    start: str = "content"
    starts: list[str] = field(default_factory=list)
    optimizer: OptimizerName = "lbfgs"
    iterations: int = 300
    learning_rate: float | None = None
    perceptual: PerceptualName = "vgg19"
    perceptual_weights: str = "default"
    pooling: PoolingName = "max"
    content_layers: dict[str, float] = field(default_factory=lambda: dict(CONTENT_LAYERS))
    style_layers: dict[str, float] = field(default_factory=lambda: dict(STYLE_LAYERS))
    content_weight: float = 1.0
    content_focus: float = 0.0
    focus_layer: str = FOCUS_LAYER
    style_weight: float = 1.0
    tv_weight: float = 1.0
    alpha_weight: float = 0.0
    style_norm: StyleNorm = "joint"
    palette_weight: float = 1.0
    emd_weight: float = 0.0
    emd_layers: dict[str, float] = field(default_factory=lambda: dict(EMD_LAYERS))
    emd_rarity: float = 0.0
    preserve_color: bool = False
    precision: PrecisionName = "auto"
    patience: int = 0
    save_every: int = 50
    seed: int = 0
    overwrite: bool = False

    @property
    def paintings(self) -> list[str]:
        """The paintings' files."""
        return [self.style] if isinstance(self.style, str) else list(self.style)

    @property
    def inputs(self) -> list[Path]:
        """The files that are read."""
        starts = [start for start in (self.starts or [self.start]) if start not in STARTS]
        named = [self.content, *self.paintings, *starts, self.perceptual_weights]
        return [Path(path) for path in named if path]

    @property
    def files(self) -> SlowFiles:
        """The files that are written."""
        return SlowFiles(Path(self.output), keeps_steps=self.save_every > 0 and not self.starts)

    def split_starts(self) -> list[SlowConfig]:
        """Return a configuration for each of ``starts``, whose files are named by the start; this one without them."""
        if not self.starts:
            return [self]
        output = Path(self.output)
        named = [(start, start if start in STARTS else Path(start).stem) for start in self.starts]
        return [
            replace(self, start=start, starts=[], output=str(output.with_stem(f"{output.stem}-{name}")))
            for start, name in named
        ]

    def check(self) -> None:
        """Check the settings before anything is read.

        Raises:
            TrainError: Naming the flag, or the file that cannot or may not be written.
            ImageError: If the output's ending is not a format that can be written.
        """
        require_named(
            content=self.content,
            style=self.paintings,
            output=self.output,
            perceptual_weights=self.perceptual_weights,
            start=self.start,
            starts=self.starts,
        )
        check_writable_format(Path(self.output))
        if self.content is None and not self.paintings:
            raise TrainError("neither --content nor --style was given; name a photo, a painting, or both")
        require_between(1, sys.maxsize, iterations=self.iterations)
        require_at_least(0, patience=self.patience, save_every=self.save_every)
        require_between(*SEEDS, seed=self.seed)
        require_between(*STYLE_SCALES, style_scale=self.style_scale)
        weighted = ("content_weight", "style_weight", "tv_weight", "alpha_weight", "palette_weight", "emd_weight")
        require_between(0, MOST_WEIGHT, **{name: getattr(self, name) for name in weighted})
        require_between(*POWERS, emd_rarity=self.emd_rarity, content_focus=self.content_focus)
        if self.learning_rate is not None:
            require_positive(MOST_LEARNING_RATE, learning_rate=self.learning_rate)
        self._check_sizes()
        if self.emd_rarity and not self.emd_weight:
            raise TrainError(
                f"--emd-rarity is {self.emd_rarity:g} and --emd-weight is 0; give that a weight too, such as "
                "--emd-weight 1, or leave both out"
            )
        self._check_shares()
        if self.preserve_color and self.content is None:
            raise TrainError("--preserve-color keeps the colors of --content; name a photo")
        for start in self.starts or [self.start]:
            if start in {"content", "photo", "mixture"} and self.content is None:
                raise TrainError("without --content there is nothing to start from; set --start noise")
            if start == "style" and not self.paintings:
                raise TrainError("--start style needs --style; name a painting")
        self.files.require_free(self.inputs, self.overwrite)
        if self.starts:
            self._check_starts()

    def _check_starts(self) -> None:
        written = [path for config in (self, *self.split_starts()) for path in config.files.list_written()]
        twice = next((path for path in written if written.count(path) > 1), None)
        if twice is not None:
            raise TrainError(
                f"--starts is {self.starts}, by which two files would be named '{twice}'; each must have another "
                "name, for files are named by it"
            )
        for config in self.split_starts():
            # All inputs, so that no start's picture replaces another start's.
            config.files.require_free(self.inputs, self.overwrite)

    def _check_sizes(self) -> None:
        for name in ("size", "smallest_size"):
            value = getattr(self, name)
            if value is not None:
                require_between(LEAST_SIZE, MOST_SIDE, **{name: value})
        last = self.size if self.content is not None else self.size or TEXTURE_SIZE
        if self.content is None and (self.size or TEXTURE_SIZE) ** 2 > MAX_PIXELS:
            raise TrainError(f"--size is {self.size}; a texture may have at most {MAX_PIXELS:,} pixels in all")
        if self.smallest_size is not None and last is not None and self.smallest_size >= last:
            raise TrainError(
                f"--smallest-size is {self.smallest_size} and --size is {last}; it must be smaller, or null"
            )

    def _check_shares(self) -> None:
        if self.style_shares is None:
            return
        if len(self.style_shares) != len(self.paintings):
            raise TrainError(
                f"--style-shares holds {len(self.style_shares)} numbers for {len(self.paintings)} paintings; "
                "give one for each"
            )
        if not all(0 <= share <= MOST_WEIGHT for share in self.style_shares) or not sum(self.style_shares) > 0:
            raise TrainError(
                f"--style-shares is {self.style_shares}; give shares between 0 and {MOST_WEIGHT:g}, not all of them 0"
            )
