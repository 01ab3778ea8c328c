"""Pictures in boxes, as phones and browsers make them: HEIC by pillow-heif, which an extra brings, AVIF by Pillow."""

from __future__ import annotations

import importlib.util

import PIL.Image
from PIL import features

MAX_CONTENT = 200_000_000
"""Largest file, in bytes: both readers hold it whole, beside the picture. Photos of 200 megapixels are smaller."""

_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


class CodecError(ValueError):
    """What reads or writes a format is not installed; the message says what is, and how to install it."""


def find_kind(head: bytes) -> str | None:
    """Tell from the first bytes of a file, at most 64 of them, whether it is ``"AVIF"``, ``"HEIF"`` or something else.

    The box ``ftyp`` (ISO/IEC 14496-12, section 4.3) names a brand and others that the file conforms to, too. The brands
    ``mif1`` and ``msf1`` say nothing about the codec, so the others decide.
    """
    if head[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, length, 4))}
    if brands & _AVIF:
        return "AVIF"
    return "HEIF" if head[8:12] in _HEIF else None


def require_codec(kind: str) -> None:
    """Make sure that Pillow reads and writes a format, ``"AVIF"`` or ``"HEIF"``.

    Raises:
        CodecError: If it does not.
    """
    if kind == "AVIF" and not features.check("avif"):
        raise CodecError("this Pillow has no AVIF; run pip install --upgrade pillow, version 11.3 or later")
    if kind == "HEIF" and kind not in PIL.Image.OPEN:
        if importlib.util.find_spec("pillow_heif") is None:
            raise CodecError('HEIC needs pillow-heif, which is not installed; run pip install "onestroke[heif]"')
        # Imported here, because most pictures do not need it.
        from pillow_heif import register_heif_opener

        register_heif_opener()
