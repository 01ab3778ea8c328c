"""Onestroke: repaint photos in the style of a painting, with one small network and no torch.

The build hook places this folder's modules at the root of the installed package ``onestroke``, so that
``from onestroke import Stylizer`` works; in a checkout the same names are in ``export.package``.
"""

from __future__ import annotations

from collections.abc import Mapping

from data.images import ImageError
from export.errors import ExportError, ModelError
from export.runtime.blend import blend_styles
from export.runtime.stylizer import MemoryBudgetError, ModelCard, Stylizer
from export.styles import find_style, list_styles
from export.version import project_version

__all__ = [
    "ExportError",
    "ImageError",
    "MemoryBudgetError",
    "ModelCard",
    "ModelError",
    "Stylizer",
    "__version__",
    "blend",
    "list_styles",
    "load",
]

__version__ = project_version()


def load(
    name: str,
    *,
    threads: int | None = None,
    provider: str | None = None,
    memory_limit: int | None = None,
    tile: int | None = None,
) -> Stylizer:
    """Load one of the ready styles: ``load("wave")(picture)``; a file of your own is loaded by ``Stylizer(path)``.

    Args:
        name: One of ``list_styles()``.
        threads: As for ``Stylizer``.
        provider: As for ``Stylizer``.
        memory_limit: As for ``Stylizer``.
        tile: As for ``Stylizer``.

    Raises:
        ExportError: If there is no style of that name.
        ModelError: If the provider is not available.
        ValueError: If ``threads`` or ``tile`` is out of range.
    """
    return Stylizer(find_style(name), threads=threads, provider=provider, memory_limit=memory_limit, tile=tile)


def blend(
    shares: Mapping[str, float],
    *,
    threads: int | None = None,
    provider: str | None = None,
    memory_limit: int | None = None,
    tile: int | None = None,
) -> Stylizer:
    """Mix styles of one start to one: ``blend({"wave": 0.6, "starry_night": 0.4})(picture)``, in the time of one.

    Args:
        shares: Two or more of ``list_styles()``, or paths of .onnx files, each with its share, above 0; they are
            divided by their sum.
        threads: As for ``Stylizer``.
        provider: As for ``Stylizer``.
        memory_limit: As for ``Stylizer``.
        tile: As for ``Stylizer``.

    Raises:
        ExportError: If there is no style of a name.
        ModelError: If the files differ in more than their weights, or the provider is not available.
        ValueError: If ``shares``, ``threads`` or ``tile`` is out of range.
    """
    return Stylizer(blend_styles(shares), threads=threads, provider=provider, memory_limit=memory_limit, tile=tile)
