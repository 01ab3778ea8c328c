"""What each runtime's delegate takes, and how many pieces ONNX Runtime's mobile checker sees a file cut into."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from export.contract import CELL, SMALLEST_SIDE
from export.errors import ExportError
from export.graph.builder import LEAN, Form

OPERATORS = "required_operators.config"


@dataclass(frozen=True)
class Target:
    """What a delegate demands of the graph.

    Args:
        form: How pads and norms are written.
        needs_size: Whether it takes fixed shapes only.
    """

    form: Form
    needs_size: bool


TARGETS = {
    "cpu": Target(LEAN, needs_size=False),
    # WebGPU and WebNN take the graph as it is.
    "web": Target(LEAN, needs_size=False),
    # The ML program has InstanceNormalization; reflection came with ONNX Runtime 1.26, slices serve all.
    "coreml": Target(Form(pads="slices"), needs_size=True),
    # NNAPI has neither the norm nor any pad but of zeros.
    "nnapi": Target(Form(pads="slices", norms="means"), needs_size=True),
    "qnn": Target(LEAN, needs_size=True),
}
"""The targets of ``--target``."""


def choose_form(target: str | None, size: tuple[int, int] | None, plain: bool = False) -> Form:
    """Choose how the graph is written.

    Args:
        target: One of ``TARGETS``; None for what suits the CPU.
        size: Height and width in pixels; None for any.
        plain: Write the textbook's graph.

    Raises:
        ExportError: If the target needs a size and there is none, or wants a rewrite that ``plain`` forbids.
    """
    if size is not None and (min(size) < SMALLEST_SIDE or any(side % CELL for side in size)):
        raise ExportError(
            f"size {size[1]}x{size[0]} cannot be fixed; give multiples of {CELL} from {SMALLEST_SIDE} up, as in 512x512"
        )
    found = TARGETS[target or "cpu"]
    if plain and target is not None:
        raise ExportError(f"--plain and --target {target} exclude each other; leave out one")
    if found.needs_size and size is None:
        raise ExportError(f"target {target} takes fixed shapes only; add --size 512x512, or the size that you need")
    return replace(found.form, lean=not plain, size=size)


def count_partitions(path: Path) -> dict[str, dict[str, int]]:
    """Let ONNX Runtime's mobile checker look at a file.

    The checker goes by the operators alone, shapes taken as fixed: it is an estimate, not a run on a phone.

    Args:
        path: The ONNX file.

    Returns:
        For ``nnapi`` and ``coreml`` (ML program): ``partitions`` (1 is best), and ``nodes`` delegated ``of`` all.
    """
    from onnxruntime.tools.mobile_helpers import usability_checker as checker
    from onnxruntime.tools.onnx_model_utils import ModelProtoWithShapeInfo, optimize_model

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        optimized = Path(folder) / "optimized.onnx"
        optimize_model(path, optimized)
        model = ModelProtoWithShapeInfo(optimized).model_with_shape_info
        found = {
            "nnapi": checker.check_nnapi_partitions(model, False),
            "coreml": checker.check_coreml_partitions(model, False, "coreml_supported_mlprogram_ops.md"),
        }
    return {
        name: {
            "partitions": info.num_partitions,
            "nodes": info.num_supported_nodes,
            "of": info.num_nodes,
        }
        for name, info in found.items()
    }


def convert_to_ort(folder: Path) -> list[Path]:
    """Convert a folder's ONNX files to ORT format, for reduced builds of ONNX Runtime.

    Args:
        folder: What holds the ``.onnx`` files; the results go beside them.

    Returns:
        The ``.ort`` files, and ``required_operators.config``, which a reduced build is configured with.
    """
    from onnxruntime.tools.convert_onnx_models_to_ort import OptimizationStyle, convert_onnx_models_to_ort

    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        convert_onnx_models_to_ort(folder, optimization_styles=[OptimizationStyle.Fixed])
    config = folder / OPERATORS
    # The tool names the folder that it worked in, which is gone soon.
    config.write_text(config.read_text().replace(f"{folder.resolve()}{os.sep}", ""))
    return [*sorted(folder.glob("*.ort")), config]
