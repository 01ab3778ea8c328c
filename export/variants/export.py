"""All variants of a style in one folder, each judged on photos before it is kept, with a manifest and a README."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tqdm import tqdm

from data.files import OutputError, make_folder, replace_folder
from export.benchmark.measure import SIDES, measure_model
from export.contract import FILES, INPUT, MANIFEST, OUTPUT, read_manifest, seal
from export.errors import ExportError
from export.graph.builder import LEAN, Form
from export.graph.convert import find_style, serialize, stylize_in_torch
from export.graph.targets import convert_to_ort, count_partitions
from export.variants.equalization import equalize, observe
from export.variants.float16 import to_bytes, to_float16, to_weights8
from export.variants.int8 import to_integers
from export.variants.manifest import describe_file, describe_folder, describe_model
from export.variants.readme import write_readme
from export.variants.thresholds import GATES, Difference, compare_pictures, find_photos, split_photos
from models.network import StyleNetwork
from models.style_file import StyleCard, load_style

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Request:
    """What to export, and how.

    Args:
        variants: Names out of ``export.contract.FILES``.
        photos: Folder of photos that judge and calibrate; None for scikit-image's samples.
        form: How the graphs are written.
        target: The delegate that asked for that form, for the manifest.
        ort: Convert every file to ORT format as well.
        overwrite: Replace a folder of variants that exists.
        sides: Sides in pixels at which latency and memory are measured.
    """

    variants: Sequence[str] = tuple(FILES)
    photos: Path | None = None
    form: Form = LEAN
    target: str | None = None
    ort: bool = False
    overwrite: bool = False
    sides: Sequence[int] = SIDES


def export_variants(
    style: Path, output: Path, request: Request, announce: Callable[[str], object] = print
) -> dict[str, Any]:
    """Write a folder of variants.

    Args:
        style: A ``.safetensors`` style file, or a run folder.
        output: The folder; assembled under another name and renamed at the end.
        request: What is wanted.
        announce: Told what happens, a line at a time.

    Returns:
        The manifest, as it was written.

    Raises:
        ExportError: If the folder may not be written, or no variant passes its gate.
        ImageError: If there are no photos to judge by.
        ModelFileError: If the style cannot be read.
    """
    check_folder(output, request.overwrite)
    network, card = load_style(find_style(style))
    paths = find_photos(request.photos)
    source = "the sample photos of scikit-image" if request.photos is None else f"folder {request.photos.name}"
    announce(f"judging and calibrating with photos of {source}" if request.photos else f"judging with {source}")
    judges, others = split_photos(paths, request.form.size)
    photos = {"source": source, "judged_by": len(judges), "calibrated_with": len(others)}
    manifest = describe_folder(network, card, request.target, photos)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent) as name:
        folder = Path(name) / output.name
        folder.mkdir()
        maker = _Maker(network, card, request, judges, others)
        with tqdm(request.variants, unit="variant", disable=None, leave=False) as bar:
            for variant in bar:
                bar.set_description(variant)
                said = maker.add(folder, variant, manifest)
                with bar.external_write_mode():
                    announce(said)
        if not manifest["files"]:
            raise ExportError(f"no variant passed its gate, so '{output}' was not written; train the style anew")
        if request.ort:
            manifest["ort"] = [describe_file(path) for path in convert_to_ort(folder)]
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(write_readme(manifest))
        try:
            replace_folder(folder, output)
        except OSError as error:
            raise ExportError(
                f"'{output}' cannot be written ({error.strerror or error}); choose another output"
            ) from error
    return manifest


def check_folder(output: Path, overwrite: bool) -> None:
    """Raise ExportError, before any work, if a folder of variants may not be written there."""
    if output.suffix.lower() == ".onnx":
        raise ExportError(f"variants need a folder and '{output}' names a file; write --output {output.stem}/")
    if not output.parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another output")
    if output.exists() and not output.is_dir():
        raise ExportError(f"'{output}' is a file; name a folder")
    try:
        make_folder(output.parent)
    except OutputError as error:
        raise ExportError(str(error)) from error
    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise ExportError(f"folder '{output}' exists; pass --overwrite to replace it or choose another output")
    if read_manifest(output) is None:
        raise ExportError(f"folder '{output}' holds no {MANIFEST} of ours and is not replaced; choose another output")


@dataclass
class _Maker:
    """Makes, judges and describes one variant after the other."""

    network: StyleNetwork
    card: StyleCard
    request: Request
    judges: list[Pixels]
    others: list[Pixels]
    expected: list[np.ndarray[Any, np.dtype[np.float32]]] = field(init=False)

    def __post_init__(self) -> None:
        self.expected = [stylize_in_torch(self.network, _planes(photo))[0] for photo in self.judges]

    def add(self, folder: Path, variant: str, manifest: dict[str, Any]) -> str:
        """Write a variant's file and entry if it passes its gate, and say in a line what came of it."""
        content = self._serialize(variant)
        difference = self._judge(content, variant)
        refusal = GATES[variant].refusal(difference)
        if refusal is not None:
            entry = {"variant": variant, "reason": refusal, "difference_from_torch": difference.to_dict()}
            manifest["refused"].append(entry)
            return f"refused {FILES[variant]}: {refusal}"
        path = folder / FILES[variant]
        path.write_bytes(content)
        size = self.request.form.size
        measurements = measure_model(path, self.request.sides)
        manifest["files"].append(describe_model(path, variant, size, difference, count_partitions(path), measurements))
        figure = (
            f"{difference.max_levels:.3g} of 255" if variant in {"float32", "u8"} else f"{difference.psnr_db:.1f} dB"
        )
        return f"wrote {FILES[variant]}: {len(content):,} bytes, {figure} from torch"

    def _serialize(self, variant: str) -> bytes:
        network, change = self.network, _CHANGES.get(variant)
        if variant == "int8":
            photos = [torch.from_numpy(_planes(photo)) / 255 for photo in self.others]
            network = equalize(network, observe(network, photos))
            seen = observe(network, photos)
            change = lambda model: to_integers(model, seen)  # noqa: E731
        return seal(serialize(network, self.card, self.request.form, variant, change))

    def _judge(self, content: bytes, variant: str) -> Difference:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = []
        for photo in self.judges:
            picture = photo[None] if variant == "u8" else _planes(photo)
            stylized = session.run([OUTPUT], {INPUT: picture})[0][0]
            found.append(stylized.transpose(2, 0, 1) if variant == "u8" else stylized)
        # Bytes are compared with torch's picture rounded as a byte is.
        expected = [np.rint(picture) for picture in self.expected] if variant == "u8" else self.expected
        return compare_pictures(found, expected)


_CHANGES = {"fp16": to_float16, "u8": to_bytes, "w8": to_weights8}


def _planes(photo: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ascontiguousarray(photo.transpose(2, 0, 1)[None], dtype=np.float32)
