"""ONNX Runtime's tools for phones: into how many partitions a delegate cuts a file, and the ORT format."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.runtime.session import hide_warnings

OPERATORS = "required_operators_and_types.config"
"""Name of the list of operators, with the types of their values, that a reduced build is configured with."""

_NEVER = 2**31 - 1  # The last version of a kernel that serves every later one, as far as its operator stays the same.


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

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), hide_warnings():
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


def convert_to_ort(models: Sequence[Path], folder: Path) -> list[Path]:
    """Convert ONNX files to ORT format, for reduced and minimal builds of ONNX Runtime.

    The conversion optimizes for this machine's CPU: float16 and weights that are restored when the file is opened would
    be written as float32.

    Args:
        models: The ``.onnx`` files.
        folder: Where the results are written.

    Returns:
        The ``.ort`` files, and ``required_operators_and_types.config``, which a reduced build is configured with.

    Raises:
        ExportError: If ONNX Runtime itself has no kernel for one of these operators and types.
    """
    from onnxruntime.tools.convert_onnx_models_to_ort import OptimizationStyle, convert_onnx_models_to_ort

    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()), hide_warnings():
        # The tool converts all files of a folder, and writes the folder's name into the list.
        chosen = Path(name).resolve()
        for model in models:
            shutil.copy(model, chosen)
        convert_onnx_models_to_ort(chosen, optimization_styles=[OptimizationStyle.Fixed], enable_type_reduction=True)
        config = folder / OPERATORS
        config.write_text((chosen / OPERATORS).read_text().replace(f"{chosen}{os.sep}", ""))
        converted = [Path(shutil.copy(path, folder)) for path in sorted(chosen.glob("*.ort"))]
    missing = find_missing_kernels(converted)
    if missing:
        raise ExportError(
            f"this ONNX Runtime has no kernel for {', '.join(missing)}, so no build of it runs the files in ORT "
            "format; leave out --ort"
        )
    return [*converted, config]


def find_missing_kernels(models: Iterable[Path]) -> list[str]:
    """Check the operators and types of files in ORT format against the kernels that ONNX Runtime registers on the CPU.

    A minimal build can neither write an operator as a function of others nor insert a cast, so it needs a kernel for
    every node, in its version, for its types.

    Args:
        models: ``.ort`` files.

    Returns:
        What lacks a kernel, as ``ai.onnx 18 Pad (float)``; empty if nothing does.
    """
    from onnxruntime.capi import _pybind_state
    from onnxruntime.tools.ort_format_model import OperatorTypeUsageManager, OrtFormatModelProcessor

    required: dict[str, dict[int, set[str]]] = {}
    usage = OperatorTypeUsageManager()
    for model in models:
        OrtFormatModelProcessor(str(model), required, usage).process()
    kernels: dict[tuple[str, str], list[Any]] = {}
    for kernel in _pybind_state.get_all_opkernel_def():
        kernels.setdefault((kernel.domain or "ai.onnx", kernel.op_name), []).append(kernel)
    schemas = {
        (schema.domain or "ai.onnx", schema.name, schema.since_version): schema
        for schema in _pybind_state.get_all_operator_schema()
    }
    missing = []
    for domain, versions in sorted(required.items()):
        for version, names in sorted(versions.items()):
            for name in sorted(names):
                fitting = [one for one in kernels.get((domain, name), []) if _serves(one.version_range, version)]
                entry = json.loads(usage.get_config_entry(domain, name) or "{}")
                lacking = _find_lacking_types(fitting, schemas[domain, name, version], entry)
                if lacking or not fitting:
                    missing.append(f"{domain} {version} {name}" + (f" ({', '.join(lacking)})" if lacking else ""))
    return missing


def _serves(versions: tuple[int, int], version: int) -> bool:
    first, last = versions
    return first == version or (first < version <= last < _NEVER)


def _find_lacking_types(kernels: Sequence[Any], schema: Any, entry: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return the types, of those that a tool's entry lists for each input and output, that no kernel takes there."""
    lacking = []
    for side, values in (("inputs", schema.inputs), ("outputs", schema.outputs)):
        for index, types in entry.get(side, {}).items():
            constraint = values[int(index)].typeStr
            taken = {name for kernel in kernels for name in kernel.type_constraints.get(constraint, ())}
            # A kernel that names no types takes any.
            lacking += [kind for kind in types if taken and _spell_as_onnx(kind) not in taken]
    return sorted(set(lacking))


def _spell_as_onnx(kind: str) -> str:
    """Return ONNX's name for a tensor of one of C++'s types, ``tensor(uint8)`` for ``uint8_t``."""
    others = {"MLFloat16": "float16", "BFloat16": "bfloat16", "std::string": "string"}
    return f"tensor({others.get(kind, kind.removesuffix('_t'))})"
