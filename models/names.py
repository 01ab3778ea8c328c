"""Names and defaults of the losses; imports no torch, so that the commands' --help is fast."""

from __future__ import annotations

from typing import Literal

PerceptualName = Literal["vgg16", "vgg19", "vgg_small"]
"""The frozen networks that a loss can be computed on."""

PoolingName = Literal["max", "average"]
"""How a frozen network halves the size of its activations."""

CONTENT_LAYERS = {"relu3_3": 1.0}
"""Default layers that hold the photo's content, each with its share."""

STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0}
"""Default layers that hold the style, each with its share."""

EfficientNetName = Literal["efficientnet_lite0"]
"""The network other than VGG that pictures can be evaluated on."""
