"""Write a blend of styles as one ONNX file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from data.files import require_absent, write_whole
from export.cli import CommandParser, run_command
from export.errors import ExportError
from export.runtime.blend import blend_styles
from export.runtime.stylizer import Stylizer
from export.styles import read_shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.blend``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    return run_command(lambda: _blend(options), "stopped: no blend was written")


def _blend(options: argparse.Namespace) -> None:
    blend = blend_styles(options.shares)
    output = options.output or blend.path
    if output.suffix.lower() != ".onnx":
        raise ExportError(f"output '{output}' must end in .onnx; choose another --output")
    require_absent([output], options.overwrite, inputs=blend.sources)
    # What cannot be run is not written.
    Stylizer(blend, threads=1)
    write_whole(output, blend.content)
    print(f"wrote '{output}' ({len(blend.content) / 1e6:.1f} MB): {blend.title}")


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.blend",
        description="Blend styles that were trained from one start, as all ready styles were, to one network, "
        "which takes no longer than each of them.",
        epilog="example: python -m export.blend wave:0.6,starry_night:0.4 --output mix.onnx",
    )
    parser.add_argument(
        "shares",
        type=read_shares,
        metavar="STYLE:SHARE,...",
        help="ready styles or .onnx files with their shares, which are divided by their sum",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the ONNX file, float32 (default: wave-starry_night.onnx, here)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists; never a blended one")
    return parser
