"""How a picture enters and leaves an exported file: planes of float32 or pixels of bytes, of any size or of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from data.images import Picture, from_planes, to_planes
from export.contract import INPUT, OUTPUT
from export.errors import ModelError


@dataclass(frozen=True)
class Layout:
    """What a file takes and gives.

    Args:
        is_bytes: uint8 of shape (1, H, W, 3); else float32 of shape (N, 3, H, W).
        size: Height and width in pixels, if the file takes no other.
    """

    is_bytes: bool
    size: tuple[int, int] | None

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
    values = (*takes, *gives)
    if [value.name for value in values] == [INPUT, OUTPUT]:
        found = {_read_value(value) for value in values}
        layout = found.pop()
        if not found and layout is not None:
            return layout
    taken = ", ".join(f"{value.name} {value.type} {value.shape}" for value in takes)
    given = ", ".join(f"{value.name} {value.type} {value.shape}" for value in gives)
    raise ModelError(
        f"model '{path}' maps {taken} to {given}, but must map {INPUT} to {OUTPUT}, each float32 of shape "
        "(N, 3, H, W) or uint8 of shape (1, H, W, 3); use a file that python -m export wrote"
    )


def _read_value(value: onnxruntime.NodeArg) -> Layout | None:
    shape, is_bytes = value.shape, value.type == "tensor(uint8)"
    if len(shape) != 4 or not (is_bytes or value.type == "tensor(float)"):
        return None
    height, width, channels = shape[1:] if is_bytes else (*shape[2:], shape[1])
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    half_free = size is None and (isinstance(height, int) or isinstance(width, int))
    one_picture = shape[0] == 1 or not (is_bytes or size is not None or isinstance(shape[0], int))
    return Layout(is_bytes, size) if channels == 3 and one_picture and not half_free else None
