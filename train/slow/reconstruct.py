"""What each layer keeps of a photo: ``python -m train.slow.reconstruct --content photo.jpg --output kept/``.

The photo is reconstructed from each layer's activations alone, from noise, as ``configs/slow/reconstruction.yaml`` says
(Mahendran and Vedaldi 2015). Writes a sheet of the pictures and a table of their structural similarity to the photo.
torch is imported only when the work begins.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from PIL.Image import Image

from data.files import make_folder, require_absent, write_whole
from data.images import Picture, encode, from_array
from export.cli import INTERRUPTED, CommandParser, integer, positive
from export.sheet.grid import Cell, draw_sheet
from models.names import PerceptualName
from train.cli import run_command
from train.flags import add_overwrite, add_perceptual_weights, side
from train.limits import SEEDS
from train.slow.config import LEAST_SIZE, SlowConfig

RECONSTRUCTION = Path(__file__).resolve().parents[2] / "configs" / "slow" / "reconstruction.yaml"

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Layers that are reconstructed from unless told: the first of each block, as in Gatys et al. (2016, figure 1)."""

SHEET, TABLE = "reconstructions.png", "kept.csv"
"""Names of the files that are written."""

CELL_SIDE = 256
"""Longer side, in pixels, to which smaller pictures are enlarged on the sheet, by an integer."""


@dataclass(frozen=True)
class Kept:
    """What a layer keeps of a photo.

    Args:
        layer: Its name.
        ssim: Structural similarity of the reconstruction to the photo (Wang et al. 2004), at most 1.
        content: Relative squared error of the reconstruction's activations: what was left to be reconstructed.
    """

    layer: str
    ssim: float
    content: float


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    parser = CommandParser(
        prog="python -m train.slow.reconstruct",
        description="Reconstruct a photo, from noise, from what each layer of a network holds of it.",
        epilog="example: python -m train.slow.reconstruct --content photo.jpg --layers relu1_1 relu4_1 --output kept/",
    )
    add = parser.add_argument
    add("--content", required=True, metavar="PHOTO", help="the photo")
    add("--layers", nargs="+", metavar="LAYER", default=list(LAYERS), help="default: the first of each block")
    add("--size", type=side(LEAST_SIZE), default=128, metavar="PIXELS", help="longer side (default: 128)")
    add("--iterations", type=positive, default=100, metavar="N", help="L-BFGS iterations for each layer (default: 100)")
    add(
        "--tv-weight",
        type=float,
        metavar="WEIGHT",
        help="smoothness (default: that of configs/slow/reconstruction.yaml)",
    )
    add("--alpha-weight", type=float, metavar="WEIGHT", help="alpha-norm (default: likewise)")
    add("--perceptual", choices=get_args(PerceptualName), default="vgg19", help="the frozen network (default: vgg19)")
    add_perceptual_weights(parser)
    add("--seed", type=integer(*SEEDS), default=0, metavar="N", help="fixes the noise (default: 0)")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder to write to")
    add_overwrite(parser, "an earlier table")
    options = parser.parse_args(args)
    return run_command(lambda: run(options), "stopped before a layer was finished; nothing was written")


