"""The command that stores a trained style as float16: ``python -m train.keep``.

With float16 weights a picture differs from the float32 one by less than a level in 255 on average.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data.files import OutputError, make_folder, require_absent
from export.cli import CommandParser
from train.cli import run_command


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser(
        prog="python -m train.keep",
        description="Store a trained style as float16, in half the bytes.",
        epilog="example: python -m train.keep runs/wave models/pretrained/wave.safetensors",
    )
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("output", type=Path, help="the .safetensors file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    options = parser.parse_args(args)
    return run_command(lambda: keep(options), f"stopped: '{options.output}' was not written")


def keep(options: argparse.Namespace) -> None:
    """Write the file that the command line asks for.

    Raises:
        OutputError: If it may not be written.
        ModelFileError: If the run folder holds no style.
    """
    output: Path = options.output
    if output.is_dir():
        raise OutputError(f"'{output}' is a folder; name the .safetensors file to write")
    if output.suffix != ".safetensors":
        raise OutputError(f"'{output}' does not end in .safetensors; name a file that does")
    require_absent([output], options.overwrite, "output")
    # Imported here, so that --help does not wait for torch.
    import torch

    from models.style_file import load_style, save_style
    from train.fit.run_folder import RunFolder

    network, card = load_style(RunFolder(options.run).weights)
    make_folder(output.parent, "output")
    save_style(output, network, card, torch.float16)
    print(f"wrote '{output}': {output.stat().st_size:,} bytes")
