"""What fast and slow are judged by: the loss that a network was trained with, and another network's."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import torch
import yaml
from safetensors import safe_open

from data.photos import read_style
from export.runtime.stylizer import Stylizer
from models.efficientnet import (
    EFFICIENTNET_CONTENT_LAYERS,
    EFFICIENTNET_STYLE_LAYERS,
    EfficientNetFeatures,
    EfficientNetName,
)
from models.losses import LossConfig, PerceptualLoss
from models.vgg import SMALL_WEIGHTS, PerceptualWeightsError, VGGFeatures


@dataclass(frozen=True)
class Objective:
    """The loss that fast and slow share.

    Args:
        config: Layers and weights of the loss.
        style_size: Short side at which the painting is looked at.
        perceptual: The frozen network.
    """

    config: LossConfig
    style_size: int | None
    perceptual: str

    def build(self, network: str, weights: str, style: Path) -> PerceptualLoss:
        """Build the loss on a network's features, with its style set; one that is no VGG looks at layers of its own."""
        config = self.config
        if network in get_args(EfficientNetName):
            if weights != "default":
                raise PerceptualWeightsError(f"{network} takes no weights but its own; leave them out, or choose a VGG")
            config = replace(config, content_layers=EFFICIENTNET_CONTENT_LAYERS, style_layers=EFFICIENTNET_STYLE_LAYERS)
            loss = PerceptualLoss(EfficientNetFeatures(), config)
        else:
            loss = PerceptualLoss(VGGFeatures(network, config.layers, weights), config)  # type: ignore[arg-type]
        loss.set_style([read_style(style, self.style_size)])
        return loss


def read_objective(stylizer: Stylizer) -> tuple[Objective, str]:
    """Find out by what a network was trained.

    Args:
        stylizer: An exported network.

    Returns:
        Its objective and a sentence on where that was found; a foreign file gets the defaults.
    """
    model: dict[str, Any] = {}
    if stylizer.card is not None:
        loaded = yaml.safe_load(stylizer.card.training_config) or {}
        model = loaded.get("model", {}) if isinstance(loaded, dict) else {}
    told = {field.name: model[field.name] for field in fields(LossConfig) if field.name in model}
    # The grid term belongs to trainings: the slow optimization has none.
    config = replace(LossConfig(**told), grid_weight=0)
    found = f"as '{stylizer.path.name}' was trained" if model else "the defaults, for the file does not say its own"
    return Objective(config, model.get("style_size", 384), model.get("perceptual", "vgg19")), found


def is_same_network(one: PerceptualLoss, other: PerceptualLoss) -> bool:
    """Tell whether two losses look through the very same network, whatever its weights' files are called."""
    mine, theirs = one.features, other.features
    if mine.network != theirs.network:
        return False
    if not (isinstance(mine, VGGFeatures) and isinstance(theirs, VGGFeatures)):
        return True  # a judge has but one set of weights
    weights = dict(theirs.named_buffers())
    return all(torch.equal(value, weights[name]) for name, value in mine.named_buffers())


def describe_kinship(networks: dict[str, str]) -> str | None:
    """Say in a sentence if one of two networks was distilled from the other, for then they judge alike.

    Args:
        networks: For each its name, and where its weights are: ``default`` or a file.

    Returns:
        The sentence; None for networks that were trained apart.
    """
    if "vgg_small" not in networks or len(networks) < 2:
        return None
    path = SMALL_WEIGHTS if networks["vgg_small"] == "default" else Path(networks["vgg_small"])
    header: dict[str, str] = {}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
    # What says nothing of itself is taken for the kept file's kind.
    teacher = header.get("teacher", "vgg19").split()[0]
    if teacher not in networks:
        return None
    return f"vgg_small was distilled from {teacher}, so that the other network is no independent judge."
