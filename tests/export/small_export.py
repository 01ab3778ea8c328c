"""Exports small enough for a test: a narrow network with random weights, as one file or as a folder of variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from data.images import encode, from_array
from export.graph.convert import convert, draw_pictures
from export.graph.targets import LEAN, Form
from export.variants.export import Request, export_variants
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style

NARROW = NetworkConfig(8, 1)
WAVE = StyleCard("wave")


def draw(height: int = 24, width: int = 33) -> NDArray[np.uint8]:
    """Draw a picture with what photos have, uint8, shape (H, W, 3), the same for the same size."""
    return draw_pictures(1, height, width)[0].transpose(1, 2, 0).astype(np.uint8)


def make_network(config: NetworkConfig = NARROW, seed: int = 0, spread: float = 0) -> StyleNetwork:
    """Make a network of random weights; ``spread`` gives every channel of its norms statistics of its own."""
    torch.manual_seed(seed)
    network = StyleNetwork(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.add_(spread * torch.randn_like(parameter))
    return network


def add_strength(network: StyleNetwork, spread: float = 0.2) -> StyleNetwork:
    """Return the same style with strength, as if trained: each channel of its norms changes in its own way."""
    torch.manual_seed(1)
    found = StyleNetwork(replace(network.config, strength=True))
    found.start_from(network)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if name.endswith(".changes"):
                parameter.add_(spread * torch.randn_like(parameter))
    return found.eval()


def export_style(path: Path, network: StyleNetwork, card: StyleCard = WAVE, form: Form = LEAN) -> Path:
    """Write ``style.safetensors`` into a folder, and the ONNX file of that path beside it; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_style(path.with_name("style.safetensors"), network, card)
    convert(path.parent, path, form=form)
    return path


def write_photos(folder: Path, count: int = 5) -> Path:
    """Write photos to test variants on and to calibrate with."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        encode(from_array(draw(50 + index, 67)), folder / f"{index}.png")
    return folder


def export_folder(folder: Path, network: StyleNetwork, card: StyleCard = WAVE, **wishes: Any) -> Path:
    """Write a folder of variants as ``python -m export --variants`` does; ``wishes`` are the request's."""
    save_style(folder / "style.safetensors", network, card)
    request = Request(photos=write_photos(folder / "photos"), sizes=(32,), **wishes)
    export_variants(folder / "style.safetensors", folder / "wave", request, announce=lambda _: None)
    return folder / "wave"


def write_foreign(
    path: Path,
    name: str = "image",
    kind: int = onnx.TensorProto.FLOAT,
    shape: Sequence[str | int] = ("n", 3, "h", "w"),
    operator: str = "Identity",
    **options: Any,
) -> Path:
    """Write a model of one operator and without a card, as others than this project write them."""
    values = [onnx.helper.make_tensor_value_info(value, kind, shape) for value in (name, "stylized")]
    node = onnx.helper.make_node(operator, [name], ["stylized"], **options)
    graph = onnx.helper.make_graph([node], "foreign", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="someone"), path)
    return path
