"""Build a web page that repaints photos in the browser: ``python -m export.web wave/ starry/ --output site/``.

The page is plain HTML, CSS and ES modules, kept in ``export/web/static/`` and copied as they are. Beside them come
onnxruntime-web, the styles, and ``styles.json``, which lists the styles for the page. Any static server will do.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from data.files import require_only, stage_folder
from data.images import decode, encode, fit_within, from_array, to_array
from export.cli import CommandParser, run_command
from export.contract import FILES, INPUT, OUTPUT, SMALLEST_SIDE, STRENGTH
from export.errors import ExportError
from export.runtime.layout import Layout
from export.runtime.stylizer import ModelCard, Stylizer
from export.styles import choose_styles
from export.web.onnxruntime_web import NAME, WebRuntime, find_runtime, open_runtime
from export.web.strength_input import require_strength

PAGE = Path(__file__).with_name("static")
"""The page's own files."""

SITE_FILES = {"float32": FILES["float32"], "float16": FILES["fp16"]}
"""The files of a folder of variants that a site takes. The browser chooses by what it computes with:
float32 in WASM, which has no other arithmetic and so gives Python's pictures; float16 in WebGPU, where graphics cards
compute in it, at half the download."""

SMALL_WORDS = frozenset({"a", "an", "and", "at", "by", "de", "in", "la", "of", "on", "the", "van", "von", "with"})
"""Words that titles do not capitalize."""

INDEX = "styles.json"
THUMBNAIL_SIDE = 240
"""Long side, in pixels, of the sample photo painted in each style."""


@dataclass(frozen=True)
class Style:
    """One style of a site.

    Args:
        source: The folder or file that the user named.
        files: The ONNX file of each precision; float32 is always there.
        card: The float32 file's metadata.
        paint: The float32 file, loaded.
    """

    source: Path
    files: dict[str, Path]
    card: ModelCard
    paint: Stylizer


@dataclass(frozen=True)
class SiteReport:
    """What was built.

    Args:
        path: The site's folder.
        styles: Names of its styles, in the page's order.
        runtime_version: Of onnxruntime-web.
        size_bytes: Of all files together; a browser fetches the part that it needs.
    """

    path: Path
    styles: tuple[str, ...]
    runtime_version: str
    size_bytes: int

    def __str__(self) -> str:
        kinds = f"{len(self.styles)} {'style' if len(self.styles) == 1 else 'styles'} ({', '.join(self.styles)})"
        size = f"{self.size_bytes / 1e6:.0f} MB"
        return (
            f"wrote '{self.path}': {kinds}, {NAME} {self.runtime_version}, {size}; serve it with\n"
            f"  python -m http.server -d {self.path}\n"
            "at http://localhost:8000 (elsewhere browsers want https for the camera, WebGPU, threads and offline use)"
        )


def build_site(
    sources: Sequence[Path], output: Path, overwrite: bool = False, runtime: Path | None = None
) -> SiteReport:
    """Write a site under a temporary name and rename it.

    Args:
        sources: Folders that ``python -m export --variants`` wrote, or .onnx files that ``python -m export`` wrote, in
            the order in which the page lists them.
        output: The site's folder.
        overwrite: Replace a site that exists; no other folder, and no site with files of somebody else's, ever is.
        runtime: Folder of the npm package onnxruntime-web; None for the pinned version, fetched with npm if need be.

    Returns:
        What was built.

    Raises:
        ExportError: If a source is not a style, the output may not be written, or onnxruntime-web is absent and cannot
            be fetched.
        ModelError: If a style's file cannot be used.
        OutputError: If the site cannot be written, or a file of somebody else's would be lost.
    """
    check_output(output, overwrite)
    for source in (*sources, *(() if runtime is None else (runtime,))):
        if source.resolve().is_relative_to(output.resolve()):
            raise ExportError(f"'{source}' is also an input and lies in '{output}'; choose another --output")
    styles = [read_style(source) for source in sources]
    library = find_runtime() if runtime is None else open_runtime(runtime)
    with stage_folder(output) as folder:
        _fill(folder, styles, library)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return SiteReport(output, tuple(style.card.style for style in styles), library.version, size)


