"""Rewrites that give the same picture in less time and memory; ``python -m export --plain`` leaves them out.

Each is exact but for the order of float32 additions. What is written here is what the layers themselves compute
(``models.layers``), and which constants can go:

- the scale of the network's input is multiplied into the first kernel, because padding commutes with a scale;
- the bias of a convolution before an instance norm is left out, because the norm subtracts every channel's mean;
- padding with zeros is done by the convolution and needs no Pad;
- nearest-neighbor x2 and a 3x3 convolution become one 2x2 convolution of the small picture and DepthToSpace;
- the last 9x9 convolution to 3 channels computes 2 x 2 pixels at a time, with stride 2, and DepthToSpace.

DepthToSpace has phases before channels (mode DCR), the order that every delegate takes.
"""

from __future__ import annotations

from torch import Tensor

from export.graph.builder import GraphBuilder
from models.layers import Conv, PaddingMode, UpsampledConv, fuse_upsampling, split_phases

LAST_PHASES = 2
"""Pixels per cell and direction of the last convolution: 12 channels by a 10x10 kernel. With 4, as torch computes it,
48 channels by 12x12, the file is 0.7 MB larger and ONNX Runtime no faster."""


def conv(graph: GraphBuilder, name: str, layer: Conv, value: str, gain: float = 1, bias: bool = False) -> str:
    """Add a convolution whose weights carry a gain of the input, and no bias unless told so.

    Args:
        graph: What is added to.
        name: Of the node.
        layer: The layer.
        value: Its input, shape (N, C, H, W).
        gain: Factor that the input is multiplied by.
        bias: Whether the layer's bias matters: it does not where an instance norm follows.

    Returns:
        Name of the output.
    """
    padded, margin = _continue(graph, name, value, layer.kernel_size // 2, layer.padding)
    return graph.convolve(name, padded, layer.weight * gain, layer.bias if bias else None, layer.stride, margin)


def upsampled_conv(graph: GraphBuilder, name: str, layer: UpsampledConv, value: str) -> str:
    """Add a convolution that doubles the resolution and that an instance norm follows: (N, C, H, W) to (N, O, 2H, 2W).

    A learned pixel shuffle keeps its bias: the norm's mean is over the four phases, whose biases differ.
    """
    if layer.shuffle:
        padded, margin = _continue(graph, name, value, 1, layer.padding)
        weight, bias = phases_first(layer.weight, 2), phases_first(layer.bias, 2)
        return _to_space(graph, name, graph.convolve(name, padded, weight, bias, margin=margin), 2)
    # A reflected border of the doubled picture is the repeated border of the small one.
    padded, margin = _continue(graph, name, value, 1, "zero" if layer.padding == "zero" else "replicate")
    phases = graph.convolve(name, padded, phases_first(fuse_upsampling(layer.weight), 2), margin=margin)
    doubled = _to_space(graph, name, phases, 2)
    start, end = graph.sizes("ring.start", [1, 1]), graph.sizes("ring.end", [-1, -1])
    return graph.node("Slice", f"{name}.crop", doubled, start, end, graph.sizes("spatial", [2, 3]))


def phased_conv(graph: GraphBuilder, name: str, layer: Conv, value: str, phases: int = LAST_PHASES) -> str:
    """Add a convolution of stride 1 to few channels, ``phases`` squared pixels at a time.

    Args:
        graph: What is added to.
        name: Of the node.
        layer: The layer.
        value: Its input, shape (N, C, H, W), H and W multiples of ``phases``.
        phases: Pixels per cell and direction.

    Returns:
        Name of the output.
    """
    padded, margin = _continue(graph, name, value, layer.kernel_size // 2, layer.padding)
    weight = phases_first(split_phases(layer.weight, phases), phases)
    bias = phases_first(layer.bias.repeat_interleave(phases**2), phases)
    cells = graph.convolve(name, padded, weight, bias, phases, margin)
    return _to_space(graph, name, cells, phases)


def phases_first(constants: Tensor, phases: int) -> Tensor:
    """Reorder channels from pixel shuffle's (C, phases^2) to DepthToSpace's DCR (phases^2, C)."""
    return constants.reshape(-1, phases**2, *constants.shape[1:]).transpose(0, 1).flatten(0, 1)


def _continue(graph: GraphBuilder, name: str, value: str, margin: int, mode: PaddingMode) -> tuple[str, int]:
    """Pad a picture, or leave that to the convolution; return the value and the zeros that the convolution must add."""
    if mode == "zero":
        return value, margin
    return graph.pad(name, value, margin, mode), 0


def _to_space(graph: GraphBuilder, name: str, value: str, phases: int) -> str:
    return graph.node("DepthToSpace", f"{name}.shuffle", value, blocksize=phases, mode="DCR")
