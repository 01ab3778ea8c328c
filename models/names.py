"""Names and defaults of the losses, free of torch, so that a command's help and its configuration load at once."""

from __future__ import annotations

from typing import Literal

PerceptualName = Literal["vgg16", "vgg19", "vgg_small"]
"""The frozen networks that a loss can be computed on."""

PoolingName = Literal["max", "average"]
"""How a frozen network halves the size of its activations."""

CONTENT_LAYERS = {"relu3_3": 1.0}
"""Layers that hold the photo's content unless told, each with its share."""

STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0}
"""Layers that hold the style unless told, each with its share."""

EfficientNetName = Literal["efficientnet_lite0"]
"""The network other than VGG that pictures can be evaluated on."""