def check_output(output: Path, overwrite: bool = False) -> None:
    """Raise ExportError or OutputError, before any work, if a site may not be written there."""
    if not output.resolve().parent.is_dir():
        raise ExportError(f"folder '{output.parent}' does not exist; create it or choose another --output")
    if not output.exists():
        return
    if not output.is_dir():
        raise ExportError(f"output '{output}' is a file; name a folder")
    # A mistyped --output must not cost anyone a folder of photos.
    written = _list_written(output)
    if written is None:
        raise ExportError(f"folder '{output}' exists and is not a site of this program; choose another --output")
    if not overwrite:
        raise ExportError(f"site '{output}' exists; pass --overwrite to replace it or choose another --output")
    require_only(output, written)


def _list_written(site: Path) -> set[str] | None:
    """List the files that a site's index names, and those that come with them; None if there is no index of ours."""
    try:
        index = json.loads((site / INDEX).read_text(encoding="utf-8"))
        runtime, styles = index["runtime"], index["styles"]
        folder = PurePosixPath(runtime["folder"])
        programs = [name for build in runtime["builds"].values() for name in (build["script"], build["loader"])]
        programs += [build["binary"]["path"] for build in runtime["builds"].values()]
        models = [file["path"] for style in styles for file in style["files"].values()]
        named = [*index["shell"], *(style["thumbnail"] for style in styles), *models]
        # The license has the name that it has in the package.
        licenses = [path.name for path in (site / folder).glob("*") if path.stem.lower() in {"license", "licence"}]
        return {INDEX, *named, *(str(folder / name) for name in (*programs, *licenses))}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def read_style(source: Path) -> Style:
    """Find a style's files and read what they say of themselves.

    Args:
        source: A folder that holds ``style.onnx`` and perhaps ``style.fp16.onnx``, or an .onnx file.

    Raises:
        ExportError: If the folder holds no such file, or a file was not written by this program.
        ModelError: If a file is absent, damaged, or of another contract.
    """
    files = {"float32": source}
    if source.is_dir():
        files = {precision: source / name for precision, name in SITE_FILES.items() if (source / name).is_file()}
        if "float32" not in files:
            raise ExportError(
                f"folder '{source}' holds no {SITE_FILES['float32']}; name a folder that python -m export --variants "
                "wrote, a finished run, or an .onnx file"
            )
    stylizers = {precision: Stylizer(path, threads=1) for precision, path in files.items()}
    for precision, stylizer in stylizers.items():
        if replace(stylizer.layout, strength=False) != Layout(is_bytes=False, size=None):
            raise ExportError(
                f"'{files[precision]}' takes bytes or one size only, and the page needs float32 of any size; "
                "export the style without --size, and name its style.onnx"
            )
    cards = {precision: stylizer.card for precision, stylizer in stylizers.items()}
    card = cards["float32"]
    if card is None:
        raise ExportError(f"model '{files['float32']}' does not name its style; use one that python -m export wrote")
    for precision, other in cards.items():
        if other is None or other.style != card.style:
            raise ExportError(
                f"'{files[precision]}' is not of the style '{card.style}' as the rest of '{source}'; export it again"
            )
        if stylizers[precision].layout.strength != stylizers["float32"].layout.strength:
            raise ExportError(
                f"of '{files[precision]}' and '{files['float32']}' one takes a strength and one does not; export both "
                "with --strength, or none"
            )
    return Style(source, files, card, stylizers["float32"])


