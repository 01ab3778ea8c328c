"""The manifest of a folder of variants: what each file is, takes, gives, and costs, as plain values for JSON."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnxruntime

from export.benchmark.measure import Measurement
from export.contract import INPUT, MANIFEST_FORMAT, OPSET, OUTPUT, contract_of
from export.variants.thresholds import GATES, Difference
from models.network import StyleNetwork, count_parameters
from models.style_file import StyleCard


def describe_folder(
    network: StyleNetwork, card: StyleCard, target: str | None, photos: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest's head, with no file in it yet.

    Args:
        network: What paints the style.
        card: Where it came from.
        target: The delegate that the files were written for; None for any.
        photos: Where the photos of the gates came from, and how many there were.
    """
    return {
        "format": MANIFEST_FORMAT,
        "style": card.name,
        "license": card.license,
        "project_version": card.project_version,
        "network": network.config.to_dict(),
        "parameters": count_parameters(network),
        "steps": card.steps,
        "held_out_loss": card.held_out_loss,
        "target": target,
        "photos": photos,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "onnxruntime": onnxruntime.__version__,
        },
        "files": [],
        "refused": [],
    }


def describe_model(
    path: Path,
    precision: str,
    size: tuple[int, int] | None,
    difference: Difference,
    partitions: dict[str, dict[str, int]],
    measurements: Sequence[Measurement],
) -> dict[str, Any]:
    """Return the manifest's entry of one ONNX file."""
    contract = contract_of(precision, size)
    value = {key: contract[key] for key in ("shape", "layout", "channels", "range")} | {"type": contract["dtype"]}
    return {
        **describe_file(path),
        "precision": precision,
        "opset": OPSET,
        "input": {"name": INPUT, **value},
        "output": {"name": OUTPUT, **value},
        "smallest_side": contract["smallest_side"],
        "difference_from_torch": difference.to_dict(),
        "gate": asdict(GATES[precision]),
        "mobile_checker": partitions,
        "measurements": [asdict(measurement) for measurement in measurements],
    }


def describe_file(path: Path) -> dict[str, Any]:
    """Return a file's name, size and digest."""
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
