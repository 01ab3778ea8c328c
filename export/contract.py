"""What an exported file promises, and its seal: a checksum that shows whether the file was changed since its export.

Both the exporter and the runtime read this module, so it needs nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

OPSET = 18
"""Version of the ``ai.onnx`` operators: the newest that the tables of the web and mobile runtimes list."""

PRODUCER = "onestroke"
FORMAT = "onestroke-onnx-1"

FILES = {
    "float32": "style.onnx",
    "fp16": "style.fp16.onnx",
    "u8": "style.u8.onnx",
    "w8": "style.w8.onnx",
    "int8": "style.int8.onnx",
}
"""Each variant's name in a folder of variants."""

MANIFEST = "manifest.json"
MANIFEST_FORMAT = "onestroke-variants-1"
"""Value of a manifest's ``format``, which identifies a folder of variants."""

INPUT = "image"
OUTPUT = "stylized"
STRENGTH = "strength"
"""Second input of files that were exported with ``--strength``, a float32 scalar; in a graph, the names of the nodes
that compute with it alone begin with it and a dot."""

STRENGTH_SIDES = ("below", "above")
"""How constants end, after a dot, that tell how a norm changes with strengths on either side of 1."""

StrengthInput = Literal["none", "optional", "required"]
"""Whether a file takes a strength: not at all, 1 unless told otherwise, or always."""

MOST_STRENGTH = 1.5
"""Largest strength; 0 is the photo, 1 the style as trained."""

NOISE = "noise"
"""Value of a graph: the noise that is added to the image, shape (1, 1, H, W), in levels of 255; the names of the nodes
and constants that make it begin with it and a dot. Networks without noise have none of them."""

NOISE_TILE, NOISE_STEP = f"{NOISE}.tile", f"{NOISE}.step"
"""Constants of a graph: what the noise repeats, int8, shape (1, 1, S, S), and its unit in levels of 255."""

NOISY = "noisy"
"""Node and value of a graph: the image with its noise."""

SMALLEST_SIDE = 16
"""Shortest side of a picture, in pixels, that an exported network takes."""

CELL = 4
"""The network works on whole cells of this many pixels."""

CONTRACT: dict[str, Any] = {
    "input": INPUT,
    "output": OUTPUT,
    "dtype": "float32",
    "shape": ["batch", 3, "height", "width"],
    "layout": "NCHW",
    "channels": "RGB",
    "range": [0, 255],
    "smallest_side": SMALLEST_SIDE,
}
"""Apart from the two names, each field holds for both input and output."""

PREFIX = "onestroke."
"""What every key of ours in an ONNX file's metadata starts with."""

SEAL_KEY = PREFIX + "sha256"
SEAL_LENGTH = 64
"""Characters of a SHA-256 in hexadecimal."""

# The seal is the last metadata entry and so ends the file: in protobuf the key, then tag and length of the value.
_SEAL_OPENING = SEAL_KEY.encode() + bytes([0x12, SEAL_LENGTH])


def name_network(path: Path, style: str) -> str:
    """Return the name by which a network is told from others.

    Args:
        path: Its file.
        style: The style's name as the file's metadata has it; empty for none.

    Returns:
        The file's name without its ending; where that is one of ``FILES``, which every training run and every folder
        of variants gives to its own, the style's.
    """
    return style if style and path.name in FILES.values() else path.stem


def whole_cells(side: int) -> int:
    """Round a side in pixels up to whole cells."""
    return -(-side // CELL) * CELL


def contract_of(
    precision: str = "float32", size: tuple[int, int] | None = None, strength: StrengthInput = "none"
) -> dict[str, Any]:
    """Return what a variant promises.

    Args:
        precision: The variant's name; ``u8`` takes and gives bytes, all others float32.
        size: Height and width, if the file takes no other.
        strength: Whether it takes a strength.
    """
    height, width = size or ("height", "width")
    found = CONTRACT | {"shape": [1 if size else "batch", 3, height, width]}
    if size:
        found["smallest_side"] = min(size)
    if precision == "u8":
        found |= {"dtype": "uint8", "shape": [1, height, width, 3], "layout": "NHWC"}
    if strength != "none":
        default = {"default": 1} if strength == "optional" else {}
        found |= {STRENGTH: {"dtype": "float32", "shape": [], "range": [0, MOST_STRENGTH], **default}}
    return found


def contract_json(
    precision: str = "float32", size: tuple[int, int] | None = None, strength: StrengthInput = "none"
) -> str:
    """Return a variant's contract as JSON, the same text every time."""
    return json.dumps(contract_of(precision, size, strength), sort_keys=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read the manifest of a folder of variants; None if the folder holds no manifest of this program."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("format") == MANIFEST_FORMAT else None


def seal(content: bytes) -> bytes:
    """Write the digest of everything before it into an ONNX file's last metadata entry.

    The seal shows accidents and careless edits; it is not a signature, since a deliberate edit can be sealed again.

    Args:
        content: A serialized model whose last metadata entry is ``onestroke.sha256`` with 64 characters of any value.

    Returns:
        The same bytes with the digest in place.

    Raises:
        ValueError: If the content does not end with that entry.
    """
    if not has_seal(content):
        raise ValueError(
            f"the model's last metadata entry is not {SEAL_KEY} with {SEAL_LENGTH} characters; add it last"
        )
    body = content[:-SEAL_LENGTH]
    return body + hashlib.sha256(body).hexdigest().encode()


def has_seal(content: bytes) -> bool:
    """Return whether an ONNX file ends with a seal, valid or not."""
    return content[:-SEAL_LENGTH].endswith(_SEAL_OPENING)


def is_intact(content: bytes) -> bool:
    """Return whether an ONNX file ends with a valid seal."""
    return has_seal(content) and seal(content) == content
