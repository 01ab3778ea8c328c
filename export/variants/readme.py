"""The README of a folder of variants: what each file is, and lines to copy into an app, out of ``templates/``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from export.variants.manifest import Manifest, VariantEntry

_PURPOSES = {
    "float32": "the picture as trained",
    "fp16": "half the bytes: float16 inside where the runtime supports it, float32 in and out",
    "u8": "bitmaps and canvases: uint8 in and out, rounded and clamped inside",
    "w8": "a quarter of the bytes: 8-bit weights, computed in float32",
    "int8": "integer convolutions (QDQ), for processors that have them",
}


@dataclass(frozen=True)
class _Group:
    """Variants that take and give the same, so that one way of calling serves them all.

    Args:
        entries: Their entries.
        files: Their files, with those in ORT format.
    """

    entries: list[VariantEntry]
    files: list[str]

    @property
    def names(self) -> list[str]:
        return [entry.file for entry in self.entries]


def write_readme(manifest: Manifest) -> str:
    """Write the README that belongs to a manifest.

    Args:
        manifest: What the folder holds, at least one file.

    Returns:
        Markdown.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": lambda name: f"`{name}`", "sentence": _join}
    bitmaps = next((entry for entry in manifest.files if entry.precision == "u8"), None)
    template = environment.get_template("README.md.j2")
    groups, strength = _group_by_contract(manifest), manifest.files[0].strength
    return template.render(manifest=manifest, groups=groups, bitmaps=bitmaps, purposes=_PURPOSES, strength=strength)


def _group_by_contract(manifest: Manifest) -> list[_Group]:
    groups: dict[str, list[VariantEntry]] = {}
    for entry in manifest.files:
        groups.setdefault(entry.input.type, []).append(entry)
    in_ort_format = {entry.file for entry in manifest.ort}
    return [_Group(entries, _list_files(entries, in_ort_format)) for entries in groups.values()]


def _list_files(entries: Sequence[VariantEntry], in_ort_format: set[str]) -> list[str]:
    names = [entry.file for entry in entries]
    return names + [name for name in (f"{file.removesuffix('.onnx')}.ort" for file in names) if name in in_ort_format]


def _join(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
