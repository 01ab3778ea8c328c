"""Photos of several frames or pages: of an animation or a TIFF the first is painted, and the command says so."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import PIL.Image

_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
_ADVICE = {
    "GIF": "python -m export.video paints a GIF whole",
    "TIFF": "save every page as a file of its own to have it painted",
}
_OTHER_ADVICE = "save it as a GIF or an MP4 for python -m export.video to paint it whole"


def describe_frames(photo: Path) -> str:
    """Say that only the first frame of a photo was painted, if it has more; an empty string if not.

    Args:
        photo: A picture file that could be decoded.
    """
    known = [kind for kind in _ANIMATED if kind in PIL.Image.OPEN]
    # A note is worth no error, and nothing is decoded here; frames are not counted, since a GIF would be read to its
    # end for that. Pillow warns of large pictures, which were measured when they were decoded.
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with PIL.Image.open(photo, formats=known) as image:
            if getattr(image, "is_animated", False):
                advice = _ADVICE.get(image.format or "", _OTHER_ADVICE)
                return f"photo '{photo}' has more than one frame, and the first one was painted; {advice}"
    return ""
