"""How a picture enters and leaves an exported file: planes of float32 or pixels of bytes, of any size or of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from data.images import Picture, from_planes, to_planes
from export.contract import INPUT, OUTPUT, STRENGTH
from export.errors import ModelError


@dataclass(frozen=True)
class Layout:
    """What a file takes and gives.

    Args:
        is_bytes: uint8 of shape (1, H, W, 3); else float32 of shape (N, 3, H, W).
        size: Height and width in pixels, if the file takes no other.
        strength: Whether the file takes a strength, too, a float32 scalar; optional or not.
    """

    is_bytes: bool
    size: tuple[int, int] | None
    strength: bool = False

    def pack(self, picture: Picture) -> npt.NDArray[Any]:
        """Turn a picture, uint8, shape (H, W, 3), into the file's input."""
        if self.is_bytes:
            return np.ascontiguousarray(picture[None])
        return to_planes(picture, white=255)[None]

    def unpack(self, stylized: npt.NDArray[Any]) -> Picture:
        """Turn the file's output back into a picture, uint8, shape (H, W, 3).

        Raises:
            ValueError: If a value is not a number.
        """
        if self.is_bytes:
            picture: Picture = stylized[0]
            return picture
        return from_planes(stylized[0])


def read_layout(path: Path, session: onnxruntime.InferenceSession) -> Layout:
    """Find out how a file wants its pictures.

    Args:
        path: The file, for the message.
        session: What it was opened as.

    Raises:
        ModelError: If its names, types or shapes are not those that ``python -m export`` writes.
    """
    takes, gives = session.get_inputs(), session.get_outputs()
    pictures, strength = split_inputs(session)
    values = (*pictures, *gives)
    if [value.name for value in values] == [INPUT, OUTPUT] and _is_number(strength):
        found = {_read_value(value) for value in values}
        layout = found.pop()
        if not found and layout is not None:
            return replace(layout, strength=strength is not None)
    taken = ", ".join(f"{value.name} {value.type} {value.shape}" for value in takes)
    given = ", ".join(f"{value.name} {value.type} {value.shape}" for value in gives)
    raise ModelError(
        f"model '{path}' maps {taken} to {given}, but must map {INPUT} to {OUTPUT}, each float32 of shape "
        "(N, 3, H, W) or uint8 of shape (1, H, W, 3); use a file that python -m export wrote"
    )


def split_inputs(
    session: onnxruntime.InferenceSession,
) -> tuple[list[onnxruntime.NodeArg], onnxruntime.NodeArg | None]:
    """Tell a model's strength from its other inputs; None if it takes none.

    An optional input is, to ONNX Runtime, a constant that may be replaced.
    """
    inputs = session.get_inputs()
    candidates = (*inputs, *session.get_overridable_initializers())
    strength = next((value for value in candidates if value.name == STRENGTH), None)
    return [value for value in inputs if value.name != STRENGTH], strength


def give_strength(session: onnxruntime.InferenceSession, value: float = 1) -> dict[str, npt.NDArray[np.float32]]:
    """Return what a model is to be fed besides its picture: the strength, or nothing if it takes none."""
    strength = split_inputs(session)[1]
    return {} if strength is None else {STRENGTH: np.array(value, np.float32)}


def _is_number(value: onnxruntime.NodeArg | None) -> bool:
    return value is None or (value.type == "tensor(float)" and value.shape == [])


def _read_value(value: onnxruntime.NodeArg) -> Layout | None:
    shape, is_bytes = value.shape, value.type == "tensor(uint8)"
    if len(shape) != 4 or not (is_bytes or value.type == "tensor(float)"):
        return None
    height, width, channels = shape[1:] if is_bytes else (*shape[2:], shape[1])
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    half_free = size is None and (isinstance(height, int) or isinstance(width, int))
    one_picture = shape[0] == 1 or not (is_bytes or size is not None or isinstance(shape[0], int))
    return Layout(is_bytes, size) if channels == 3 and one_picture and not half_free else None
