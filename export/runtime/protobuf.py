"""Protobuf's wire format, as much of it as editing a serialized ONNX model takes; standard library only.

A message is a row of fields, each a tag (number and kind) and a value. Fields that nobody touches stay the bytes they
were, so that editing a model needs neither the onnx package nor its schema
(https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Args:
        number: Which field of the message's schema it is.
        value: Its value: a whole number, or the bytes of a string, a message, or a number of fixed width.
        raw: The whole field, tag included, as it stood.
    """

    number: int
    value: int | bytes
    raw: bytes

    @property
    def content(self) -> bytes:
        """The value of a string or message; ValueError for a number."""
        if isinstance(self.value, int):
            # The bytes are at fault, not a type in the program.
            raise ValueError(f"field {self.number} is a number, not a string or message")  # noqa: TRY004
        return self.value

    @property
    def text(self) -> str:
        """The value of a string; ValueError for anything else."""
        return self.content.decode()


def read_fields(message: bytes) -> Iterator[Field]:
    """Read the fields of a message in their order.

    Raises:
        ValueError: If the bytes are no such message.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _read_varint(message, position)
        kind = tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, position = _read_varint(message, position)
        else:
            if kind == _BYTES:
                length, position = _read_varint(message, position)
            elif kind in (_FIXED32, _FIXED64):
                length = 4 if kind == _FIXED32 else 8
            else:
                raise ValueError(f"byte {start} opens a field of kind {kind}, which ONNX does not use")
            value, position = message[position : position + length], position + length
        if position > len(message):
            raise ValueError(f"the field at byte {start} ends beyond the message")
        yield Field(tag >> 3, value, message[start:position])


def write_field(number: int, value: int | str | bytes) -> bytes:
    """Write one field: a whole number from 0 up, a string, or the bytes of a string or message."""
    if isinstance(value, int):
        return _write_varint(number << 3 | _VARINT) + _write_varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _write_varint(number << 3 | _BYTES) + _write_varint(len(content)) + content


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("the message ends within a number")
        byte = message[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number, position


def _write_varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])