def _fill(site: Path, styles: Sequence[Style], library: WebRuntime) -> None:
    for path in sorted(PAGE.iterdir()):
        shutil.copyfile(path, site / path.name)
    folder = f"{NAME}-{library.version}"
    builds = library.copy(site / folder)
    (site / "models").mkdir()
    names = [style.card.style for style in styles]
    entries = []
    for style, identity in zip(styles, _identify(styles), strict=True):
        # Styles of one name are told apart by what tells their addresses apart.
        title = _title(style.card.style if names.count(style.card.style) == 1 else identity)
        entries.append(_add_style(site, style, identity, title))
    shell = ["./", *sorted(path.name for path in PAGE.iterdir()), INDEX, *(entry["thumbnail"] for entry in entries)]
    index = {
        "shell": shell,
        "contract": {"input": INPUT, "output": OUTPUT, "strength": STRENGTH, "smallest_side": SMALLEST_SIDE},
        "runtime": {"version": library.version, "folder": f"{folder}/", "builds": builds},
        "styles": entries,
    }
    (site / INDEX).write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _add_style(site: Path, style: Style, identity: str, title: str) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for precision, path in style.files.items():
        content = require_strength(path.read_bytes())
        digest = hashlib.sha256(content).hexdigest()
        # The digest in the name lets browsers keep the file for good.
        name = f"models/{identity}-{digest[:12]}.onnx"
        (site / name).write_bytes(content)
        files[precision] = {"path": name, "bytes": len(content), "sha256": digest}
    thumbnail = f"models/{identity}-{files['float32']['sha256'][:12]}.jpg"
    sample = to_array(fit_within(decode(PAGE / "sample.jpg"), THUMBNAIL_SIDE))
    encode(from_array(style.paint(sample)), site / thumbnail, quality=88)
    return {
        "id": identity,
        "title": title,
        "license": style.card.license,
        "thumbnail": thumbnail,
        "strength": style.paint.layout.strength,
        "bytes_per_pixel": style.card.bytes_per_pixel,
        "files": files,
    }


def _title(name: str) -> str:
    """Write a name as titles are written: ``composition_vii`` becomes Composition VII; one with capitals stays."""
    if not re.fullmatch("[a-z0-9]+([_-]+[a-z0-9]+)*", name):
        return name or "Style"
    words = re.split("[_-]+", name)
    return " ".join(_title_word(word, first=index == 0) for index, word in enumerate(words))


def _title_word(word: str, first: bool) -> str:
    if re.fullmatch("[ivx]+", word):
        return word.upper()
    return word if word in SMALL_WORDS and not first else word.capitalize()


def _identify(styles: Sequence[Style]) -> list[str]:
    """Name the styles for addresses and files; equal names are distinguished by their sources or else by numbers."""
    names = [_address(style.card.style) for style in styles]
    sources = [_address(f"{name}-{style.source.resolve().stem}") for name, style in zip(names, styles, strict=True)]
    chosen: list[str] = []
    for name, source in zip(names, sources, strict=True):
        wanted = name if names.count(name) == 1 else source
        numbered = re.compile(f"{re.escape(wanted)}(-no[0-9]+)?")
        repeats = sum(numbered.fullmatch(earlier) is not None for earlier in chosen)
        chosen.append(f"{wanted}-no{repeats + 1}" if repeats else wanted)
    return chosen


def _address(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name.lower(), flags=re.ASCII).strip("-") or "style"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What follows ``python -m export.web``; the process's own if None.

    Returns:
        The exit code: 0, 2 for a mistake that one sentence on stderr explains, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    return run_command(
        lambda: print(
            build_site(
                choose_styles(options.styles, takes_folders=True), options.output, options.overwrite, options.runtime
            )
        ),
        f"stopped: '{options.output}' was not written",
    )


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m export.web",
        description="Build a static web page that repaints photos and the camera's picture in the browser, with "
        "WebGPU or WASM, also offline. Photos stay on the visitor's device.",
        epilog="examples:\n  python -m export.web\n  python -m export.web wave my/ other.onnx --output site/",
    )
    parser.add_argument(
        "styles",
        nargs="*",
        metavar="STYLE",
        help="folder that python -m export --variants wrote (style.onnx, and style.fp16.onnx for WebGPU if it is "
        "there), an .onnx file that python -m export wrote, or a ready style (default: all, each in one version)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("site"), metavar="FOLDER", help="the site (default: %(default)s)"
    )
    parser.add_argument(
        "--runtime",
        type=Path,
        metavar="FOLDER",
        help=f"folder of the npm package {NAME} (default: the version this was tested with, fetched with npm once and "
        "kept in the user's cache folder)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the site if it exists")
    return parser
