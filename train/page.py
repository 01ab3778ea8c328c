"""HTML pages from Jinja2 templates, all in one look; pictures and plots can stand inside of a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import jinja2

from data.images import Picture, from_array

TEMPLATES = Path(__file__).resolve().parent / "templates"
"""Folder of ``page.html.j2``, which every page extends."""


def render_page(template: Path, **values: Any) -> str:
    """Fill a template in.

    Args:
        template: A file that extends ``page.html.j2``.
        values: What it names; everything is escaped, and a name that is missing is an error.

    Returns:
        The page. Bytes of a file's name that are not UTF-8, which no page can hold, are escaped as in Python.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template.name).render(**values)
    return page.encode(errors="backslashreplace").decode()


def embed_jpeg(picture: Picture, quality: int = 88) -> str:
    """Return a picture as the address of a JPEG that the page itself holds."""
    file = io.BytesIO()
    from_array(picture).save(file, "JPEG", quality=quality)
    return to_uri(file.getvalue(), "image/jpeg")


def to_uri(content: bytes, kind: str) -> str:
    """Return a file as an address that holds it (RFC 2397); ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
