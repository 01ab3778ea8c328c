"""The browser's runtime: which onnxruntime-web the site is built with, where it comes from, which files it needs."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from export.errors import ExportError

NAME = "onnxruntime-web"
VERSION = "1.30.0"
"""The one place where the version is pinned; the digest below belongs to it."""

INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Digest of the package file, as ``npm view onnxruntime-web@VERSION dist.integrity`` prints it."""

LICENSE = Path(__file__).with_name("licenses") / "onnxruntime-web.txt"
"""The license's text, for packages that leave it out."""

_STEM = "ort-wasm-simd-threaded"
# What the page imports, what that imports, and the program: only the last is large, 14 to 27 MB.
_BUILDS = {
    "wasm": ("ort.wasm.min.mjs", f"{_STEM}.mjs", f"{_STEM}.wasm"),
    "webgpu": ("ort.webgpu.min.mjs", f"{_STEM}.asyncify.mjs", f"{_STEM}.asyncify.wasm"),
}
_FILES = frozenset(name for build in _BUILDS.values() for name in build)


@dataclass(frozen=True)
class WebRuntime:
    """A complete onnxruntime-web package.

    Args:
        folder: The npm package's folder, the one that holds ``package.json``.
        version: Its version.
    """

    folder: Path
    version: str

    def copy(self, folder: Path) -> dict[str, Any]:
        """Copy what a site needs into a folder that does not exist, the license with it.

        Args:
            folder: Where to.

        Returns:
            Per build (``wasm`` and ``webgpu``) the names of its script and loader, and the name and
            bytes of its program.
        """
        folder.mkdir()
        for name in sorted(_FILES):
            shutil.copyfile(self.folder / "dist" / name, folder / name)
        licenses = [path for path in self.folder.iterdir() if path.stem.lower() in {"license", "licence"}]
        for path in licenses:
            shutil.copyfile(path, folder / path.name)
        if not licenses:
            # The package names its license and leaves the text out, which has to go with every copy.
            shutil.copyfile(LICENSE, folder / "LICENSE")
        return {
            build: {
                "script": script,
                "loader": loader,
                "binary": {"path": program, "bytes": (folder / program).stat().st_size},
            }
            for build, (script, loader, program) in _BUILDS.items()
        }


def open_runtime(folder: Path) -> WebRuntime:
    """Check a package's folder.

    Args:
        folder: ``node_modules/onnxruntime-web`` say.

    Raises:
        ExportError: If it is not a complete onnxruntime-web.
    """
    remedy = f"name the folder of the npm package {NAME}, node_modules/{NAME} say"
    try:
        card = json.loads((folder / "package.json").read_text())
        name, version = card["name"], str(card["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"'{folder}' holds no package.json of an npm package; {remedy}") from error
    if name != NAME:
        raise ExportError(f"'{folder}' is the npm package {name!r}; {remedy}")
    absent = sorted(name for name in _FILES if not (folder / "dist" / name).is_file())
    if absent:
        raise ExportError(
            f"{NAME} {version} in '{folder}' has no dist/{absent[0]}; use version {VERSION}, with which this was tested"
        )
    return WebRuntime(folder, version)


def find_runtime(cache: Path | None = None, integrity: str = INTEGRITY) -> WebRuntime:
    """Return the pinned version, fetched with npm on the first call and kept.

    Args:
        cache: Folder to keep it in, created if it is absent; None for ``onestroke`` in the user's cache folder.
        integrity: What the package file must hash to, in npm's notation.

    Raises:
        ExportError: If npm is absent or fails, or the package is not the one that was pinned.
    """
    cache = platformdirs.user_cache_path("onestroke") if cache is None else cache
    folder = cache / f"{NAME}-{VERSION}"
    if folder.is_dir():
        return open_runtime(folder)
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(
            f"npm, which fetches {NAME}, is not installed; install Node.js, or name the package's folder with --runtime"
        )
    print(f"fetching {NAME} {VERSION} with npm, 33 MB, into '{folder}'")
    partial = cache / f".{secrets.token_hex(8)}.tmp"
    try:
        partial.mkdir(parents=True)
        _unpack(_fetch(npm, partial), partial, integrity)
        open_runtime(partial / "package")
        try:
            (partial / "package").rename(folder)
        except OSError:
            # Another process may have been quicker; its copy is as good.
            if not folder.is_dir():
                raise
    except OSError as error:
        raise ExportError(
            f"folder '{cache}' cannot be written ({error.strerror or error}); name a package's folder with --runtime"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_runtime(folder)


def _fetch(npm: str, folder: Path) -> Path:
    command = [npm, "pack", f"{NAME}@{VERSION}", "--loglevel=error", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    packed = list(folder.glob("*.tgz"))
    if done.returncode or len(packed) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")] or ["it gave no file"]
        raise ExportError(
            f"npm could not fetch {NAME} {VERSION} ({lines[0]}); connect to the registry, or name the package's folder "
            "with --runtime"
        )
    return packed[0]


def _unpack(packed: Path, folder: Path, integrity: str) -> None:
    algorithm, _, expected = integrity.partition("-")
    digest = hashlib.new(algorithm, packed.read_bytes()).digest()
    if base64.b64encode(digest).decode() != expected:
        raise ExportError(
            f"the file that npm fetched for {NAME} {VERSION} is not the one that was tested; check the registry that "
            "npm is set to, or name a package's folder that you trust with --runtime"
        )
    wanted = {f"package/dist/{name}" for name in _FILES} | {"package/package.json"}
    with tarfile.open(packed) as archive:
        # The rest, maps and other builds, is a hundred megabytes.
        members = [
            member
            for member in archive.getmembers()
            if member.name in wanted or member.name.lower().startswith("package/licen")
        ]
        archive.extractall(folder, members, filter="data")
