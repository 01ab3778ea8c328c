"""Write the ready styles: ``python -m export.package.ready`` (``make styles``).

Each style file of ``models/pretrained`` becomes ``models/pretrained/onnx/<name>.onnx``, the variant with 8-bit weights,
checked on photos as ``python -m export --variants w8`` checks it; it takes a strength where the style has one. The
wheel carries these files, so that it can be built, installed and used without torch.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data.files import make_folder, write_whole
from export.cli import CommandParser, run_command
from export.contract import FILES
from export.errors import ExportError
from export.styles import FOLDER
from models.errors import ModelFileError

VARIANT = "w8"


def write_ready_styles(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Export styles with 8-bit weights.

    Args:
        sources: The ``.safetensors`` style files; each gives its name to an ``.onnx`` file.
        folder: Where to; created if it is absent.

    Returns:
        The files written. Other ``.onnx`` files of the folder, whose styles are gone, are removed.

    Raises:
        ExportError: If there is no source, or a style's variant fails its check.
        ModelFileError: If a style file cannot be read.
        OutputError: If the folder cannot be written to.
    """
    # Here, so that --help does not wait for torch.
    from export.graph.targets import choose_form
    from export.variants.export import Request, export_variants
    from models.style_file import load_style

    if not sources:
        raise ExportError("there is no .safetensors style file to export; train a style and keep it with train.keep")
    make_folder(folder, "folder")
    written = []
    for source in sources:
        form = choose_form(None, None, strength=load_style(source)[0].config.strength)
        # Only the check matters here, so latency and memory are measured at one small size.
        request = Request(variants=(VARIANT,), form=form, sizes=(64,))
        with tempfile.TemporaryDirectory() as name:
            variants = Path(name) / source.stem
            export_variants(source, variants, request, functools.partial(print, f"{source.stem}:"))
            written.append(folder / f"{source.stem}.onnx")
            write_whole(written[-1], (variants / FILES[VARIANT]).read_bytes())
    for path in folder.glob("*.onnx"):
        if path not in written:
            path.unlink()
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every ready style anew.

    Args:
        arguments: What follows ``python -m export.package.ready``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    CommandParser(
        prog="python -m export.package.ready",
        description="Export every style file of models/pretrained with 8-bit weights.",
    ).parse_args(arguments)
    sources = sorted(FOLDER.parent.glob("*.safetensors"))
    return run_command(lambda: _write(sources), "stopped", (ExportError, ModelFileError))


def _write(sources: Sequence[Path]) -> None:
    written = write_ready_styles(sources, FOLDER)
    size = sum(path.stat().st_size for path in written)
    print(f"wrote {len(written)} styles to '{FOLDER}', {size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
