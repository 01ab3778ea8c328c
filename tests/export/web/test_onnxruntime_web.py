"""The browser's runtime is the pinned package, whole and unchanged, and what hinders its fetching is told."""

import base64
import hashlib
import io
import shutil
import tarfile

import platformdirs
import pytest

from export.errors import ExportError
from export.web.onnxruntime_web import NAME, VERSION, find_runtime, open_runtime


def test_incomplete_package_is_refused(package, tmp_path):
    shutil.copytree(package, tmp_path / "package")
    (tmp_path / "package/dist/ort.wasm.min.mjs").unlink()
    with pytest.raises(ExportError, match=r"has no dist/ort\.wasm\.min\.mjs"):
        open_runtime(tmp_path / "package")


def put_npm(folder, monkeypatch, script):
    """Let a script stand for npm, and nothing else of that name be found."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_npm_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match="install Node"):
        find_runtime(tmp_path / "cache")


def test_what_npm_fetches_is_checked_and_kept(package, tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as archive:
        archive.add(package, "package")
        archive.addfile(tarfile.TarInfo("package/dist/ort.all.js.map"), io.BytesIO())
    put_npm(tmp_path / "bin", monkeypatch, f'cp "{tmp_path}/packed.tgz" . && echo fetched >> "{tmp_path}/log"')
    with pytest.raises(ExportError, match="is not the one that was tested"):
        find_runtime(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    digest = hashlib.sha512((tmp_path / "packed.tgz").read_bytes()).digest()
    integrity = f"sha512-{base64.b64encode(digest).decode()}"
    for _ in range(2):
        assert find_runtime(tmp_path / "cache", integrity).version == "1.2.3"
    assert (tmp_path / "log").read_text().count("fetched") == 2
    assert not list((tmp_path / "cache").rglob("*.map"))


def test_failure_of_npm_is_told_with_its_reason(tmp_path, monkeypatch):
    put_npm(tmp_path / "bin", monkeypatch, "echo npm error code ENOTFOUND >&2; exit 1")
    with pytest.raises(ExportError, match=r"could not fetch.*ENOTFOUND"):
        find_runtime(tmp_path / "cache")


def test_package_is_kept_in_the_users_cache_folder(package, tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    shutil.copytree(package, tmp_path / "onestroke" / f"{NAME}-{VERSION}")
    monkeypatch.setenv("PATH", "")
    assert find_runtime().folder == tmp_path / "onestroke" / f"{NAME}-{VERSION}"
