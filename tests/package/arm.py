"""Repaint a photo on an emulated 64-bit ARM processor and compare it with this machine's picture: ``make arm``.

The wheel, and ONNX Runtime, NumPy and Pillow for ARM in the versions that are installed here, run under QEMU's user
emulation on a Debian root that debootstrap downloads once. Nothing of the checkout is used there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from data.files import stage_folder
from data.images import Picture, decode, to_array
from data.samples import sample_photo
from export.contract import FILES
from export.variants.export import Request, export_variants
from export.variants.thresholds import Difference, compare_pictures
from tests import ROOT

SUITE = "bookworm"
"""The release of Debian; its glibc is new enough for the wheels, and its Python for the package."""

PROCESSOR = "cortex-a72"
"""That of a Raspberry Pi 4; QEMU's name."""

SIDE = 128
"""Long side of the picture, in pixels: an emulated processor takes a hundred times as long as this one."""

MOST_LEVELS = 1
"""By how much of 255 a pixel may differ from this machine's, for variants that compute in floating point."""

MOST_LOSS_DB = 1.0
"""By how much ``int8`` may be farther from the float32 picture there than here. Its own pixels cannot be the same: each
rounds to one of 256 values, ties fall differently in another order of additions, and norms carry that everywhere. On
one x86 processor two levels of ONNX Runtime's optimization differ as much."""

# Newer versions of QEMU show an ARM processor there, older ones this machine's, which ONNX Runtime cannot read.
_INFORMATION = """\
processor\t: {index}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""

# An emulated processor may take longer for the small picture on which models are tried than a real one may. The peak is
# read inside, because what the kernel counts of a child begins with the memory of this process.
_PROGRAM = """\
import sys
from pathlib import Path
from {package}export.runtime import probe
from {package}export.stylize.command import main
probe.MAX_SECONDS = 600.0
code = main(sys.argv[1:])
print(Path("/proc/self/status").read_text())
sys.exit(code)
"""


class AbsentError(Exception):
    """Something that the emulation needs cannot be had; the message says what."""


@dataclass(frozen=True)
class Run:
    """One picture.

    Args:
        pixels: uint8, shape (H, W, 3).
        seconds: Time on the clock.
        peak_mb: The most memory that the process held, in millions of bytes; there, the emulator's included.
    """

    pixels: Picture
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Emulator:
    """An ARM processor and a Debian root.

    Args:
        program: QEMU.
        root: The root.
        processor: QEMU's name of the processor.
    """

    program: str
    root: Path
    processor: str = PROCESSOR

    @property
    def python(self) -> Path:
        """The root's interpreter, a file of the form ``python3.11``."""
        return next(path for path in sorted(self.root.glob("usr/bin/python3.*")) if path.suffix[1:].isdigit())

    @property
    def command(self) -> list[str]:
        """The command line of the root's Python."""
        return [self.program, "-cpu", self.processor, "-L", str(self.root), str(self.python)]


def prepare_emulator(cache: Path, processor: str = PROCESSOR) -> Emulator:
    """Find QEMU, and the Debian root in a cache folder, downloaded on the first call.

    Raises:
        AbsentError: If a program is not installed, or the root cannot be downloaded.
    """
    program = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if program is None:
        raise AbsentError("QEMU's user emulation is not installed (apt-get install qemu-user-static)")
    root = cache / f"arm64-{SUITE}"
    if not root.is_dir():
        if shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin") is None:
            raise AbsentError("debootstrap is not installed (apt-get install debootstrap)")
        if os.geteuid() != 0:
            raise AbsentError("debootstrap has to be run by root the first time (sudo make arm)")
        cache.mkdir(parents=True, exist_ok=True)
        print(f"downloading Debian {SUITE} for ARM into '{root}', 60 MB", flush=True)
        with stage_folder(root) as partial:
            _download_root(partial)
    return Emulator(program, root, processor)


def _download_root(folder: Path) -> None:
    words = ["--foreign", "--arch=arm64", "--variant=minbase", "--include=python3", SUITE, str(folder)]
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    done = subprocess.run(["debootstrap", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise AbsentError(f"debootstrap could not download Debian {SUITE} for ARM ({lines[-1]})")
    # Packages are unpacked and not set up, which is all that running Python takes and needs no privileges.
    archives = folder / "var/cache/apt/archives"
    for package in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], capture_output=True, check=True)
        package.unlink()
    information = "".join(_INFORMATION.format(index=index) for index in range(os.cpu_count() or 1))
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/cpuinfo").write_text(information)


