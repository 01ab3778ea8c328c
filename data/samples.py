"""Freely licensed sample photos that scikit-image carries in its package, for the demo and the tests."""

from __future__ import annotations

from pathlib import Path

from data.images import ImageError

SAMPLES = {
    "coffee": "Rachel Michetti, CC0",
    "astronaut": "NASA, public domain",
    "chelsea": "Stefan van der Walt, CC0",
    "rocket": "SpaceX, CC0",
}
"""Name and origin of each photo, as scikit-image states them."""

SHOWN = "chelsea"
"""The photo that training on the samples holds out, for the demo to repaint."""


def sample_photo(name: str) -> Path:
    """Find a sample photo's file.

    Args:
        name: One of ``SAMPLES``.

    Returns:
        Its path within the installed package.

    Raises:
        ImageError: If scikit-image is not installed or does not carry it.
        ValueError: If ``name`` is not in ``SAMPLES``.
    """
    if name not in SAMPLES:
        raise ValueError(f"there is no sample photo {name!r}; choose one of {', '.join(SAMPLES)}")
    try:
        import skimage.data
    except ImportError as error:
        raise ImageError("sample photos come with scikit-image; install it with pip install scikit-image") from error
    folder = Path(skimage.data.__file__).parent
    found = next(
        (folder / f"{name}{ending}" for ending in (".png", ".jpg") if (folder / f"{name}{ending}").is_file()), None
    )
    if found is None:
        raise ImageError(f"this scikit-image does not carry the photo '{name}'; install version 0.26 or later")
    return found
