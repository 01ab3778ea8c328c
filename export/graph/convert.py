"""From a style file to one ONNX file that has been compared with torch before it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from data.files import require_absent, write_whole
from export.contract import FORMAT, INPUT, OPSET, OUTPUT, PREFIX, SEAL_KEY, SEAL_LENGTH, STRENGTH, contract_json, seal
from export.errors import ExportError
from export.graph.network import build_graph
from export.graph.targets import LEAN, Form
from export.runtime.memory import bytes_per_pixel
from export.runtime.session import create_session, first_line
from models.network import StyleNetwork
from models.strength import CHECKED_STRENGTHS
from models.style_file import StyleCard, load_style

STYLE_FILE = "style.safetensors"
"""Name of the style file in a run folder."""

TOLERANCE = 0.05
"""Largest difference from torch that an export may have, on the scale of 0 to 255."""

CHECKED_SHAPES = ((1, 97, 131), (1, 16, 16), (1, 50, 83), (2, 61, 47))
"""Pictures, height and width of each batch that ONNX Runtime and torch both stylize."""

Planes = npt.NDArray[np.float32]
"""Pictures as the exported model takes them: RGB, 0 to 255, shape (N, 3, H, W)."""

Transform = Callable[[onnx.ModelProto], onnx.ModelProto]
"""Turns the float32 graph into that of a variant."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compared.

    Args:
        path: The ONNX file.
        size_bytes: Its size.
        max_difference: Largest difference between ONNX Runtime and torch, on the scale of 0 to 255.
        pictures: How many pictures were compared.
        opset: Version of the ``ai.onnx`` operators.
    """

    path: Path
    size_bytes: int
    max_difference: float
    pictures: int
    opset: int = OPSET

    def __str__(self) -> str:
        return (
            f"wrote '{self.path}': {self.size_bytes:,} bytes, opset {self.opset}, at most {self.max_difference:.4f} of "
            f"255 from torch on {self.pictures} pictures"
        )


def convert(style: Path, output: Path, overwrite: bool = False, form: Form = LEAN) -> ExportReport:
    """Write a style as one self-contained ONNX file, after comparing it with torch.

    Args:
        style: A ``.safetensors`` style file, or a run folder that holds ``style.safetensors``.
        output: The file to write; its name ends in ``.onnx``.
        overwrite: Replace a file that exists.
        form: How the graph is written down.

    Returns:
        What was written, and how far it is from torch.

    Raises:
        ModelFileError: If the style file cannot be read.
        ExportError: If the style is absent or has no strength where the form takes one, the output may not be written,
            or ONNX Runtime's pictures are not those of torch.
        OutputError: If the output cannot be written.
    """
    check_output(output, overwrite)
    trained = find_style_file(style)
    require_absent([output], overwrite, "output", [trained])
    network, card = load_style(trained)
    network = match_strength(network, form, trained)
    content = seal(serialize(network, card, form))
    shapes = CHECKED_SHAPES if form.size is None else ((1, *form.size),)
    strengths = checked_strengths(form)
    difference = compare(content, network, shapes, strengths)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"ONNX Runtime's pictures differ from torch's by up to {difference:.4g} of 255 where {TOLERANCE} is "
            f"allowed, so '{output}' was not written; train anew if the weights hold huge values, else report this"
        )
    write_whole(output, content)
    return ExportReport(output, len(content), difference, len(strengths) * sum(shape[0] for shape in shapes))


def match_strength(network: StyleNetwork, form: Form, style: Path) -> StyleNetwork:
    """Return a style's network as a form shows it: one without strength where the file takes none.

    Raises:
        ExportError: If the file is to take a strength and the style has none.
    """
    if form.strength == "none" and network.config.strength:
        plain = StyleNetwork(replace(network.config, strength=False))
        plain.start_from(network)
        return plain.eval()
    if form.strength != "none" and not network.config.strength:
        raise ExportError(
            f"'{style}' has no strength to choose, so it cannot be exported with --strength; let it learn one with "
            f"python -m train fit --model.start_from {style} --model.network.strength true, or leave out --strength"
        )
    return network


def checked_strengths(form: Form) -> tuple[float | None, ...]:
    """Return the strengths at which a file is compared with torch; None stands for what it does when it is not told."""
    if form.strength == "none":
        return (None,)
    return CHECKED_STRENGTHS if form.strength == "required" else (None, *CHECKED_STRENGTHS)


def find_style_file(style: Path) -> Path:
    """Return the style file that a path names: the file itself, or ``style.safetensors`` in a run folder.

    Raises:
        ExportError: If a folder holds no such file.
    """
    if not style.is_dir():
        return style
    if not (style / STYLE_FILE).is_file():
        raise ExportError(f"folder '{style}' holds no {STYLE_FILE}; name a finished run or a .safetensors file")
    return style / STYLE_FILE


def check_output(output: Path, overwrite: bool = False) -> None:
    """Raise ExportError, before any work, if an ONNX file may not be written there."""
    if output.suffix.lower() != ".onnx":
        raise ExportError(f"output '{output}' does not end in .onnx; add the ending, as in wave.onnx")
    if output.is_dir():
        raise ExportError(f"output '{output}' is a folder; name a file in it")
    if not output.parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another output")
    if output.exists() and not overwrite:
        raise ExportError(f"'{output}' exists; pass --overwrite to replace it or choose another output")


def serialize(
    network: StyleNetwork,
    card: StyleCard,
    form: Form = LEAN,
    precision: str = "float32",
    transform: Transform | None = None,
) -> bytes:
    """Write a network and its card as an ONNX file with an empty seal; the same weights give the same bytes.

    Args:
        network: The network.
        card: Where it came from.
        form: How the graph is written down.
        precision: Name of the variant.
        transform: Turns the float32 graph into that of the variant; None leaves it.

    Raises:
        ExportError: If ONNX's checker finds a fault in the graph.
    """
    model = build_graph(network, form)
    if transform is not None:
        model = transform(model)
    config = network.config
    entries = {
        "format": FORMAT,
        "style": card.name,
        "license": card.license,
        "training_config": card.training_config,
        "project_version": card.project_version,
        "perceptual_source": card.perceptual_source,
        "steps": str(card.steps),
        "network": json.dumps(config.to_dict(), sort_keys=True),
        "precision": precision,
        "contract": contract_json(precision, form.size, form.strength),
        "bytes_per_pixel": str(bytes_per_pixel(config.width, config.upsampling, form.lean)),
    }
    if card.held_out_loss is not None:
        entries["held_out_loss"] = str(card.held_out_loss)
    for key, value in entries.items():
        model.metadata_props.add(key=PREFIX + key, value=value)
    model.metadata_props.add(key=SEAL_KEY, value="0" * SEAL_LENGTH)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"ONNX's checker refuses the graph ({first_line(error)}); report this") from error
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def compare(
    content: bytes,
    network: StyleNetwork,
    shapes: Sequence[tuple[int, int, int]] = CHECKED_SHAPES,
    strengths: Sequence[float | None] = (None,),
) -> float:
    """Stylize the same pictures with ONNX Runtime and with torch, both in float32 on the CPU.

    Args:
        content: The ONNX file.
        network: The network that it was written from.
        shapes: Pictures, height and width of each batch.
        strengths: Those at which each is stylized; None to leave that input out.

    Returns:
        The largest difference of a value, on the scale of 0 to 255; NaN if either gave a NaN.

    Raises:
        ExportError: If ONNX Runtime cannot run the file, or gives another size than the input's.
    """
    batches = [draw_pictures(*shape) for shape in shapes]
    differences = [0.0]
    for strength in strengths:
        for pictures, stylized in zip(batches, stylize_in_onnxruntime(content, batches, strength), strict=True):
            if stylized.shape != pictures.shape:
                raise ExportError(f"ONNX Runtime gave {stylized.shape} for pictures of {pictures.shape}; report this")
            differences.append(np.abs(stylized - stylize_in_torch(network, pictures, strength)).max())
    return float(np.max(differences))


def stylize_in_torch(network: StyleNetwork, pictures: Planes, strength: float | None = None) -> Planes:
    """Compute with torch what the exported file computes.

    Args:
        network: The network.
        pictures: RGB in 0 to 255, shape (N, 3, H, W).
        strength: Of the style; None for 1.

    Returns:
        The same shape and range, clamped.
    """
    with torch.inference_mode():
        painted = network(torch.from_numpy(pictures) / 255, strength=1.0 if strength is None else strength)
        stylized: Planes = painted.mul(255).clamp(0, 255).numpy()
    return stylized


def draw_pictures(count: int, height: int, width: int) -> Planes:
    """Draw pictures with features of photos: slow gradients, edges, texture and grain.

    Args:
        count: How many; each differs.
        height: In pixels.
        width: In pixels.

    Returns:
        Integers of 0 to 255 as float32, shape (count, 3, height, width), the same for the same arguments.
    """
    random = np.random.default_rng([count, height, width])
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    pictures = np.empty((count, 3, height, width))
    for plane in pictures.reshape(-1, height, width):
        angle, frequency, level = random.uniform(0, 2 * np.pi), random.uniform(2, 12), random.uniform(0.3, 0.7)
        along = down * np.sin(angle) + right * np.cos(angle)
        texture = 0.15 * np.sin(2 * np.pi * frequency * (down - along)) + 0.05 * random.standard_normal(plane.shape)
        plane[:] = 0.3 + 0.4 * along + 0.3 * (right > level) + texture
    return np.rint(np.clip(255 * pictures, 0, 255)).astype(np.float32)


def stylize_in_onnxruntime(
    content: bytes, pictures: Iterable[npt.NDArray[np.number]], strength: float | None = None
) -> list[npt.NDArray[Any]]:
    """Run an exported model on the CPU.

    Args:
        content: The ONNX file.
        pictures: Each of the shape and type that the model takes.
        strength: Of the style; None to leave that input out.

    Returns:
        What it gives for each.

    Raises:
        ExportError: If ONNX Runtime cannot run it.
    """
    try:
        session = create_session(content)
        chosen = {} if strength is None else {STRENGTH: np.array(strength, np.float32)}
        return [session.run([OUTPUT], {INPUT: picture, **chosen})[0] for picture in pictures]
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot run the graph ({first_line(error)}); report this") from error
