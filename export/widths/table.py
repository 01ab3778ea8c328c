"""Compare folders of variants, so that an app can choose a width: ``python -m export.widths full/ half/ nano/``.

Prints a table in Markdown. Nothing is measured here: sizes, time, memory and the held-out loss are those of the
manifests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.cli import CommandParser, run_command
from export.contract import FILES, MANIFEST, read_manifest
from export.errors import ExportError

PRESETS = {"full": 32, "half": 16, "nano": 8}
"""Usual widths; ``configs/widths/`` holds those that are not the default."""


def compare_widths(folders: Sequence[Path], variant: str = "float32") -> str:
    """Compare folders of variants in a table.

    Args:
        folders: Folders that ``python -m export --variants`` wrote on one machine.
        variant: The file whose time and memory are shown; bytes are shown of all.

    Returns:
        A table in Markdown, one row per folder in their order, and a line that says how it was measured.

    Raises:
        ExportError: If a folder holds no manifest or not that variant, or the folders were not measured alike.
    """
    manifests = [_read(folder) for folder in folders]
    for folder, manifest in zip(folders, manifests, strict=True):
        for key, what in (("machine", "on another machine"), ("target", "for another target")):
            if manifest[key] != manifests[0][key]:
                raise ExportError(f"'{folder}' was exported {what} than '{folders[0]}'; export both alike")
    files = [{entry["precision"]: entry for entry in manifest["files"]} for manifest in manifests]
    costs = [_costs(folder, found, variant) for folder, found in zip(folders, files, strict=True)]
    for folder, found in zip(folders, files, strict=True):
        # Sides stand for the longer one of a fixed shape: 128 x 16 pixels are no 128.
        if found[variant]["input"]["shape"] != files[0][variant]["input"]["shape"]:
            raise ExportError(
                f"'{folder}' takes pictures of another shape than '{folders[0]}'; export them with one --size, or none"
            )
    sides = [side for side in costs[0] if all(side in found for found in costs)]
    if not sides:
        raise ExportError(
            f"no size was measured in all of {len(folders)} folders; export them with one --size, or none"
        )
    variants = [name for name in FILES if any(name in found for found in files)]
    heads = ["style", "width", "parameters", *(f"{name}, MB" for name in variants)]
    heads += [*(f"{side} px: ms, MB" for side in sides), "steps", "held-out loss"]
    rows = [
        _describe(manifest, variants, [cost[side] for side in sides])
        for manifest, cost in zip(manifests, costs, strict=True)
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    machine = manifests[0]["machine"]
    made = f"{machine['cores']} cores of {machine['processor']} with ONNX Runtime {machine['onnxruntime']}"
    return "\n".join([*lines, "", f"Time and peak memory of `{FILES[variant]}` on {made}."])


def _describe(manifest: dict[str, Any], variants: Sequence[str], costs: Sequence[str]) -> list[str]:
    sizes = {entry["variant"]: "refused" for entry in manifest["refused"]}
    sizes |= {entry["precision"]: f"{entry['bytes'] / 1e6:.2f}" for entry in manifest["files"]}
    width, loss = manifest["network"]["width"], manifest["held_out_loss"]
    return [
        f"`{manifest['style']}`",
        next((f"`{name}`, {width}" for name, usual in PRESETS.items() if usual == width), str(width)),
        f"{manifest['parameters']:,}",
        *(sizes.get(variant, "none") for variant in variants),
        *costs,
        f"{manifest['steps']:,}",
        "not known" if loss is None else f"{loss:.3f}",
    ]


def _read(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest is None:
        raise ExportError(
            f"folder '{folder}' holds no {MANIFEST} of this program; name one that python -m export --variants wrote"
        )
    if "parameters" not in manifest:
        raise ExportError(f"folder '{folder}' was written before manifests held the width; export it again")
    return manifest


def _costs(folder: Path, files: dict[str, dict[str, Any]], variant: str) -> dict[int, str]:
    if variant not in files:
        raise ExportError(f"folder '{folder}' holds no {FILES[variant]}; choose another --variant, or export it there")
    return {
        found["side"]: f"{_round(found['latency_ms'])}, {_round(found['peak_memory_mb'])}"
        for found in files[variant]["measurements"]
    }


def _round(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.widths``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    return run_command(lambda: print(compare_widths(options.folders, options.variant)))


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.widths",
        description="Print a table of a style's parameters, bytes, latency, peak memory and held-out loss at each "
        "width, from the folders' manifests.",
        epilog="example: python -m export.widths full/ half/ nano/",
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="folder that python -m export --variants wrote"
    )
    parser.add_argument(
        "--variant",
        choices=FILES,
        default="float32",
        help="the file whose latency and peak memory are shown (default: %(default)s)",
    )
    return parser
