"""What can be asked of the slow mode, and how its pictures are prepared."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from data.images import decode, fit_within, to_array
from data.photos import to_tensor
from models.losses import CONTENT_LAYERS, STYLE_LAYERS, LossConfig, PerceptualLoss
from models.vgg import PerceptualName, PerceptualWeightsError, PoolingName, VGGFeatures
from train.compute.precision import PrecisionName
from train.errors import TrainError, require_at_least
from train.slow.optimizer import LEARNING_RATES, LEAST_SIDE, OptimizerName, make_noise, plan_sizes, resize
from train.slow.outputs import SlowFiles

LUMINANCE = (0.299, 0.587, 0.114)
"""Share of red, green and blue in what the eye sees as light (ITU-R BT.601)."""

STYLE_SCALES = (0.05, 20)
"""Smallest and largest ``style_scale``: below and above it nothing of a painting is left, or no memory."""


@dataclass
class SlowConfig:
    """Repaint one picture by optimizing its pixels.

    Args:
        output: Picture to write.
        content: Photo; without one, a texture of the style is made.
        style: Painting, or several; without one, what the content layers remember of the photo is made visible.
        style_shares: How much each painting counts; equally unless told.
        size: Longer side of the picture in pixels; null keeps the photo's.
        style_scale: Longer side of the painting over that of the picture: above 1 strokes are larger.
        smallest_size: Longer side of the first, coarse picture; null begins at full size.
        start: Where the pixels begin: content, noise, mixture (half of each), style, or a picture file.
        optimizer: lbfgs or adam.
        iterations: Iterations at each size.
        learning_rate: L-BFGS's first trial step (1) or Adam's step (0.02).
        perceptual: The frozen network, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` or a file in torchvision's layout.
        pooling: max or average.
        content_layers: Layers that hold the photo's content, each with its share.
        style_layers: Layers that hold the style, each with its share.
        content_weight: How much of the photo is kept.
        style_weight: Strength of the style; 0.5 is half as strong.
        tv_weight: Smoothness: total variation; 0 switches it off.
        preserve_color: Change the luminance only, and keep the photo's colors.
        precision: float32, bfloat16, or auto: bfloat16 where the hardware has it, which halves the time,
            until L-BFGS gains less by a step than it rounds away.
        patience: Iterations without a fall of the loss by 0.2 % after which a size is done; 0 never stops early.
        save_every: Iterations between two pictures of the way; 0 keeps none, and makes no GIF.
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
    optimizer: OptimizerName = "lbfgs"
    iterations: int = 300
    learning_rate: float | None = None
    perceptual: PerceptualName = "vgg19"
    perceptual_weights: str = "default"
    pooling: PoolingName = "max"
    content_layers: dict[str, float] = field(default_factory=lambda: dict(CONTENT_LAYERS))
    style_layers: dict[str, float] = field(default_factory=lambda: dict(STYLE_LAYERS))
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float = 1.0
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
        start = [] if self.start in {"content", "noise", "mixture", "style"} else [self.start]
        return [Path(path) for path in ([self.content] if self.content else []) + self.paintings + start]

    @property
    def files(self) -> SlowFiles:
        """The files that are written."""
        return SlowFiles(Path(self.output), with_way=self.save_every > 0)

    def check(self) -> None:
        """Refuse what cannot work, before anything is read.

        Raises:
            TrainError: Naming the flag, or the file that cannot or may not be written.
            ImageError: If the output's ending is no format that can be written.
        """
        if self.content is None and not self.paintings:
            raise TrainError("neither --content nor --style was given; name a photo, a painting, or both")
        require_at_least(1, iterations=self.iterations)
        require_at_least(0, patience=self.patience, save_every=self.save_every)
        low, high = STYLE_SCALES
        if not low <= self.style_scale <= high:
            raise TrainError(f"--style_scale is {self.style_scale}; it must be between {low} and {high}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise TrainError(
                f"--learning_rate is {self.learning_rate}; it must be above 0, or left out for "
                f"{LEARNING_RATES[self.optimizer]:g}"
            )
        for name in ("size", "smallest_size"):
            value = getattr(self, name)
            if value is not None and value < 32:
                raise TrainError(f"--{name} is {value}; it must be at least 32 pixels")
        if self.style_shares is not None and len(self.style_shares) != len(self.paintings):
            raise TrainError(
                f"--style_shares holds {len(self.style_shares)} numbers for {len(self.paintings)} paintings; "
                "give one for each"
            )
        if self.style_shares is not None and not (min(self.style_shares) >= 0 and sum(self.style_shares) > 0):
            raise TrainError("--style_shares holds a negative number, or only zeros; give shares of 0 or more")
        if self.preserve_color and self.content is None:
            raise TrainError("--preserve_color keeps the colors of --content; name a photo")
        if self.start in {"content", "mixture"} and self.content is None:
            raise TrainError("without --content there is nothing to start from; set --start noise")
        if self.start == "style" and not self.paintings:
            raise TrainError("--start style needs --style; name a painting")
        self.files.require_free(self.inputs, self.overwrite)


@dataclass
class Task:
    """The pictures of one optimization, at full size, and the loss between them.

    Args:
        config: What was asked for.
    """

    config: SlowConfig

    def __post_init__(self) -> None:
        config = self.config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.content = self._read(config.content, config.size) if config.content else None
        self.paintings = [self._read(path, None) for path in config.paintings]
        if self.content is not None:
            self.size = (self.content.shape[2], self.content.shape[3])
        else:
            self.size = (config.size or 512, config.size or 512)
        self.colors = self.content
        if config.preserve_color and self.content is not None:
            self.content = to_luminance(self.content)
            self.paintings = [match_luminance(to_luminance(painting), self.content) for painting in self.paintings]
        try:
            loss_config = LossConfig(
                config.content_layers,
                config.style_layers,
                config.content_weight if self.content is not None else 0.0,
                config.style_weight if self.paintings else 0.0,
                config.tv_weight,
                grid_weight=0.0,
            )
            layers = loss_config.layers
            features = VGGFeatures(config.perceptual, layers, config.perceptual_weights, config.pooling)
            self.loss = PerceptualLoss(features, loss_config)
        except PerceptualWeightsError as error:
            raise TrainError(str(error.with_flag("--perceptual_weights"))) from error
        except ValueError as error:
            raise TrainError(str(error)) from error
        self.loss.to(self.device)
        self.least_side = max(LEAST_SIDE, 2 ** sum(name.startswith("pool") for name in features.layer_names))
        if min(self.size) < self.least_side:
            raise TrainError(
                f"the picture would have {self.size[1]} x {self.size[0]} pixels and the layers need {self.least_side} "
                "on either side; name a larger photo or set a larger --size"
            )
        self.sizes = plan_sizes(self.size, config.smallest_size, self.least_side)

    def _read(self, path: str, longer_side: int | None) -> Tensor:
        image = decode(Path(path))
        if longer_side is not None:
            image = fit_within(image, longer_side)
        return to_tensor(to_array(image)).to(self.device)

    def prepare(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """Set the style's targets for a size, and return the content's."""
        longer = round(max(size) * self.config.style_scale)
        self.loss.set_style(
            [
                _scale_longer_side(painting, longer, self.least_side).expand(-1, 3, -1, -1)
                for painting in self.paintings
            ],
            self.config.style_shares,
        )
        return self.loss.describe_content(self._content(size)) if self.content is not None else {}

    def first_picture(self, size: tuple[int, int]) -> Tensor:
        """Return where the pixels begin: shape (1, 3, H, W), or (1, 1, H, W) where only the luminance is free."""
        start = self.config.start
        channels = 1 if self.config.preserve_color else 3
        if start in {"noise", "mixture"}:
            noise = make_noise((1, channels, *size), self.config.seed).to(self.device)
            return noise if start == "noise" else noise.lerp(self._content(size)[:, :channels], 0.5)
        if start == "content":
            return self._content(size)[:, :channels]
        picture = self.paintings[0] if start == "style" else self._read(start, None)
        if channels == 1 and picture.shape[1] == 3:
            picture = to_luminance(picture)
        return resize(picture, size)

    def finish(self, picture: Tensor) -> Tensor:
        """Give a picture of luminance the photo's colors back; any other stays as it is."""
        if not self.config.preserve_color or self.colors is None:
            return picture
        colors = resize(self.colors, (picture.shape[2], picture.shape[3]))
        return (colors - to_luminance(colors) + picture).clamp(0, 1)

    def _content(self, size: tuple[int, int]) -> Tensor:
        if self.content is None:
            raise RuntimeError("there is no content")
        return resize(self.content, size).expand(-1, 3, -1, -1)


def to_luminance(picture: Tensor) -> Tensor:
    """Return the luminance of RGB, shape (1, 3, H, W), as (1, 1, H, W)."""
    weights = picture.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    return (picture * weights).sum(1, keepdim=True)


def match_luminance(painting: Tensor, photo: Tensor) -> Tensor:
    """Give a painting's luminance the mean and spread of a photo's (Gatys et al. 2016b, section 3.2), in [0, 1]."""
    standard = (painting - painting.mean()) / painting.std().clamp_min(1e-6)
    return (standard * photo.std() + photo.mean()).clamp(0, 1)


def _scale_longer_side(picture: Tensor, longer: int, least: int) -> Tensor:
    height, width = picture.shape[2:]
    scale = longer / max(height, width)
    return resize(picture, (max(least, round(height * scale)), max(least, round(width * scale))))
