"""A VGG-19 that is quick to build and to run."""

from __future__ import annotations

import pytest

from models import vgg

NARROWING = 8
"""Divisor of VGG's channels."""


@pytest.fixture(autouse=True)
def narrow_vgg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let vgg19 have all its layers, each with an eighth of its channels, in every test of the folder."""
    narrow = tuple(entry if isinstance(entry, str) else entry // NARROWING for entry in vgg.LAYOUTS["vgg19"])
    monkeypatch.setattr(vgg, "LAYOUTS", vgg.LAYOUTS | {"vgg19": narrow})
