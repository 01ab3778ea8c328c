"""The pictures of a slow optimization, and the loss between them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from data.images import decode, fit_within, to_array
from data.photos import to_tensor
from models.losses import Content, LossConfig, PerceptualLoss
from models.vgg import PerceptualWeightsError, VGGFeatures
from train.compute.device import choose_device
from train.errors import TrainError
from train.slow.config import TEXTURE_SIZE, SlowConfig
from train.slow.optimizer import LEAST_SIDE, make_noise, plan_sizes, resize

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""


@dataclass
class Task:
    """The pictures of one optimization, at full size, and the loss between them.

    Args:
        config: What was asked for.
    """

    config: SlowConfig

    def __post_init__(self) -> None:
        config = self.config
        self.device = choose_device()
        self.content = self._read(config.content, config.size) if config.content else None
        self.paintings = [self._read(path, None) for path in config.paintings]
        if self.content is not None:
            self.size = (self.content.shape[2], self.content.shape[3])
        else:
            self.size = (config.size or TEXTURE_SIZE, config.size or TEXTURE_SIZE)
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
                style_norm=config.style_norm,
                palette_weight=config.palette_weight if self.paintings else 0.0,
                emd_weight=config.emd_weight if self.paintings else 0.0,
                emd_layers=config.emd_layers,
                emd_rarity=config.emd_rarity,
                content_focus=config.content_focus,
                focus_layer=config.focus_layer,
            ).without_training_terms()
            features = VGGFeatures(config.perceptual, loss_config.layers, config.perceptual_weights, config.pooling)
            self.loss = PerceptualLoss(features, loss_config)
        except PerceptualWeightsError as error:
            raise TrainError(str(error.with_flag("--perceptual-weights"))) from error
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

    def prepare(self, size: tuple[int, int]) -> Content:
        """Set the style's targets for a size, (H, W), and return what ``describe_content`` finds in the photo."""
        longer = round(max(size) * self.config.style_scale)
        self.loss.set_style(
            [
                _scale_longer_side(painting, longer, self.least_side).expand(-1, 3, -1, -1)
                for painting in self.paintings
            ],
            self.config.style_shares,
        )
        return self.loss.describe_content(self._content(size)) if self.content is not None else Content({})

    def first_picture(self, size: tuple[int, int]) -> Tensor:
        """Return the picture that the optimization starts from.

        Args:
            size: Height and width.

        Returns:
            Values in [0, 1], shape (1, 3, H, W), or (1, 1, H, W) where the luminance alone is optimized.
        """
        start = self.config.start
        channels = 1 if self.config.preserve_color else 3
        if start in {"noise", "mixture"}:
            noise = make_noise((1, channels, *size), self.config.seed).to(self.device)
            return noise if start == "noise" else noise.lerp(self._content(size)[:, :channels], 0.5)
        if start in {"content", "photo"}:
            return self._content(size)[:, :channels]
        picture = self.paintings[0] if start == "style" else self._read(start, None)
        if channels == 1 and picture.shape[1] == 3:
            picture = to_luminance(picture)
        return resize(picture, size)

    def finish(self, picture: Tensor) -> Tensor:
        """Give an optimized luminance the photo's colors back; return any other picture as it is."""
        if not self.config.preserve_color or self.colors is None:
            return picture
        colors = resize(self.colors, (picture.shape[2], picture.shape[3]))
        return (colors - to_luminance(colors) + picture).clamp(0, 1)

    @property
    def photo(self) -> Tensor:
        """The photo at full size, RGB in [0, 1], shape (1, 3, H, W).

        Raises:
            RuntimeError: If there is none.
        """
        return self._content(self.size)

    def _content(self, size: tuple[int, int]) -> Tensor:
        if self.content is None:
            raise RuntimeError("there is no content")
        return resize(self.content, size).expand(-1, 3, -1, -1)


def announce_small(longer: int, *asked: int | None) -> None:
    """Say on standard error that a photo is not enlarged.

    Args:
        longer: Its longer side in pixels.
        asked: The sizes that were asked for; nothing is said where none is larger.
    """
    larger = [str(size) for size in asked if size is not None and size > longer]
    if larger:
        said = f"the photo has {longer} px on its longer side; it is not enlarged to {' or '.join(larger)}"
        print(said, file=sys.stderr)


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
