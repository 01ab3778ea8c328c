"""A browser for the tests of everything that runs in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.export.web.browser import open_browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Chromium, once for all tests; a test that takes it is marked ``browser``."""
    with open_browser(tmp_path_factory.mktemp("browser")) as driver:
        yield driver
