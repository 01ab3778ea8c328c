"""The command that stores a trained style, or a mean of stages, in a quarter of the bytes: ``python -m train.keep``.

What was written is read back, and its pictures are compared with the run's before the file gets its name.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.files import OutputError, make_folder, require_absent, stage_file
from data.images import Picture, decode, fit_within, list_images, to_array, to_planes
from export.cli import CommandParser
from export.styles import read_shares
from train.cli import run_command
from train.errors import TrainError

if TYPE_CHECKING:
    from export.variants.thresholds import Difference
    from models.network import StyleNetwork

LEAST_PSNR_DB = 40.0
"""What every picture has to reach, as with the exported variant of 8-bit weights; from there on no difference shows."""

PHOTO_COUNT = 6
PHOTO_SIDE = 320
"""Number of photos that are compared on, and the long side, in pixels, to which they are scaled down."""

SCENE_SEEDS = range(4)
SCENE_SIDE = 256
"""Seeds and side, in pixels, of the scenes that are drawn where no photos are named."""


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser(
        prog="python -m train.keep",
        description="Store a trained style with 8-bit weights, in a quarter of the bytes, after comparing its pictures "
        "with the run's. Of several stages of one style, each with its share, the mean of their weights is stored.",
        epilog="examples:\n  python -m train.keep runs/wave models/pretrained/wave.safetensors\n"
        "  python -m train.keep runs/strokes:0.4,runs/faces:0.6 kept/starry_night.safetensors\n"
        "  python -m train.keep --noise 10 runs/calavera kept/calavera.safetensors",
    )
    parser.add_argument(
        "run",
        type=_read_runs,
        metavar="RUN",
        help="folder of a training run, or a .safetensors style file; or several, from the first stage to the last, "
        "with their shares, which are divided by their sum: RUN:SHARE,RUN:SHARE",
    )
    parser.add_argument("output", type=Path, help="the .safetensors file to write")
    parser.add_argument(
        "--bits",
        type=int,
        choices=(8, 16),
        default=8,
        help="of each weight: 8, or 16 for float16 in half the bytes (default: %(default)s)",
    )
    parser.add_argument(
        "--noise",
        type=float,
        metavar="N",
        help="other smooth noise that the network adds to photos, in levels of 255, without training: more fills flat "
        "skies and scatters patterns, less keeps small things (default: the run's)",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help=f"photos to compare on, at most {PHOTO_COUNT} of them (default: drawn scenes)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    options = parser.parse_args(args)
    return run_command(lambda: keep(options), f"stopped: '{options.output}' was not written")


def keep(options: argparse.Namespace) -> None:
    """Write the file that the command line asks for.

    Raises:
        OutputError: If it may not be written.
        ImageError: If there are no photos to compare on.
        ModelFileError: If the run folder holds no style.
        TrainError: If a picture of the file's is too far from the run's, or several stages have no mean, or
            no network has that noise.
    """
    output: Path = options.output
    if output.is_dir():
        raise OutputError(f"'{output}' is a folder; name the .safetensors file to write")
    if output.suffix != ".safetensors":
        raise OutputError(f"'{output}' does not end in .safetensors; name a file that does")
    # Imported here, so that --help does not wait for torch.
    import torch

    from models.style_file import load_style, save_style
    from train.fit.run_folder import RunFolder
    from train.keep.mean import average_stages
    from train.keep.noise import change_noise

    shares = {path if path.is_file() else RunFolder(path).weights: share for path, share in options.run.items()}
    if len(shares) < len(options.run):
        raise TrainError("two of the stages are one file; name each stage once, with its share")
    require_absent([output], options.overwrite, "output", list(shares))
    stages = {path: load_style(path) for path in shares}
    network, card = average_stages(stages, shares) if len(stages) > 1 else next(iter(stages.values()))
    if len(stages) > 1 and any(stage.config.strength for stage, _ in stages.values()):
        print("a mean has no strength; let it learn one (train/README.md, Strength)", flush=True)
    if options.noise is not None:
        network, card = change_noise(network, card, options.noise)
    pictures = _read_pictures(options.photos)
    make_folder(output.parent, "output")
    with stage_file(output) as partial:
        save_style(partial, network, card, torch.int8 if options.bits == 8 else torch.float16)
        difference = compare_networks(load_style(partial)[0], network, pictures)
        # Not <, which a NaN would pass.
        if not difference.psnr_db >= LEAST_PSNR_DB:
            remedy = "pass --bits 16" if options.bits == 8 else "train the style anew"
            raise TrainError(
                f"pictures by {options.bits}-bit weights have a PSNR of {difference.psnr_db:.1f} dB from the run's "
                f"where {LEAST_PSNR_DB:g} dB are needed, so '{output}' was not written; {remedy}"
            )
    print(
        f"wrote '{output}': {output.stat().st_size:,} bytes, {options.bits}-bit weights; PSNR from the run's pictures: "
        f"{difference.psnr_db:.1f} dB or more on {len(pictures)} {'photos' if options.photos else 'drawn scenes'}"
    )


def _read_runs(text: str) -> dict[Path, float]:
    """Read the stages and their shares; a single one has no share, and its name may hold what it likes."""
    if "," not in text:
        return {Path(text): 1.0}
    # A list may be too long for the name of a file, which is an error to ask for.
    with contextlib.suppress(OSError):
        if Path(text).exists():
            return {Path(text): 1.0}
    return {Path(name): share for name, share in read_shares(text).items()}


def compare_networks(kept: StyleNetwork, trained: StyleNetwork, pictures: Sequence[Picture]) -> Difference:
    """Repaint the same pictures, uint8 of shape (H, W, 3), with both; return the figures of the worst.

    A style with strength is compared at several.
    """
    from export.graph.convert import stylize_in_torch
    from export.variants.thresholds import compare_pictures
    from models.strength import CHECKED_STRENGTHS

    batches = [to_planes(picture, white=255)[None] for picture in pictures]
    strengths = CHECKED_STRENGTHS if trained.config.strength else (1.0,)
    found, expected = (
        [stylize_in_torch(network, batch, strength)[0] for strength in strengths for batch in batches]
        for network in (kept, trained)
    )
    return compare_pictures(found, expected)


def _read_pictures(folder: Path | None) -> list[Picture]:
    if folder is None:
        from data.scenes import draw_scene

        return [draw_scene(SCENE_SIDE, seed) for seed in SCENE_SEEDS]
    paths = list_images(folder, "name a folder of JPEG or PNG photos with --photos")
    # At equal distances, because neighbors in a folder are often alike.
    count = min(PHOTO_COUNT, len(paths))
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    return [to_array(fit_within(decode(path), PHOTO_SIDE)) for path in chosen]
