"""Export a trained style: ``python -m export runs/wave --output wave.onnx``, or a folder with ``--variants all``.

Without arguments, names the commands of this folder.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from export.cli import USER_ERRORS, CommandParser, run_command, show_help
from export.commands import list_folder, spell
from export.contract import FILES
from export.graph.targets import TARGETS, choose_form
from models.errors import ModelFileError


def describe_commands() -> str:
    """Return what is typed for each command of this folder, and its purpose."""
    lines = [f"  {spell(word):<33}  {command.purpose}" for word, command in list_folder("export").items()]
    return "\n".join(["commands of this folder:", *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        return show_help(f"{describe_commands()}\n\neach explains itself with --help\n")
    parser = _parser()
    options = parser.parse_args(arguments)
    for flag, given in (("--photos", options.photos is not None), ("--ort", options.ort)):
        if given and options.variants is None:
            parser.error(f"{flag} is for folders of variants; add --variants all")
    output = options.output or default_output(options.style, options.variants is not None)
    return run_command(
        lambda: _export(options, output), f"stopped: '{output}' was not written", (*USER_ERRORS, ModelFileError)
    )


def _export(options: argparse.Namespace, output: Path) -> None:
    form = choose_form(options.target, options.size, options.plain, options.strength)
    # Imported where they are needed: --help does not wait for torch, nor one file for SciPy, which compares variants.
    if options.variants is None:
        from export.graph.convert import convert

        print(convert(options.style, output, options.overwrite, form))
        return
    from export.variants.export import Request, export_variants

    request = Request(options.variants, options.photos, form, options.target, options.ort, options.overwrite)
    manifest = export_variants(options.style, output, request)
    print(f"wrote '{output}': {len(manifest.files)} variants, manifest.json and README.md")


def default_output(style: Path, folder: bool = False) -> Path:
    """Name the ONNX file, or the folder of variants, after the run folder or the style file, in the current folder."""
    name = style.resolve().name if style.is_dir() else style.stem
    return Path(name if folder else f"{name}.onnx")


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export",
        description="Write a trained style as one ONNX file, compared with torch before it is kept, "
        "or as a folder of variants for phones and browsers.",
        epilog="examples:\n  python -m export runs/wave --output wave.onnx\n"
        f"  python -m export runs/wave --output wave/ --variants all\n\n{describe_commands()}",
    )
    parser.add_argument("style", type=Path, help="folder of a training run, or a .safetensors style file")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="the ONNX file, or the variants' folder (default: the style's name)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the ONNX file or the folder if it exists")
    parser.add_argument(
        "--variants",
        type=_variants,
        metavar="LIST",
        help=f"write a folder of these: all, or some of {', '.join(FILES)}",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="photos to test the variants on and to calibrate int8 with (default: scikit-image's samples)",
    )
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="fix the shape, as delegates on phones require: 512x512"
    )
    parser.add_argument(
        "--target", choices=TARGETS, help="write padding and norms in operators of this delegate (default: cpu)"
    )
    parser.add_argument(
        "--strength",
        action="store_true",
        help="let the file take a second input, the strength from 0 to 1.5, where the style has learned one",
    )
    parser.add_argument(
        "--ort", action="store_true", help="convert float32, u8 and int8 to ORT format for reduced builds, too"
    )
    parser.add_argument(
        "--plain", action="store_true", help="write the graph without rewrites, which takes more time and memory"
    )
    return parser


def _variants(text: str) -> tuple[str, ...]:
    if text == "all":
        return tuple(FILES)
    names = text.split(",")
    unknown = [name for name in names if name not in FILES]
    if unknown or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text!r} must be a list of variants: all, or some of {','.join(FILES)}")
    return tuple(name for name in FILES if name in names)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch("([0-9]{1,6})x([0-9]{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} must be width and height in pixels, as in 512x512")
    return int(found[2]), int(found[1])


if __name__ == "__main__":
    sys.exit(main())
