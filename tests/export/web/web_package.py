"""What a site takes from the npm package of the browser's runtime, with a few bytes in place of each file's many."""

from __future__ import annotations

import json
from pathlib import Path

from export.web import onnxruntime_web as web_runtime


def write_package(folder: Path) -> Path:
    """Write a package of version 1.2.3 into a folder that exists."""
    (folder / "dist").mkdir()
    for name in web_runtime._FILES:
        (folder / "dist" / name).write_text(name)
    (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": "1.2.3"}))
    return folder
