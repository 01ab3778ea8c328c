"""Keep a trained style in half the bytes: ``python -m train.keep runs/wave models/pretrained/wave.safetensors``.

Float16 weights make a picture that differs from the float32 one by less than a level in 255 on average.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from data.files import OutputError, make_folder
from models.errors import ModelFileError
from models.style_file import load_style, save_style
from train.fit.run_folder import RunFolder


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m train.keep",
        description="Store a trained style as float16.",
        epilog="example: python -m train.keep runs/wave models/pretrained/wave.safetensors",
    )
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("output", type=Path, help="the .safetensors file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    options = parser.parse_args(args)
    if options.output.exists() and not options.overwrite:
        print(f"error: '{options.output}' exists; choose another name or say --overwrite", file=sys.stderr)
        return 2
    if options.output.is_dir():
        print(f"error: '{options.output}' is a folder; name the .safetensors file to write", file=sys.stderr)
        return 2
    try:
        make_folder(options.output.parent, "output")
        network, card = load_style(RunFolder(options.run).weights)
    except (OutputError, ModelFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    save_style(options.output, network, card, torch.float16)
    print(f"wrote '{options.output}': {options.output.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
