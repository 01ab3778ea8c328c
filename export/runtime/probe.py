"""Try a model on a small picture, in bounded memory and time, before ONNX Runtime prepares it for large ones.

A file of a few hundred bytes can hold a loop without end, or make a constant of gigabytes, which ONNX Runtime would
compute while it loads the file. No list of operators tells such a model from a harmless one, so it is run: unoptimized,
so that nothing is computed while loading, with an allocator that has a limit, and stopped when its time is over.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError

from export.errors import ModelError
from export.runtime.layout import give_strength, split_inputs
from export.runtime.memory import bytes_per_pixel
from export.runtime.onnx_messages import ModelProto
from export.runtime.session import CPU, open_session

MAX_BYTES = 1_000_000_000
"""Memory that a model may take on the small picture, weights included."""

MAX_SECONDS = 5.0
"""Time that it may take."""

SIDE = 64
"""Height and width of the picture, in pixels, where the model does not fix them."""

MAX_NODES = 10_000
"""Nodes that a model may have, its functions written out as ONNX Runtime does while loading; exports have about 150."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def open_probe(
    path: Path, content: bytes, provider: str = CPU, threads: int | None = None
) -> onnxruntime.InferenceSession:
    """Open a model for ``probe``, in bounded memory.

    Args:
        path: Where the model came from, for the errors.
        content: The model.
        provider: ONNX Runtime's full name of where to compute; the bound on memory holds for the CPU's.
        threads: CPU threads; None for one per core.

    Raises:
        ModelError: As ``open_session`` does, or if the model has more than ``MAX_NODES`` nodes.
    """
    if _count_nodes(content) > MAX_NODES:
        raise ModelError(
            f"model '{path}' has more than {MAX_NODES:,} nodes, its functions written out; "
            "use a file that python -m export wrote"
        )
    _limit_memory()
    return open_session(path, content, provider, threads, bounded=True)


def probe(path: Path, session: onnxruntime.InferenceSession) -> None:
    """Run a model once on a black picture.

    A model that is made for one size so large that it may well need more memory is not run, and neither is one that
    takes no picture. Failures for other reasons are left to be reported with a real picture.

    Args:
        path: Where the model came from, for the errors.
        session: What ``open_probe`` returned.

    Raises:
        ModelError: If the model takes more than ``MAX_BYTES`` or ``MAX_SECONDS``.
    """
    values, _ = split_inputs(session)
    if len(values) != 1 or len(values[0].shape) != 4 or values[0].type not in _TYPES:
        return
    # Of the batch one picture; where a size is free, a small one.
    free = (1, SIDE, SIDE, SIDE)
    shape = [side if isinstance(side, int) else free[axis] for axis, side in enumerate(values[0].shape)]
    if math.prod(shape) // 3 * bytes_per_pixel(width=32, lean=False) > MAX_BYTES:
        return
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    late = threading.Event()

    def stop() -> None:
        late.set()
        options.terminate = True

    watch = threading.Timer(MAX_SECONDS, stop)
    watch.daemon = True
    watch.start()
    try:
        feeds = {values[0].name: np.zeros(shape, _TYPES[values[0].type]), **give_strength(session)}
        session.run(None, feeds, options)
    # ONNX Runtime's exceptions have no base class of their own.
    except Exception as error:
        took = f"{MAX_SECONDS:g} seconds" if late.is_set() else f"{MAX_BYTES / 1e9:.1f} GB of memory"
        if late.is_set() or any(word in str(error) for word in ("memory", "bad_alloc")):
            raise ModelError(
                f"model '{path}' takes more than {took} for a picture of {shape[-1] if shape[1] == 3 else shape[2]} x "
                f"{shape[2] if shape[1] == 3 else shape[1]} pixels; use a file that python -m export wrote"
            ) from error
    finally:
        watch.cancel()


def _count_nodes(content: bytes) -> int:
    """Count a model's nodes, those of its functions as often as they are called; 0 if the bytes are not ONNX's."""
    model: Any = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        return 0
    functions = {(function.domain, function.name): function.node for function in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[Any]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in functions:
                if key not in counts:
                    # What calls itself has no end.
                    counts[key] = MAX_NODES + 1
                    counts[key] = count(functions[key])
                total += counts[key]
            else:
                graphs = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
                total += 1 + sum(count(graph.node) for graph in graphs)
            if total > MAX_NODES:
                break
        return total

    return count(model.graph.node)


@functools.cache
def _limit_memory() -> None:
    """Give ONNX Runtime an allocator with a limit, for the sessions that ask for it."""
    where = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    # Memory is taken as it is asked for, not in powers of two.
    limits = onnxruntime.OrtArenaCfg({"max_mem": MAX_BYTES, "arena_extend_strategy": 1})
    # Whoever embeds this module may have registered an allocator already, which then counts.
    with contextlib.suppress(Exception):
        onnxruntime.create_and_register_allocator(where, limits)
