"""Export a trained style: ``python -m export runs/wave --output wave.onnx``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    # Here, so that --help does not wait for torch.
    from export.builder import LEAN, PLAIN
    from export.convert import ExportError, convert
    from models.weights import StyleFileError

    output = options.output or default_output(options.style)
    try:
        report = convert(options.style, output, options.overwrite, PLAIN if options.plain else LEAN)
    except (ExportError, StyleFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped: '{output}' was not written", file=sys.stderr)
        return 130
    print(report)
    return 0


def default_output(style: Path) -> Path:
    """Name the ONNX file after the run folder or the style file, in the current folder."""
    return Path(f"{style.resolve().name if style.is_dir() else style.stem}.onnx")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Write a trained style as one ONNX file, compared with torch before it is kept.",
        epilog="example: python -m export runs/wave --output wave.onnx",
    )
    parser.add_argument("style", type=Path, help="folder of a training run, or a .safetensors style file")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the ONNX file (default: <style>.onnx in the current folder)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the ONNX file if it exists")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="write the textbook's graph, which takes more time and memory",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
