"""A training run small enough for a test: tiny photos, a shallow random frozen network, a narrow style network."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT
from tests.perceptual_weights import write_weights
from tests.pictures import noise, ramp, write


def arguments(folder: Path, steps: int = 4, photos: int = 12, **options: object) -> list[str]:
    """Make what a run needs in ``folder`` and return its command line; ``options`` replace or add flags.

    A keyword ``trainer__max_steps`` becomes the flag ``--trainer.max_steps``; None leaves a flag out.
    """
    if not (folder / "photos").exists():
        for index in range(photos):
            write(folder / "photos" / f"{index:03}.png", noise(72, 68, seed=index))
        write(folder / "painting.png", ramp(80, 64))
        write_weights(folder / "vgg.safetensors")
    flags: dict[str, object] = {
        "model.style": folder / "painting.png",
        "model.style_size": 48,
        "model.perceptual_weights": folder / "vgg.safetensors",
        "model.content_layers": "{relu2_1: 1}",
        "model.style_layers": "{relu1_1: 1, relu2_1: 1}",
        "model.network.width": 4,
        "model.network.residual_blocks": 1,
        "data.photos": folder / "photos",
        "data.image_size": 64,
        "data.batch_size": 2,
        "data.held_out": 2,
        "data.workers": 0,
        "runs": folder / "runs",
        "name": "small",
        "trainer.max_steps": steps,
        "trainer.accelerator": "cpu",
        "trainer.precision": "32-true",
        "trainer.enable_model_summary": "false",
        "trainer.val_check_interval": 2,
        "preview.every_n_steps": 2,
        "preview.count": 2,
        "checkpoint.every_n_steps": 1,
        "guard.every_n_steps": 1,
    }
    flags |= {name.replace("__", "."): value for name, value in options.items()}
    return ["fit", *(f"--{name}={value}" for name, value in flags.items() if value is not None)]


def command(arguments: list[str]) -> list[str]:
    """Return the command that a user would type."""
    return [sys.executable, "-m", "train", *arguments]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own and wait for it."""
    return subprocess.run(command(arguments), cwd=ROOT, capture_output=True, text=True, check=False)


HOLD = """
import pathlib, sys
from train.fit.run_folder import RunFolder
with RunFolder(pathlib.Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def hold_elsewhere(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process hold a run folder while the block runs, unless the block kills it."""
    call = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(call, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.communicate()
