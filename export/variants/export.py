"""All variants of a style in one folder, each tested on photos before it is kept, with a manifest and a README."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from data.files import make_folder, require_only, stage_folder
from data.images import Picture, to_planes
from export.benchmark.measure import DEFAULT_SIZES, measure_model
from export.contract import FILES, MANIFEST, read_manifest, seal
from export.errors import ExportError
from export.graph.convert import (
    Planes,
    Transform,
    checked_strengths,
    find_style_file,
    match_strength,
    serialize,
    stylize_in_onnxruntime,
    stylize_in_torch,
)
from export.graph.mobile import convert_to_ort, count_partitions
from export.graph.targets import LEAN, Form
from export.variants.equalization import equalize, observe
from export.variants.float16 import to_float16
from export.variants.int8 import CALIBRATED_STRENGTHS, to_int8
from export.variants.manifest import Manifest, Photos, RefusedEntry, describe_file, describe_folder, describe_variant
from export.variants.photos import PhotoSplit, find_photos, split_photos
from export.variants.readme import write_readme
from export.variants.thresholds import THRESHOLDS, Difference, compare_pictures
from export.variants.uint8 import to_uint8
from export.variants.weights8 import to_weights8
from models.network import StyleNetwork
from models.style_file import StyleCard, load_style

IN_ORT_FORMAT = frozenset(("float32", "u8", "int8"))
"""Variants that ``--ort`` converts: the others' weights would become float32 in it."""


@dataclass(frozen=True)
class Request:
    """What to export, and how.

    Args:
        variants: Names out of ``export.contract.FILES``.
        photos: Folder of photos to test on and to calibrate with; None for scikit-image's samples.
        form: How the graphs are written.
        target: The delegate that asked for that form, for the manifest.
        ort: Convert the variants of ``IN_ORT_FORMAT`` to ORT format as well.
        overwrite: Replace a folder of variants that exists.
        sizes: Sides, in pixels, of the square pictures with which latency and memory are measured.
    """

    variants: Sequence[str] = tuple(FILES)
    photos: Path | None = None
    form: Form = LEAN
    target: str | None = None
    ort: bool = False
    overwrite: bool = False
    sizes: Sequence[int] = DEFAULT_SIZES


def export_variants(style: Path, output: Path, request: Request, announce: Callable[[str], object] = print) -> Manifest:
    """Write a folder of variants.

    Args:
        style: A ``.safetensors`` style file, or a run folder.
        output: The folder; assembled under another name and renamed at the end.
        request: What is wanted.
        announce: Called with each line of progress.

    Returns:
        The manifest, as it was written.

    Raises:
        ExportError: If the folder may not be written, the style has no strength where the form takes one, or no variant
            passes its threshold.
        OutputError: If the folder cannot be written.
        ImageError: If there are no photos to test on.
        ModelFileError: If the style cannot be read.
    """
    check_folder(output, request.overwrite)
    if request.ort and not IN_ORT_FORMAT.intersection(request.variants):
        raise ExportError(
            f"--ort converts {', '.join(sorted(IN_ORT_FORMAT))}, and --variants names {', '.join(request.variants)} "
            "alone; add one of the former, or leave out --ort"
        )
    trained = find_style_file(style)
    network, card = load_style(trained)
    network = match_strength(network, request.form, trained)
    paths = find_photos(request.photos)
    source = (
        "the sample photos of scikit-image" if request.photos is None else f"folder {request.photos.resolve().name}"
    )
    announce(f"testing and calibrating with {'' if request.photos is None else 'photos of '}{source}")
    photos = split_photos(paths, request.form.size)
    described = Photos(source, len(photos.test), len(photos.calibration))
    manifest = describe_folder(network, card, request.target, described)
    writer = _VariantWriter(network, card, request, photos)
    with stage_folder(output) as folder:
        with tqdm(request.variants, unit="variant", disable=None, leave=False) as bar:
            for variant in bar:
                bar.set_description(variant)
                said = writer.add(folder, variant, manifest)
                with bar.external_write_mode():
                    announce(said)
        if not manifest.files:
            raise ExportError(f"no variant passed its threshold, so '{output}' was not written; train the style anew")
        if request.ort:
            manifest.ort.extend(describe_file(path) for path in _convert(folder, manifest, announce))
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        (folder / "README.md").write_text(write_readme(manifest), encoding="utf-8")
    return manifest


