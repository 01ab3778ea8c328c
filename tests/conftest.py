"""What tests of every folder share: how a mistake is reported, and real weights and pictures where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test may fail because the machine is slow or busy.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

MARKED = {
    "weights": {"real_vgg19", "real_photos", "real_paintings"},
    "browser": {"chromium"},
}
"""Fixtures whose tests have a marker."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by the fixtures that it takes, so that none is forgotten."""
    for marker, fixtures in MARKED.items():
        if fixtures.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(marker)


@pytest.fixture
def one_error(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that takes the one sentence from stderr; more than that, or a word on stdout, fails."""

    def take() -> str:
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert captured.out == ""
        return captured.err

    return take


def _find_real(variable: str, what: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"set {variable} to {what}")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def real_vgg19() -> Path:
    """Return the file of VGG-19's trained weights."""
    return _find_real("ONESTROKE_VGG19", "a file of VGG-19's weights in torchvision's layout")


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """Return a folder of photos."""
    return _find_real("ONESTROKE_PHOTOS", "a folder of photos")


@pytest.fixture(scope="session")
def real_paintings() -> Path:
    """Return a folder of paintings."""
    return _find_real("ONESTROKE_PAINTINGS", "a folder of paintings")
