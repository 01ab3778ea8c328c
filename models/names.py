"""Names and defaults of the losses; imports no torch, so that the commands' --help is fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

PerceptualName = Literal["vgg16", "vgg19", "vgg_small"]
"""The frozen networks that a loss can be computed on."""

PoolingName = Literal["max", "average"]
"""How a frozen network halves the size of its activations."""

StyleNorm = Literal["joint", "layers"]
"""How the style's differences in several layers become one number: one distance over all, or the sum of each one's."""

CONTENT_LAYERS = {"relu3_3": 0.5, "relu4_2": 0.5}
"""Layers that hold the photo's content unless told, each with its share."""

STYLE_LAYERS = {"relu1_1": 0.3, "relu2_1": 0.15, "relu3_1": 0.25, "relu4_1": 0.3}
"""Layers that hold the style unless told, each with its share."""

EMD_LAYERS = {"relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}
"""Layers of the relaxed earth mover's distance unless told, each with its share."""

FOCUS_LAYER = "relu5_1"
"""Layer that tells where a photo shows a thing, unless told."""

STYLE_SIZE = 512
"""Pixels that the painting's short side is scaled to unless told."""

FORMER_LOSS: Mapping[str, Any] = {
    "content_layers": {"relu3_3": 1.0},
    "style_layers": {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0},
    "style_norm": "layers",
    "palette_weight": 0.0,
    "spectrum_weight": 0.0,
    "style_size": 384,
}
"""Defaults from before there was a ``style_norm``: a configuration without that key was trained with them."""

EfficientNetName = Literal["efficientnet_lite0"]
"""The network other than VGG that pictures can be evaluated on."""
