"""Node.js with ONNX Runtime, for the tests of the lines that run there."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

from export.web.onnxruntime_web import VERSION

PACKAGE = f"onnxruntime-node@{VERSION}"
"""The package, in the version of the browser's runtime."""


def find_node_runtime() -> Path:
    """Return a folder with ``node_modules``, filled by npm on the first call and kept; without Node.js the test skips.

    The package brings ONNX Runtime for every system, and a script that fetches CUDA's: that script is not run, and what
    is for other systems is removed.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not installed")
    folder = platformdirs.user_cache_path("onestroke") / PACKAGE.replace("@", "-")
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{secrets.token_hex(8)}.tmp")
    partial.mkdir(parents=True)
    try:
        flags = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        command = [npm, "install", "--prefix", str(partial), *flags, PACKAGE]
        done = subprocess.run(command, cwd=partial, capture_output=True, text=True, check=False, timeout=240)
        if done.returncode:
            pytest.skip(f"npm could not fetch {PACKAGE} ({(done.stderr.splitlines() or ['it said nothing'])[0]})")
        here = "process.stdout.write(`${process.platform}/${process.arch}`)"
        platform = subprocess.run([node, "--eval", here], capture_output=True, text=True, check=True).stdout
        for binaries in partial.glob("node_modules/onnxruntime-node/bin/*/*/*"):
            if not binaries.as_posix().endswith(platform):
                shutil.rmtree(binaries)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
