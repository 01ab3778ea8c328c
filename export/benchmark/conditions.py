"""What figures depend on beside the model: processor, instruction sets, threads, versions; needs NumPy at most."""

from __future__ import annotations

import contextlib
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from export.runtime.session import count_cores
from export.version import project_version

CPU_INFORMATION = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""

INSTRUCTION_SETS = (
    *("sse4_1", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "sme"),
)
"""Those that ONNX Runtime's kernels are written for, on x86 and on ARM, as Linux names them."""


@dataclass(frozen=True)
class Conditions:
    """How and on what a model was measured.

    Args:
        processor: Its model, or its architecture where the system does not name it.
        instruction_sets: Those of ``INSTRUCTION_SETS`` that it has; empty on systems other than Linux.
        cores: CPU cores that the process may use.
        system: Operating system and architecture.
        provider: Where ONNX Runtime computed.
        threads: CPU threads that it used.
        runs: Timed runs of each file and size.
        versions: Of this program, ONNX Runtime, NumPy and Python.
    """

    processor: str
    instruction_sets: tuple[str, ...]
    cores: int
    system: str
    provider: str
    threads: int
    runs: int
    versions: dict[str, str]

    def __str__(self) -> str:
        sets = f" with {', '.join(self.instruction_sets)}" if self.instruction_sets else ""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"median of {self.runs} runs, {self.threads} of {self.cores} CPU threads, {self.processor}{sets}; "
            f"{versions}, {self.system}"
        )


def describe_conditions(threads: int, runs: int) -> Conditions:
    """Describe this machine and its libraries.

    Args:
        threads: CPU threads that are used.
        runs: Timed runs of each file and size.
    """
    return Conditions(
        processor=read_processor(),
        instruction_sets=read_instruction_sets(),
        cores=count_cores(),
        system=f"{platform.system()} {platform.machine()}",
        provider="cpu",
        threads=threads,
        runs=runs,
        versions={
            "onestroke": project_version(),
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    )


def read_processor() -> str:
    """Return the processor's model, or its architecture where the system does not name it."""
    named = _read_field("model name")
    return named or (platform.processor() if not CPU_INFORMATION.exists() else "") or platform.machine()


def read_instruction_sets() -> tuple[str, ...]:
    """Return those of ``INSTRUCTION_SETS`` that the processor has; empty on systems other than Linux."""
    # x86 calls them flags, ARM features.
    found = f"{_read_field('flags')} {_read_field('Features')}".split()
    return tuple(name for name in INSTRUCTION_SETS if name in found)


def _read_field(name: str) -> str:
    with contextlib.suppress(OSError):
        for line in CPU_INFORMATION.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
