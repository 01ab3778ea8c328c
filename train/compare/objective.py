"""The losses of a comparison: the one that a style network was trained with, and one on a reference network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import torch
import yaml
from safetensors import safe_open

from data.images import MAX_SIDE
from data.photos import read_style
from export.errors import ModelError
from export.runtime.session import first_line
from export.runtime.stylizer import Stylizer
from models.efficientnet import EFFICIENTNET_CONTENT_LAYERS, EFFICIENTNET_STYLE_LAYERS, EfficientNetFeatures
from models.losses import LossConfig, PerceptualLoss
from models.names import FORMER_LOSS, STYLE_SIZE, EfficientNetName
from models.vgg import SMALL_WEIGHTS, PerceptualWeightsError, VGGFeatures, name_layers
from train.errors import TrainError
from train.yaml_bound import load_bounded


@dataclass(frozen=True)
class Objective:
    """The loss that a style network was trained with and that the slow optimization minimizes.

    Args:
        config: Layers and weights of the loss.
        style_size: Short side in pixels that the painting is scaled to; None leaves it as it is.
        perceptual: The frozen network.
        paintings: Number of paintings of the style; None where it is not known.
    """

    config: LossConfig
    style_size: int | None
    perceptual: str
    paintings: int | None = None

    @property
    def effective(self) -> Objective:
        """The same loss without what does not change it: the scale of shares, and settings of terms that are off."""
        config, usual = self.config, LossConfig()
        focus = config.content_focus if config.content_weight else 0
        effective = replace(
            config,
            content_layers=config.content_shares,
            style_layers=config.style_shares,
            grid_cell=config.grid_cell if config.grid_weight else usual.grid_cell,
            style_norm=config.style_norm if config.style_weight else usual.style_norm,
            emd_layers=config.emd_shares,
            emd_rarity=config.emd_rarity if config.emd_weight else 0,
            content_focus=focus,
            focus_layer=config.focus_layer if focus else usual.focus_layer,
        )
        return replace(self, config=effective, paintings=None)

    def build(
        self, network: str, weights: str, style: Path | Sequence[Path], further_layers: Sequence[str] = ()
    ) -> PerceptualLoss:
        """Build the loss on the features of a frozen network, with its style set.

        Args:
            network: A VGG, which takes the objective's layers, or a network with layers of its own.
            weights: ``default`` or a file in torchvision's layout.
            style: The painting, or all paintings of the style.
            further_layers: Layers that a VGG must reach beside those of the loss.

        Raises:
            PerceptualWeightsError: If the weights are absent or do not fit.
            ImageError: If the painting cannot be read.
        """
        config = self.config
        if network in get_args(EfficientNetName):
            if weights != "default":
                raise PerceptualWeightsError(f"{network} takes no weights but its own; leave them out, or choose a VGG")
            # Its losses are told apart as content and style; the other terms have no layers of it, or none at all,
            # and the content counts everywhere alike.
            config = replace(
                config,
                content_layers=EFFICIENTNET_CONTENT_LAYERS,
                style_layers=EFFICIENTNET_STYLE_LAYERS,
                emd_weight=0,
                content_focus=0,
            )
            loss = PerceptualLoss(EfficientNetFeatures(), config)
        else:
            loss = PerceptualLoss(VGGFeatures(network, (*config.layers, *further_layers), weights), config)  # type: ignore[arg-type]
        paintings = [style] if isinstance(style, Path) else style
        loss.set_style([read_style(painting, self.style_size) for painting in paintings])
        return loss


def read_objective(stylizer: Stylizer) -> tuple[Objective, str]:
    """Read from an exported network which loss it was trained with.

    Args:
        stylizer: An exported network.

    Returns:
        Its objective, and where that was found; a file without a training configuration gets the defaults.

    Raises:
        ModelError: If the file's training configuration is not one of this program.
    """
    configuration = stylizer.card.training_config if stylizer.card is not None else ""
    try:
        model = _read_model(configuration)
        objective = _choose_objective(model)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model '{stylizer.path}' holds a training configuration that cannot be used ({first_line(error)}); export "
            "it again, from the run that trained it"
        ) from error
    found = (
        f"as '{stylizer.path.name}' was trained"
        if model
        else "the defaults, because the file holds no training configuration"
    )
    return objective, found


def read_shared_objective(stylizers: Iterable[Stylizer]) -> tuple[Objective, str]:
    """Read which loss several exported networks were trained with, as ``read_objective`` does.

    Args:
        stylizers: At least one exported network.

    Raises:
        TrainError: If they were trained with different losses.
        ModelError: If a file's training configuration is not one of this program.
    """
    first, *others = stylizers
    objective, origin = read_objective(first)
    for other in others:
        if read_objective(other)[0].effective != objective.effective:
            raise TrainError(
                f"'{other.path}' was trained with another loss than '{first.path}'; compare them one at a time"
            )
    return objective, origin


def _read_model(configuration: str) -> dict[str, Any]:
    """Return the part of a training configuration that describes network and loss."""
    loaded = load_bounded(configuration) or {}
    model = loaded.get("model", {}) if isinstance(loaded, dict) else loaded
    if not isinstance(model, dict):
        raise TypeError(f"it holds {type(model).__name__} where the settings of --model are expected")
    return model


def _choose_objective(model: dict[str, Any]) -> Objective:
    if model and "style_norm" not in model:
        model = {**FORMER_LOSS, **model}
    given = {field.name: model[field.name] for field in fields(LossConfig) if field.name in model}
    # The slow optimization has none of the terms that belong to trainings.
    config = LossConfig(**given).without_training_terms()
    style_size, perceptual = model.get("style_size", STYLE_SIZE), model.get("perceptual", "vgg19")
    if style_size is not None and not (isinstance(style_size, int) and 0 < style_size < MAX_SIDE):
        raise ValueError(f"style_size is {style_size!r}; it must be a positive number of pixels")
    unknown = sorted(set(config.layers) - set(name_layers(perceptual)))
    if unknown:
        raise ValueError(f"{perceptual} has no layer {unknown[0]!r}")
    style = model.get("style")
    paintings = len(style) if isinstance(style, list) else 1 if isinstance(style, str) else None
    return Objective(config, style_size, perceptual, paintings)


def is_same_network(one: PerceptualLoss, other: PerceptualLoss) -> bool:
    """Return whether two losses are computed on the same network with the same weights, whatever their files' names."""
    mine, theirs = one.features, other.features
    if mine.network != theirs.network:
        return False
    if not (isinstance(mine, VGGFeatures) and isinstance(theirs, VGGFeatures)):
        return True  # networks other than VGG have one set of weights
    # One may be built deeper than the other: the layers that both have decide.
    weights = dict(theirs.named_buffers())
    return all(torch.equal(value, weights[name]) for name, value in mine.named_buffers() if name in weights)


def describe_distillation(networks: dict[str, str]) -> str | None:
    """Say in a sentence if one of two networks was distilled from the other, because then their losses agree.

    Args:
        networks: For each its name, and where its weights are: ``default`` or a file.

    Returns:
        The sentence; None for networks that were trained independently.
    """
    if "vgg_small" not in networks or len(networks) < 2:
        return None
    path = SMALL_WEIGHTS if networks["vgg_small"] == "default" else Path(networks["vgg_small"])
    header: dict[str, str] = {}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
    # A file without the header is taken to be distilled from the same network as the kept one.
    teacher = (header.get("teacher", "").split() or ["vgg19"])[0]
    if teacher not in networks:
        return None
    return f"vgg_small was distilled from {teacher}, so the reference network is not independent."