def check_folder(output: Path, overwrite: bool) -> None:
    """Raise ExportError or OutputError, before any work, if a folder of variants may not be written there."""
    if output.suffix.lower() == ".onnx":
        raise ExportError(f"variants need a folder and '{output}' names a file; pass --output {output.stem}/")
    if not output.parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another --output")
    if output.exists() and not output.is_dir():
        raise ExportError(f"'{output}' is a file; name a folder with --output")
    make_folder(output.parent)
    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise ExportError(f"folder '{output}' exists; pass --overwrite to replace it or choose another --output")
    manifest = read_manifest(output)
    if manifest is None:
        raise ExportError(
            f"folder '{output}' holds no {MANIFEST} of this program and is not replaced; choose another --output"
        )
    entries = [entry for key in ("files", "ort") for entry in manifest.get(key) or () if isinstance(entry, dict)]
    require_only(output, [MANIFEST, "README.md", *(str(entry.get("file")) for entry in entries)])


def _convert(folder: Path, manifest: Manifest, announce: Callable[[str], object]) -> list[Path]:
    """Convert what keeps its types in ORT format, and say what is left out."""
    left = [entry.file for entry in manifest.files if entry.precision not in IN_ORT_FORMAT]
    if left:
        announce(f"not in ORT format: {' and '.join(left)}, whose weights the conversion would write as float32")
    models = [folder / entry.file for entry in manifest.files if entry.precision in IN_ORT_FORMAT]
    return convert_to_ort(models, folder) if models else []


@dataclass
class _VariantWriter:
    """Writes, tests and describes one variant after the other."""

    network: StyleNetwork
    card: StyleCard
    request: Request
    photos: PhotoSplit
    expected: dict[float | None, list[Planes]] = field(init=False)

    def __post_init__(self) -> None:
        self.expected = {
            strength: [stylize_in_torch(self.network, _to_batch(photo), strength)[0] for photo in self.photos.test]
            for strength in checked_strengths(self.request.form)
        }

    def add(self, folder: Path, variant: str, manifest: Manifest) -> str:
        """Write a variant's file and entry if it passes its threshold; return a line that says so."""
        content = self._serialize(variant)
        difference = self._compare(content, variant)
        refusal = THRESHOLDS[variant].refusal(difference)
        if refusal is not None:
            manifest.refused.append(RefusedEntry(variant, refusal, difference.round()))
            return f"refused {FILES[variant]}: {refusal}"
        path = folder / FILES[variant]
        path.write_bytes(content)
        form = self.request.form
        measurements = measure_model(path, self.request.sizes)
        manifest.files.append(describe_variant(path, variant, form, difference, count_partitions(path), measurements))
        figure = (
            f"{difference.max_levels:.3g} of 255" if variant in {"float32", "u8"} else f"{difference.psnr_db:.1f} dB"
        )
        return f"wrote {FILES[variant]}: {len(content):,} bytes, {figure} from torch"

    def _serialize(self, variant: str) -> bytes:
        network, transform = self.network, _TRANSFORMS.get(variant)
        if variant == "int8":
            photos = [torch.from_numpy(_to_batch(photo)) / 255 for photo in self.photos.equalization]
            strengths = (1.0,) if self.request.form.strength == "none" else CALIBRATED_STRENGTHS
            network = equalize(network, observe(network, photos, strengths))
            transform = lambda model: to_int8(model, self.photos.calibration)  # noqa: E731
        return seal(serialize(network, self.card, self.request.form, variant, transform))

    def _compare(self, content: bytes, variant: str) -> Difference:
        is_bytes = variant == "u8"
        photos = [photo[None] if is_bytes else _to_batch(photo) for photo in self.photos.test]
        found: list[npt.NDArray[np.number]] = []
        expected: list[npt.NDArray[np.number]] = []
        for strength, pictures in self.expected.items():
            stylized = [batch[0] for batch in stylize_in_onnxruntime(content, photos, strength)]
            found += [picture.transpose(2, 0, 1) for picture in stylized] if is_bytes else stylized
            # Bytes are compared with torch's picture rounded to uint8.
            expected += [np.rint(picture) for picture in pictures] if is_bytes else pictures
        return compare_pictures(found, expected)


_TRANSFORMS: dict[str, Transform] = {"fp16": to_float16, "u8": to_uint8, "w8": to_weights8}


def _to_batch(photo: Picture) -> Planes:
    return to_planes(photo, white=255)[None]
