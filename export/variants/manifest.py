"""The manifest of a folder of variants: what each file is, takes, gives, and costs; written as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime

from export.benchmark.conditions import read_processor
from export.benchmark.measure import Measurement
from export.contract import INPUT, MANIFEST_FORMAT, OPSET, OUTPUT, STRENGTH, contract_of
from export.graph.targets import Form
from export.variants.thresholds import THRESHOLDS, Difference, Threshold
from models.network import StyleNetwork, count_parameters
from models.style_file import StyleCard


@dataclass(frozen=True)
class FileEntry:
    """A file of the folder: its name, size in bytes and digest."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ValueEntry:
    """The picture that a variant takes or gives; the fields are those of ``export.contract.CONTRACT``."""

    name: str
    type: str
    shape: list[int | str]
    layout: str
    channels: str
    range: list[int]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels where the variant takes no other."""
        height, width = self.shape[1:3] if self.layout == "NHWC" else self.shape[2:]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None


@dataclass(frozen=True)
class StrengthEntry:
    """The second input of a variant that takes a strength.

    Args:
        name: Its name.
        type: Its type.
        shape: Empty: it is a single number.
        range: Its smallest and largest value.
        default: What it is when it is left out; None where it has to be given.
    """

    name: str
    type: str
    shape: list[int]
    range: list[float]
    default: float | None


@dataclass(frozen=True)
class VariantEntry(FileEntry):
    """A variant that passed its threshold.

    Args:
        precision: The variant's name.
        opset: Version of the ``ai.onnx`` operators.
        input: What it takes.
        output: What it gives.
        smallest_side: Shortest side of a picture, in pixels.
        difference_from_torch: The worst test photo's figures.
        threshold: What they had to reach.
        mobile_checker: Per delegate, what ONNX Runtime's checker counted.
        measurements: Latency and memory at each size.
        strength: What it takes besides a picture; None for a variant without strength.
    """

    precision: str
    opset: int
    input: ValueEntry
    output: ValueEntry
    smallest_side: int
    difference_from_torch: Difference
    threshold: Threshold
    mobile_checker: dict[str, dict[str, int]]
    measurements: list[Measurement]
    strength: StrengthEntry | None = None


@dataclass(frozen=True)
class RefusedEntry:
    """A variant that was not written, and why."""

    variant: str
    reason: str
    difference_from_torch: Difference


@dataclass(frozen=True)
class Photos:
    """Where the photos came from, how many variants were tested on, and how many they were calibrated with."""

    source: str
    tested_on: int
    calibrated_with: int


@dataclass(frozen=True)
class Machine:
    """What the measurements were made on."""

    processor: str
    cores: int | None
    system: str
    onnxruntime: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The description of a folder of variants.

    Args:
        format: Identifies a manifest of this program.
        style: The style's name.
        license: Under what terms the network may be used; empty if not stated.
        project_version: The version of this program that trained it.
        network: The architecture.
        parameters: Trained weights.
        steps: Optimizer steps taken.
        held_out_loss: Loss on photos held out from training; None where it was not measured.
        target: The delegate that the files were written for; None for any.
        photos: What the variants were tested on.
        machine: What they were measured on.
        files: The variants.
        refused: Variants that were asked for and did not pass.
        ort: The same in ORT format, and the list of operators last; empty where it was not asked for.
    """

    format: str = MANIFEST_FORMAT
    style: str
    license: str
    project_version: str
    network: dict[str, Any]
    parameters: int
    steps: int
    held_out_loss: float | None
    target: str | None
    photos: Photos
    machine: Machine
    files: list[VariantEntry] = field(default_factory=list)
    refused: list[RefusedEntry] = field(default_factory=list)
    ort: list[FileEntry] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the manifest as indented JSON; variants without strength have no entry of it."""
        values = asdict(self)
        for entry in values["files"]:
            if entry["strength"] is None:
                del entry["strength"]
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def describe_folder(network: StyleNetwork, card: StyleCard, target: str | None, photos: Photos) -> Manifest:
    """Return a manifest with no file in it yet.

    Args:
        network: The style network.
        card: Where it came from.
        target: The delegate that the files were written for; None for any.
        photos: What the variants are tested on.
    """
    return Manifest(
        style=card.name,
        license=card.license,
        project_version=card.project_version,
        network=network.config.to_dict(),
        parameters=count_parameters(network),
        steps=card.steps,
        held_out_loss=card.held_out_loss,
        target=target,
        photos=photos,
        machine=Machine(
            processor=read_processor(),
            cores=os.cpu_count(),
            system=f"{platform.system()} {platform.machine()}",
            onnxruntime=onnxruntime.__version__,
        ),
    )


def describe_variant(
    path: Path,
    precision: str,
    form: Form,
    difference: Difference,
    partitions: dict[str, dict[str, int]],
    measurements: Sequence[Measurement],
) -> VariantEntry:
    """Return the manifest's entry of one ONNX file."""
    contract = contract_of(precision, form.size, form.strength)
    value = {key: contract[key] for key in ("shape", "layout", "channels", "range")} | {"type": contract["dtype"]}
    return VariantEntry(
        **asdict(describe_file(path)),
        precision=precision,
        opset=OPSET,
        input=ValueEntry(INPUT, **value),
        output=ValueEntry(OUTPUT, **value),
        strength=_describe_strength(contract),
        smallest_side=contract["smallest_side"],
        difference_from_torch=difference.round(),
        threshold=THRESHOLDS[precision],
        mobile_checker=partitions,
        measurements=list(measurements),
    )


def _describe_strength(contract: dict[str, Any]) -> StrengthEntry | None:
    found = contract.get(STRENGTH)
    if found is None:
        return None
    return StrengthEntry(STRENGTH, found["dtype"], found["shape"], found["range"], found.get("default"))


def describe_file(path: Path) -> FileEntry:
    """Return a file's name, size and digest."""
    content = path.read_bytes()
    return FileEntry(path.name, len(content), hashlib.sha256(content).hexdigest())
