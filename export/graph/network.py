"""The style network as an ONNX graph, written node by node.

Written by hand instead of traced, because the graph is the product: every node has the name of its layer, the bytes
depend on the weights alone, and no version of torch changes them.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn

from export.contract import INPUT, NOISE, NOISE_STEP, NOISE_TILE, NOISY, OUTPUT, STRENGTH
from export.graph import rewrites
from export.graph.builder import SPATIAL, STRENGTH_EXCESS, STRENGTH_LACK, GraphBuilder
from export.graph.targets import LEAN, Form
from models.layers import UpsampledConv
from models.network import PICTURE_GAIN, StyleNetwork
from models.noise import NOISE_SCALE, NOISE_SIDE, noise_tile


def build_graph(network: StyleNetwork, form: Form = LEAN) -> onnx.ModelProto:
    """Write a network as an ONNX model, without metadata.

    Args:
        network: The network; only its weights and its configuration are read.
        form: How it is written down.

    Returns:
        A model of opset 18 that maps ``image`` to ``stylized``, both RGB, float32, shape (N, 3, H, W), in 0 to 255, for
        every H and W from 16 up, or for the form's size alone; a form with strength has the input ``strength``, too.
        The same weights give the same bytes.

    Raises:
        ValueError: If the form has a strength and the network has none.
    """
    graph = GraphBuilder(form)
    if form.strength != "none":
        one = graph.number("one", 1)
        graph.node("Relu", STRENGTH_LACK, graph.node("Sub", f"{STRENGTH}.below", one, STRENGTH))
        graph.node("Relu", STRENGTH_EXCESS, graph.node("Sub", f"{STRENGTH}.above", STRENGTH, one))
    value = _first_conv(graph, network, _add_noise(graph, network.config.noise))
    value = graph.relu("norm1", graph.norm("norm1", network.norm1, value))
    for index in (2, 3):
        value = graph.relu(f"norm{index}", _conv_norm(graph, network, index, value))
    for index, block in enumerate(network.residual):
        value = _residual_block(graph, f"residual.{index}", block, value)
    for up, norm in (("up1", "norm4"), ("up2", "norm5")):
        value = _upsampled_conv(graph, up, getattr(network, up), value)
        value = graph.relu(norm, graph.norm(norm, getattr(network, norm), value))
    last = rewrites.phased_conv if form.lean else GraphBuilder.conv
    value = last(graph, "conv4", network.conv4, value)
    if form.strength == "none":
        _crop_to_input(graph, _clamp(graph, _to_picture(graph, value)))
    else:
        _clamp(graph, _blend_image(graph, _crop_to_input(graph, _to_picture(graph, value))))
    return graph.model("style_network")


def _add_noise(graph: GraphBuilder, strength: float) -> str:
    """Add noise of a standard deviation in levels of 255 to the image, and return the sum's name."""
    if not strength:
        return INPUT
    tile, size = noise_tile(), graph.form.size
    if size:
        # A constant of the picture's size: no delegate for fixed shapes then sees how it is made.
        tile = np.tile(tile, [-(-side // NOISE_SIDE) for side in size])[: size[0], : size[1]]
    levels = graph.node("Cast", f"{NOISE}.levels", graph.constant(NOISE_TILE, tile[None, None]), to=TensorProto.FLOAT)
    step = graph.number(NOISE_STEP, strength / NOISE_SCALE)
    noise = graph.node("Mul", NOISE if size else f"{NOISE}.scaled", levels, step)
    if not size:
        noise = _repeat_noise(graph, noise)
    return graph.node("Add", NOISY, INPUT, noise)


def _repeat_noise(graph: GraphBuilder, tile: str) -> str:
    """Repeat the tile over the image's height and width, from the upper left corner on."""
    size = graph.node("Shape", f"{NOISE}.size", INPUT, start=SPATIAL[0], end=SPATIAL[-1] + 1)
    side = graph.sizes(f"{NOISE}.side", [NOISE_SIDE])
    raised = graph.node("Add", f"{NOISE}.raised", size, graph.sizes(f"{NOISE}.rest", [NOISE_SIDE - 1]))
    repeats = graph.node("Div", f"{NOISE}.repeats", raised, side)
    ones = graph.sizes(f"{NOISE}.once", [1, 1])
    everywhere = graph.node("Concat", f"{NOISE}.all", ones, repeats, axis=0)
    repeated = graph.node("Tile", f"{NOISE}.repeated", tile, everywhere)
    start = graph.sizes(f"{NOISE}.start", [0, 0])
    return graph.node("Slice", NOISE, repeated, start, size, graph.sizes("spatial", SPATIAL))


def _first_conv(graph: GraphBuilder, network: StyleNetwork, value: str) -> str:
    if graph.form.lean:
        return rewrites.conv(graph, "conv1", network.conv1, value, gain=1 / 255)
    value = graph.node("Mul", "to_unit_range", value, graph.number("unit", 1 / 255))
    return graph.conv("conv1", network.conv1, value)


def _conv_norm(graph: GraphBuilder, owner: nn.Module, index: int, value: str, prefix: str = "") -> str:
    conv, norm = f"conv{index}", f"norm{index}"
    write = rewrites.conv if graph.form.lean else GraphBuilder.conv
    value = write(graph, prefix + conv, getattr(owner, conv), value)
    return graph.norm(prefix + norm, getattr(owner, norm), value)


def _residual_block(graph: GraphBuilder, name: str, block: nn.Module, value: str) -> str:
    hidden = graph.relu(f"{name}.norm1", _conv_norm(graph, block, 1, value, f"{name}."))
    return graph.node("Add", f"{name}.add", value, _conv_norm(graph, block, 2, hidden, f"{name}."))


def _upsampled_conv(graph: GraphBuilder, name: str, layer: UpsampledConv, value: str) -> str:
    """Double the resolution: rewritten, or as nearest-neighbor x2 and a convolution, or as pixel shuffle."""
    if graph.form.lean:
        return rewrites.upsampled_conv(graph, name, layer, value)
    if layer.shuffle:
        return graph.node("DepthToSpace", f"{name}.shuffle", graph.conv(name, layer, value), blocksize=2, mode="CRD")
    doubled = graph.node(
        "Resize",
        f"{name}.resize",
        value,
        "",
        graph.constant("double", np.array([1, 1, 2, 2], np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return graph.conv(name, layer, doubled)


def _to_picture(graph: GraphBuilder, value: str) -> str:
    """Map unbounded values to 0 to 255 and a little beyond: ``models.network.to_picture`` times 255."""
    bent = graph.node("Tanh", "picture.tanh", value)
    scaled = graph.node("Mul", "picture.scale", bent, graph.number("picture.gain", 255 * PICTURE_GAIN))
    return graph.node("Add", "picture.shift", scaled, graph.number("picture.gray", 255 / 2))


def _clamp(graph: GraphBuilder, value: str) -> str:
    # A fixed size has nothing to crop, and a strength is cropped before: there the clamp ends the graph.
    output = OUTPUT if graph.form.size or graph.form.strength != "none" else None
    black, white = graph.number("black", 0), graph.number("white", 255)
    return graph.node("Clip", "picture.clamp", value, black, white, output=output)


def _blend_image(graph: GraphBuilder, value: str) -> str:
    """Let the image show through at strengths below 1: ``models.strength.blend_photo``."""
    share = graph.node("Mul", f"{STRENGTH}.photo", STRENGTH_LACK, STRENGTH_LACK)
    distance = graph.node("Sub", "picture.distance", INPUT, value)
    shown = graph.node("Mul", "picture.shown", distance, share)
    return graph.node("Add", "picture.blend", value, shown)


def _crop_to_input(graph: GraphBuilder, value: str) -> str:
    """Cut the whole cells that the network works on back to the input's height and width."""
    if graph.form.size:
        return value
    size = graph.node("Shape", "crop.size", INPUT, start=SPATIAL[0], end=SPATIAL[-1] + 1)
    start = graph.sizes("crop.start", [0, 0])
    # Without strength, this ends the graph.
    output = OUTPUT if graph.form.strength == "none" else None
    return graph.node("Slice", "crop", value, start, size, graph.sizes("spatial", SPATIAL), output=output)
