"""The networks whose layers can be looked at: frozen VGGs, and style networks from their files or checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from models.errors import ModelFileError
from models.network import SMALLEST_SIDE, NetworkConfig, StyleNetwork
from models.style_file import load_style
from models.vgg import PerceptualName, PerceptualWeightsError, VGGFeatures, name_layers
from train.errors import TrainError
from train.features.deconvnet import Network, rectified_activations
from train.features.field import Window
from train.fit.checkpoint import AtomicCheckpointIO
from train.fit.run_folder import RunFolder

VGG_LAYERS = ("relu1_2", "relu3_1", "relu4_1")
"""Layers of a VGG that are looked at unless told."""

STYLE_LAYERS = ("relu1", "relu3", "relu4", "relu5")
"""Those of a style network."""


@dataclass(frozen=True)
class SeenNetwork:
    """A network, and what is known of its layers.

    Args:
        name: As reports have it.
        run: The network.
        windows: For each ReLU, in the order in which the network computes them, the windows from the picture as far as
            it, by its name.
        least_side: Smallest side of a picture in pixels.
        device: Where it computes.
    """

    name: str
    run: Network
    windows: dict[str, tuple[Window, ...]]
    least_side: int
    device: torch.device

    def number(self, layer: str) -> int:
        """Return the number of a layer among the network's ReLUs.

        Raises:
            TrainError: If the network has no such layer.
        """
        names = list(self.windows)
        if layer not in names:
            raise TrainError(f"--layers names {layer!r}; choose among {', '.join(names)}, the ReLUs of {self.name}")
        return names.index(layer)

    @torch.no_grad()
    def count_channels(self, layer: str) -> int:
        """Return the number of a layer's channels."""
        number = self.number(layer)
        picture = torch.zeros(1, 3, self.least_side, self.least_side, device=self.device)
        return rectified_activations(self.run, picture, [number])[number].shape[1]


def open_perceptual(name: PerceptualName, layers: Sequence[str], weights: str, device: torch.device) -> SeenNetwork:
    """Open a frozen network.

    Args:
        name: ``vgg16``, ``vgg19`` or ``vgg_small``.
        layers: The layers that will be looked at; the network ends at the deepest.
        weights: ``default``, or a file in torchvision's layout.
        device: Where it is to compute.

    Raises:
        TrainError: If the network has no such layer, or its weights are absent or do not fit.
    """
    windows: dict[str, tuple[Window, ...]] = {}
    so_far: list[Window] = []
    for layer in name_layers(name):
        if layer.startswith("relu"):
            windows[layer] = tuple(so_far)
        else:
            so_far.append(Window(3, padding=1) if layer.startswith("conv") else Window(2, stride=2))
    for layer in layers:
        if layer not in windows:
            raise TrainError(f"--layers names {layer!r}; choose among {', '.join(windows)}, the ReLUs of {name}")
    try:
        features = VGGFeatures(name, layers, weights).to(device)
    except PerceptualWeightsError as error:
        raise error.with_flag("--perceptual-weights") from error
    deepest = features.layer_names[-1]
    poolings = sum(layer.startswith("pool") for layer in features.layer_names)
    return SeenNetwork(
        name, lambda pictures: features(pictures, [deepest]), windows, max(SMALLEST_SIDE, 2**poolings), device
    )


def open_style(path: Path, device: torch.device) -> SeenNetwork:
    """Open a style network.

    Args:
        path: A style file, or a checkpoint of its training.
        device: Where it is to compute.

    Raises:
        ModelFileError, TrainError: If the file is absent, damaged, or something else.
    """
    name = path.stem
    if path.suffix == ".ckpt":
        network = _load_checkpoint(path)
    else:
        network, card = load_style(path)
        # What every training run calls its file tells nothing.
        name = card.name if path == RunFolder(path.parent).weights and card.name else name
    return SeenNetwork(
        name, network.to(device).requires_grad_(False), _trace_style(network.config), SMALLEST_SIDE, device
    )


def _load_checkpoint(path: Path) -> StyleNetwork:
    checkpoint = AtomicCheckpointIO().load_checkpoint(path)
    if "network" not in checkpoint:
        raise ModelFileError(
            f"checkpoint '{path}' does not tell its network's architecture, as those of version 0.2 did not; name the "
            "run's style.safetensors"
        )
    network = StyleNetwork(NetworkConfig.from_dict(checkpoint["network"]))
    network.load_state_dict(
        {
            name.removeprefix("network."): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith("network.")
        }
    )
    return network.eval()


def _trace_style(config: NetworkConfig) -> dict[str, tuple[Window, ...]]:
    """List the windows of a style network's ReLUs: ``residual1`` is the one inside of the first residual block."""
    three = Window(3, padding=1)
    doubled = (three, Window(1, enlarged=2)) if config.upsampling == "pixel_shuffle" else (Window(3, 1, 1, 2),)
    added: dict[str, tuple[Window, ...]] = {
        "relu1": (Window(9, padding=4),),
        "relu2": (Window(3, stride=2, padding=1),),
        "relu3": (Window(3, stride=2, padding=1),),
    }
    for block in range(1, config.residual_blocks + 1):
        added[f"residual{block}"] = (three,) if block == 1 else (three, three)
    added |= {"relu4": ((three,) if config.residual_blocks else ()) + doubled, "relu5": doubled}
    windows: dict[str, tuple[Window, ...]] = {}
    so_far: tuple[Window, ...] = ()
    for layer, more in added.items():
        so_far += more
        windows[layer] = so_far
    return windows
