"""What tests of several commands begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pictures import ramp, write


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Write a photo of 64 x 48 pixels."""
    return write(tmp_path / "photo.png", ramp(64, 48))
