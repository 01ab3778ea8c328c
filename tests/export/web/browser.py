"""A real Chromium without a window, and a server for the folder that it looks at."""

from __future__ import annotations

import contextlib
import functools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# Tests run as root in containers, and the browser has nothing to ask the network.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


class Server:
    """A static server on this machine that can be stopped, as a network fails."""

    def __init__(self, folder: Path):
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = _Patient(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Patient(ThreadingHTTPServer):
    # A browser opens many connections at once, and tries one that was dropped again only after seconds.
    request_queue_size = 64


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def open_browser(folder: Path) -> Iterator[Any]:
    """Start Chromium with an empty profile; skip, with the reason, where there is none.

    Args:
        folder: For its profile, and for what pages save: the driver's attribute ``downloads``.

    Yields:
        Selenium's driver.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed; pip install selenium")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        chromium.downloads = folder / "downloads"
        chromium.downloads.mkdir()
        behavior = {"behavior": "allow", "downloadPath": str(chromium.downloads)}
        chromium.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
        yield chromium
    finally:
        chromium.quit()


def set_viewport(chromium: Any, width: int, height: int, scale: float = 1, phone: bool = False) -> None:
    """Give the page a size of its own, in CSS pixels; a window cannot be as narrow as a phone."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chromium.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})


def wait(until: Callable[[], Any], what: str, seconds: float = 600) -> Any:
    """Wait until a call gives something true, and return it; fail, naming what was waited for."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + seconds
    trouble = ""
    while time.monotonic() < end:
        try:
            if found := until():
                return found
        # A page that is about to reload loses its elements under the caller's hands.
        except WebDriverException as error:
            trouble = f": {error.msg}"
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} seconds for {what}{trouble}")
