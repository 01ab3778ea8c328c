"""ONNX Runtime's tools for phones: into how many partitions a delegate cuts a file, and the ORT format."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from pathlib import Path

OPERATORS = "required_operators.config"
"""Name of the list of operators that a reduced build is configured with."""


def count_partitions(path: Path) -> dict[str, dict[str, int]]:
    """Run ONNX Runtime's mobile checker on a file.

    The checker knows the operators alone and assumes fixed shapes: it estimates, and runs nothing on a phone.

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
        folder: Folder of the ``.onnx`` files; the results are written beside them.

    Returns:
        The ``.ort`` files, and ``required_operators.config``, which a reduced build is configured with.
    """
    from onnxruntime.tools.convert_onnx_models_to_ort import OptimizationStyle, convert_onnx_models_to_ort

    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        convert_onnx_models_to_ort(folder, optimization_styles=[OptimizationStyle.Fixed])
    config = folder / OPERATORS
    # The tool writes the name of its folder, which is temporary.
    config.write_text(config.read_text().replace(f"{folder.resolve()}{os.sep}", ""))
    return [*sorted(folder.glob("*.ort")), config]