def run(options: argparse.Namespace) -> int:
    """Reconstruct as the command line asks, print the table, and write it with the pictures.

    Args:
        options: What the parser returns.

    Returns:
        The exit code: 0, or 130 for a table of the layers that were finished before Ctrl-C.

    Raises:
        TrainError, ImageError, OutputError: If what was asked for cannot work.
        KeyboardInterrupt: After Ctrl-C before a layer was finished.
    """
    sheet, table = (options.output / name for name in (SHEET, TABLE))
    require_absent([sheet, table], options.overwrite, inputs=[options.content, options.perceptual_weights])
    layers = list(dict.fromkeys(options.layers))
    # All layers at once, so that a wrong name, or a photo too small for the deepest, is found before the work.
    together = configure(options, layers)
    together.check()

    from data.photos import to_uint8
    from train.compute.memory import keep_freed_memory
    from train.slow.task import Task, announce_small

    keep_freed_memory()
    task = Task(together)
    photo = to_uint8(task.photo[0])
    make_folder(options.output)
    announce_small(max(task.size), options.size)
    kept: list[Kept] = []
    pictures: list[Picture] = []
    stopped = False
    try:
        for one, picture in reconstruct([configure(options, [layer]) for layer in layers]):
            kept.append(one)
            pictures.append(picture)
    except KeyboardInterrupt:
        stopped = True
        if not kept:
            raise
    print(tabulate(kept))
    rows = io.StringIO()
    csv.writer(rows).writerows([[field.name for field in fields(Kept)], *map(astuple, kept)])
    write_whole(table, rows.getvalue())
    encode(draw_kept(photo, kept, pictures), sheet)
    print(f"wrote {sheet}, {table}")
    if stopped:
        print(f"stopped: the table is of the {len(kept)} of {len(layers)} layers that were finished", file=sys.stderr)
    return INTERRUPTED if stopped else 0


def configure(options: argparse.Namespace, layers: Sequence[str]) -> SlowConfig:
    """Return the configuration of a reconstruction from some layers: the shipped one, and what was asked for."""
    import yaml

    shipped: dict[str, Any] = yaml.safe_load(RECONSTRUCTION.read_text())
    asked = {
        "content": options.content,
        "size": options.size,
        "iterations": options.iterations,
        "tv_weight": options.tv_weight,
        "alpha_weight": options.alpha_weight,
        "perceptual": options.perceptual,
        "perceptual_weights": options.perceptual_weights,
        "seed": options.seed,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    # The slow mode's own files are not written.
    output = str(options.output / "unwritten.png")
    return SlowConfig(**(shipped | given | {"output": output, "content_layers": dict.fromkeys(layers, 1.0)}))


def reconstruct(configs: Sequence[SlowConfig]) -> Iterator[tuple[Kept, Picture]]:
    """Reconstruct a photo from each of several layers.

    Args:
        configs: One for each layer.

    Yields:
        What a layer keeps, and the picture, uint8 of shape (H, W, 3).

    Raises:
        TrainError: If what was asked for cannot work.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure
    from tqdm import tqdm

    from data.photos import to_tensor, to_uint8
    from train.slow.optimizer import evaluate_picture
    from train.slow.run import optimize
    from train.slow.task import Task

    with tqdm(total=sum(config.iterations for config in configs), unit="it", disable=None) as bar:
        for config in configs:
            (layer,) = config.content_layers
            bar.set_description(layer)
            task = Task(config)
            picture = to_uint8(task.photo[0])
            for now in optimize(task):
                picture = to_uint8(now.picture[0])
                bar.update()
            # Of the picture as it is written, rounded to bytes.
            values = to_tensor(picture).to(task.device)
            ssim = structural_similarity_index_measure(values, task.photo, data_range=1.0)
            content = evaluate_picture(task.loss, task.photo, values)["content"]
            yield Kept(layer, round(float(ssim), 4), round(content, 6)), picture  # type: ignore[arg-type]


def tabulate(kept: Sequence[Kept]) -> str:
    """Lay the table out for the terminal."""
    lines = [f"{'layer':<12}{'SSIM to the photo':<20}content error"]
    return "\n".join(lines + [f"{one.layer:<12}{one.ssim:<20.3f}{one.content:.4f}" for one in kept])


def draw_kept(photo: Picture, kept: Sequence[Kept], pictures: Sequence[Picture]) -> Image:
    """Draw the photo, and beside it what each layer keeps."""
    labels = ["photo", *(f"{one.layer}: SSIM {one.ssim:.2f}" for one in kept)]
    scale = max(1, round(CELL_SIDE / max(photo.shape)))
    shown = [from_array(picture.repeat(scale, 0).repeat(scale, 1)) for picture in (photo, *pictures)]
    return draw_sheet(
        [Cell([picture], label) for picture, label in zip(shown, labels, strict=True)],
        max(shown[0].size),
        heading="What is left of the photo in each layer",
    )


if __name__ == "__main__":
    sys.exit(main())