def install(emulator: Emulator, wheel: Path, folder: Path) -> None:
    """Install the wheel and what it requires, built for ARM, into a folder.

    Raises:
        AbsentError: If the package index has no such builds, or cannot be had.
    """
    version = emulator.python.name.removeprefix("python")
    same = [f"{name}=={importlib.metadata.version(name)}" for name in ("numpy", "pillow", "onnxruntime")]
    tags = [f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)] + ["manylinux2014_aarch64"]
    flags = ["--only-binary=:all:", "--python-version", version, "--implementation", "cp"]
    flags += [word for tag in tags for word in ("--platform", tag)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", str(folder)]
    done = subprocess.run([*pip, *flags, str(wheel), *same], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AbsentError(
            f"pip could not fetch builds for ARM ({(done.stderr.strip().splitlines() or ['no reason'])[-1]})"
        )


def stylize(python: Sequence[str], packages: Path, model: Path, photo: Path, side: int, output: Path) -> Run:
    """Repaint a photo by the command line of ``onestroke stylize``, in one thread.

    Args:
        python: The command line of a Python.
        packages: The folder to import from: the checkout, or one with the package.
        model: The model.
        photo: The photo.
        side: The long side to which it is scaled down, in pixels.
        output: A PNG file to write.
    """
    program = _PROGRAM.format(package="" if packages == ROOT else "onestroke.")
    flags = ["--output", str(output), "--max-size", str(side), "--threads", "1", "--overwrite"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    started = time.perf_counter()
    done = subprocess.run(
        [*python, "-P", "-c", program, str(model), str(photo), *flags],
        env=environment | {"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"'{model.name}' ended with exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    peak_kb = int(re.search(r"^VmHWM:\s+(\d+) kB", done.stdout, re.MULTILINE)[1])  # type: ignore[index]
    return Run(to_array(decode(output)), seconds, peak_kb * 1024 / 1e6)


def compare(emulator: Emulator, wheel: Path, models: Path, photo: Path, side: int = SIDE) -> list[str]:
    """Repaint a photo there and here with each variant of a folder, and print a table.

    Args:
        emulator: The ARM processor.
        wheel: The package.
        models: A folder of variants, ``style.onnx`` among them.
        photo: The photo.
        side: The long side to which it is scaled down, in pixels.

    Returns:
        What is not as it should be, a sentence each; empty if all pictures are.

    Raises:
        AbsentError: If the wheels for ARM cannot be had.
    """
    faults = []
    exact: Picture | None = None
    print(f"{'file':16} {'levels':>7} {'from here':>10} {'peak MB':>8} {'here':>6} {'s':>7} {'here':>6}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        packages = Path(name) / "packages"
        install(emulator, wheel, packages)
        output = Path(name) / "painted.png"
        for file in (file for file in FILES.values() if (models / file).is_file()):
            work = (models / file, photo, side, output)
            here = stylize([sys.executable], ROOT, *work)
            there = stylize(emulator.command, packages, *work)
            found = _compare(there.pixels, here.pixels)
            print(
                f"{file:16} {found.max_levels:7.0f} {found.psnr_db:7.1f} dB {there.peak_mb:8.0f} {here.peak_mb:6.0f} "
                f"{there.seconds:7.1f} {here.seconds:6.1f}",
                flush=True,
            )
            exact = here.pixels if exact is None else exact
            if file == FILES["int8"]:
                far, near = (_compare(one.pixels, exact).psnr_db for one in (there, here))
                if near - far > MOST_LOSS_DB:
                    faults.append(f"{file} is {far:.1f} dB from {FILES['float32']} there and {near:.1f} dB here")
            elif found.max_levels > MOST_LEVELS:
                faults.append(f"{file} differs by {found.max_levels:.0f} levels, and at most {MOST_LEVELS} is right")
    return faults


def _compare(found: Picture, expected: Picture) -> Difference:
    planes = [pixels.transpose(2, 0, 1).astype(np.float64) for pixels in (found, expected)]
    return compare_pictures(planes[:1], planes[1:])


def main() -> int:
    """Compare the wheel on ARM with this machine; exit code 0 also where something is absent, which is said."""
    parser = argparse.ArgumentParser(prog="python -m tests.package.arm", description=__doc__)
    parser.add_argument("wheel", type=Path, help="what make wheel has built")
    parser.add_argument("--style", type=Path, default=ROOT / "models/pretrained/wave.safetensors", help="a style file")
    parser.add_argument("--photo", type=Path, help="a photo (default: one of scikit-image's samples)")
    parser.add_argument("--side", type=int, default=SIDE, help="the photo's long side in pixels (default: %(default)s)")
    parser.add_argument("--cpu", default=PROCESSOR, help="QEMU's name of the processor (default: %(default)s)")
    options = parser.parse_args()
    try:
        emulator = prepare_emulator(platformdirs.user_cache_path("onestroke"), options.cpu)
        with tempfile.TemporaryDirectory() as name:
            models = Path(name) / "models"
            export_variants(options.style, models, Request(sizes=(64,)))
            faults = compare(emulator, options.wheel, models, options.photo or sample_photo("rocket"), options.side)
    except AbsentError as error:
        print(f"skipped: {error}")
        return 0
    print("\n".join(faults) if faults else f"every variant paints on {options.cpu} as it does here")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
