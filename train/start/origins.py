"""What the trainings of the evaluation start from."""

from __future__ import annotations

from typing import Any

ORIGINS = ("start", "style", "random")
"""The shared start, a trained style, random weights."""


def name_origin(origin: str, settings: dict[str, Any]) -> str:
    """Name one of ``ORIGINS`` for a person; the settings are those of a report."""
    style = str(settings["style"]).split(",")[0].removesuffix(".safetensors")
    return {"start": "the shared start", "style": f"`{style}`", "random": "random weights"}[origin]
