"""Open an exported file in ONNX Runtime: read its bytes, check its seal, choose where to compute; needs no torch."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from export.contract import INPUT, has_seal, is_intact
from export.errors import ModelError

CPU = "CPUExecutionProvider"
_SUFFIX = "ExecutionProvider"
_ORT_IDENTIFIER = b"ORTM"  # What a file in ORT format has from its fifth byte on.


@dataclass(frozen=True)
class SessionRunner:
    """Opens and runs a file's graphs in one way.

    Args:
        path: The file, for messages.
        provider: ONNX Runtime's full name of where to compute.
        threads: CPU threads; None for one per core.
    """

    path: Path
    provider: str = CPU
    threads: int | None = None

    def open(self, content: bytes) -> onnxruntime.InferenceSession:
        """Start ONNX Runtime on a serialized model; ModelError if it cannot run."""
        return open_session(self.path, content, self.provider, self.threads)

    def run(
        self,
        session: onnxruntime.InferenceSession,
        outputs: Sequence[str],
        feeds: Mapping[str, npt.NDArray[Any]],
        frugal: bool = False,
    ) -> list[npt.NDArray[Any]]:
        """Run a graph whose pictures are (N, 3, H, W), or bytes of shape (N, H, W, 3).

        Args:
            session: One that ``open`` started.
            outputs: Names of what is wanted.
            feeds: The pictures, and whatever else the graph takes.
            frugal: Give the memory back afterwards, which costs a little time (on the CPU).

        Raises:
            ModelError: If ONNX Runtime fails.
        """
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        if frugal and self.provider == CPU:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            results: list[npt.NDArray[Any]] = session.run(list(outputs), dict(feeds), options)
        # ONNX Runtime's exceptions have no base class of their own.
        except Exception as error:
            pictures = feeds[INPUT]
            height, width = pictures.shape[1:3] if pictures.dtype == np.uint8 else pictures.shape[2:]
            raise ModelError(
                f"'{self.path}' failed on a picture of {width} x {height} pixels ({first_line(error)}); try a smaller "
                "--max-size"
            ) from error
        return results


def find_provider(name: str | None) -> str:
    """Return ONNX Runtime's full name of a provider.

    Args:
        name: Short or long, in any case; None for the CPU.

    Raises:
        ModelError: If this ONNX Runtime has no such provider.
    """
    available: list[str] = onnxruntime.get_available_providers()
    if name is None:
        return CPU
    known = {provider.removesuffix(_SUFFIX).lower(): provider for provider in available}
    short = name.lower().removesuffix(_SUFFIX.lower())
    if short not in known:
        raise ModelError(f"provider '{name}' is not in this ONNX Runtime; choose one of {', '.join(sorted(known))}")
    return known[short]


def read_model(path: Path) -> bytes:
    """Read an ONNX file; ModelError if it cannot be read, or if its seal is not valid."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"model '{path}' cannot be read ({error.strerror or error}); name an .onnx file that python -m export wrote"
        ) from error
    if has_seal(content) and not is_intact(content):
        raise ModelError(f"model '{path}' was changed or damaged since its export; copy or export it again")
    return content


def refuse_ort_format(path: Path, content: bytes) -> None:
    """Raise ModelError for a file in ORT format, which holds no texts of a style and cannot be changed."""
    if content[4:8] == _ORT_IDENTIFIER:
        raise ModelError(f"model '{path}' is in ORT format, and styles are .onnx files here; name the one beside it")


def create_session(
    content: bytes, provider: str = CPU, threads: int | None = None, bounded: bool = False
) -> onnxruntime.InferenceSession:
    """Start ONNX Runtime on a model, set to take little memory and to print nothing.

    Args:
        content: The model.
        provider: ONNX Runtime's full name of it; the CPU takes what it cannot compute.
        threads: CPU threads; None for one per core.
        bounded: Compute nothing while loading, and take memory from the allocator that ``probe`` registers.

    Raises:
        Exception: Whatever ONNX Runtime raises; its exceptions have no base class of their own.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    # The pattern would be planned anew for every size, which takes a quarter more memory and saves no time.
    options.enable_mem_pattern = False
    if bounded:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.use_env_allocators", "1")
    cpu = (CPU, {"arena_extend_strategy": "kSameAsRequested"})
    providers = [cpu] if provider == CPU else [provider, cpu]
    # It would announce in print that it falls back to the CPU, which open_session refuses.
    with contextlib.redirect_stdout(io.StringIO()):
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    session.disable_fallback()
    return session


@contextlib.contextmanager
def hide_warnings() -> Iterator[None]:
    """Keep the warnings of ONNX Runtime's own tools, whose sessions are not ours to set up, from standard error."""
    onnxruntime.set_default_logger_severity(4)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)


def open_session(
    path: Path, content: bytes, provider: str = CPU, threads: int | None = None, bounded: bool = False
) -> onnxruntime.InferenceSession:
    """Start ONNX Runtime on a file's model as ``create_session`` does.

    Args:
        path: Where the model came from, for the errors.
        content: The model.
        provider: ONNX Runtime's full name of it.
        threads: CPU threads; None for one per core.
        bounded: As in ``create_session``.

    Raises:
        ModelError: If the bytes are not a model that runs here, or the provider could not be started.
    """
    try:
        session = create_session(content, provider, threads, bounded)
    except Exception as error:
        raise ModelError(
            f"model '{path}' is not an ONNX file that runs here ({first_line(error)}); copy or export it again"
        ) from error
    if provider not in session.get_providers():
        raise ModelError(f"provider '{provider}' could not be started; install what it needs or choose another")
    return session


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message, or its type if there is none.

    What it repeats of a file is cut at 300 characters, with control characters escaped.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line[:300])


def count_cores() -> int:
    """Count the CPU cores that this process may use, which is how many threads ONNX Runtime starts by itself."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
