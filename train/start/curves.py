"""How soon a training is good: validation loss and covariance distance over its length, by what it started from."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from tqdm import tqdm

from data.files import OutputError, make_folder, require_absent, write_whole
from data.images import decode, list_images
from data.photos import CROP_SCALE, to_unit
from models.network import NetworkConfig
from models.start import START_FILE, load_start
from train.compare.covariance import LAYERS, CovarianceDistance
from train.compute.memory import keep_freed_memory
from train.compute.precision import best_precision
from train.errors import TrainError
from train.fit.checkpoint import raise_interrupts
from train.fit.command import TRAINER_DEFAULTS
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining
from train.fit.origin import RANDOM, find_origin_file
from train.fit.run_folder import describe_file
from train.parser import quiet_libraries
from train.start.origins import ORIGINS, name_origin
from train.start.paintings import require_unique_names

FULL_SIZE = 256
"""Side in pixels of crops for which ``CROP_SCALE`` is made; smaller ones show as small a part of the photo."""

MEASURES = {"val_loss": "validation loss", "covariance_distance": "covariance distance"}
"""What tables show of a training, and its names there; lower is better."""

Row = dict[str, Any]
"""One training: painting, origin, steps, losses, covariance distance, seconds."""

Medians = dict[str, dict[str, float]]
"""By origin and number of steps."""


class Report:
    """The finished trainings, in a JSON file that is written anew with each.

    Args:
        path: The file; rows of an earlier evaluation with the same settings are kept.
        settings: What the losses depend on.
        overwrite: Whether an earlier evaluation with other settings may be dropped.

    Raises:
        TrainError: If there is one, and it may not.
    """

    def __init__(self, path: Path, settings: dict[str, Any], overwrite: bool) -> None:
        self.path = path
        self.settings = settings
        self.rows: list[Row] = []
        if not path.exists():
            return
        try:
            earlier = json.loads(path.read_text())
            rows, made_with = list(earlier["rows"]), {"optimizer": "adam", **earlier["settings"]}
        except (ValueError, KeyError, TypeError) as error:
            if overwrite:
                return
            raise OutputError(f"'{path}' is not a report of this command; choose another --output") from error
        differing = [name for name in settings if made_with.get(name) != settings[name]]
        if not differing:
            self.rows = rows
        elif not overwrite:
            if "covariance_layers" not in made_with:
                raise TrainError(
                    f"'{path}' is of a version that did not measure the covariance distance; choose another --output, "
                    "or pass --overwrite"
                )
            name = differing[0]
            raise TrainError(
                f"'{path}' was made with another {name.replace('_', ' ')} ({made_with.get(name)}, now "
                f"{settings[name]}); choose another --output, or pass --overwrite"
            )

    def has(self, painting: str, origin: str, steps: int) -> bool:
        """Tell whether a training is finished."""
        return any((row["painting"], row["origin"], row["steps"]) == (painting, origin, steps) for row in self.rows)

    def add(self, row: Row) -> None:
        """Keep a training."""
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Write the settings, all rows and their medians."""
        medians = {measure: self.medians(measure) for measure in MEASURES}
        content = {"settings": self.settings, "medians": medians, "rows": self.rows}
        write_whole(self.path, json.dumps(content, indent=1) + "\n")

    def medians(self, measure: str) -> Medians:
        """Return the median over paintings of one of ``MEASURES``: of the steps that all paintings were trained for.

        A median over some of them would not compare with its neighbors.
        """
        paintings = len({row["painting"] for row in self.rows})
        found: Medians = {origin: {} for origin in ORIGINS}
        for origin, steps in sorted({(row["origin"], row["steps"]) for row in self.rows}):
            values = [row[measure] for row in self.rows if (row["origin"], row["steps"]) == (origin, steps)]
            if len(values) == paintings:
                found[origin][str(steps)] = round(statistics.median(values), 4)
        return found


def tabulate(report: Report) -> str:
    """Return the medians as Markdown tables, and how long a training from the start takes to equal the others."""
    tables = (_tabulate(report, measure) for measure in MEASURES)
    return "\n\n".join(filter(None, tables)) or "no length was trained for on every painting yet"


def _tabulate(report: Report, measure: str) -> str:
    medians = report.medians(measure)
    columns = sorted({int(steps) for values in medians.values() for steps in values})
    if not columns:
        return ""
    count = len({row["painting"] for row in report.rows})
    lines = [
        f"| {MEASURES[measure]}, median over {count} paintings, after steps | " + " | ".join(map(str, columns)) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for origin, values in medians.items():
        if not values:
            continue
        cells = (f"{values[str(steps)]:.3f}" if str(steps) in values else "" for steps in columns)
        lines.append(f"| from {name_origin(origin, report.settings)} | " + " | ".join(cells) + " |")
    for origin in ORIGINS[1:]:
        if medians[origin] and medians["start"]:
            last = max(map(int, medians[origin]))
            needed = [int(steps) for steps, value in medians["start"].items() if value <= medians[origin][str(last)]]
            when = f"after {min(needed)} steps" if needed else "not within the steps measured"
            lines.append(f"\nas good as {last} steps from {name_origin(origin, report.settings)}: {when}")
    return "\n".join(lines)


def choose_paintings(folder: Path, given: Sequence[str] | None, held_out: Sequence[str]) -> list[Path]:
    """Return the files of the paintings to train on.

    Args:
        folder: Where they are.
        given: Their names; None for those that were held out from the start.
        held_out: Names of those.

    Raises:
        ImageError: If the folder is absent or holds no picture.
        TrainError: If there is none, one is not in the folder, or one has the name of another.
    """
    if not (given or held_out):
        raise TrainError("the start's file names no painting that was held out; name some with --held-out")
    paths = list_images(folder, "set --paintings to a folder of JPEG or PNG files")
    found = []
    for name in given or held_out:
        matching = [path for path in paths if name in {path.name, path.stem}]
        if not matching:
            source = "--held-out" if given else "the start's file"
            raise TrainError(f"{source} names '{name}', which is not in '{folder}'; set --paintings to its folder")
        found.append(matching[0])
    require_unique_names(found, paths)
    return found


class Curves:
    """Trainings like those of ``python -m train fit``, their validation loss and their pictures' covariance distance.

    Args:
        options: The command line.
        network: Architecture, that of the shared start.
        origins: By each of ``ORIGINS`` what ``--model.start_from`` is given.
    """

    def __init__(self, options: argparse.Namespace, network: NetworkConfig, origins: dict[str, str]) -> None:
        self.options = options
        self.network = network
        self.origins = origins
        # Targets take as long as ten short steps, and several trainings in a row have the same painting.
        self._distances: dict[Path, CovarianceDistance] = {}

    def measure(self, painting: Path, origin: str, steps: int) -> Row:
        """Train; return losses and covariance distance on held-out photos, and the seconds that the training took."""
        options = self.options
        pl.seed_everything(options.seed)
        # Each training has a network of its own, and torch compiles a function for eight of them at most.
        torch.compiler.reset()
        model = StyleTraining(
            str(painting),
            perceptual=options.perceptual,
            perceptual_weights=options.perceptual_weights,
            network=self.network,
            start_from=self.origins[origin],
            optimizer=options.optimizer,
        )
        share = min(1.0, options.image_size / FULL_SIZE) ** 2
        data = PhotoData(
            str(options.photos),
            image_size=options.image_size,
            batch_size=options.batch_size,
            crop_scale=(CROP_SCALE[0] * share, CROP_SCALE[1] * share),
            seed=options.seed,
        )
        begin = time.perf_counter()
        if steps:
            self._build_trainer(steps).fit(model, datamodule=data)
        seconds = time.perf_counter() - begin
        (losses,) = self._build_trainer(1, validates=True).validate(model, datamodule=data, verbose=False)
        found = {name: round(float(value), 5) for name, value in losses.items()}
        found["covariance_distance"] = round(self._measure_distance(painting, model, data), 4)
        return {"painting": painting.stem, "origin": origin, "steps": steps, **found, "seconds": round(seconds, 1)}

    @torch.no_grad()
    def _measure_distance(self, painting: Path, model: StyleTraining, data: PhotoData) -> float:
        """Return the covariance distance of pictures of the held-out photos, their median.

        After a validation the model is on the CPU, where Lightning leaves it.
        """
        if painting not in self._distances:
            if model.validation_loss is None:
                raise RuntimeError("the training was not validated, and has no frozen network yet")
            features = model.validation_loss.features
            self._distances = {painting: CovarianceDistance(features, decode(painting), model.device)}
        distance = self._distances[painting]
        photos = data.preview_photos(len(data.held_out_paths)).photos.to(model.device)
        pictures = (model.network(to_unit(photo[None])).clamp(0, 1) for photo in photos)
        return statistics.median(distance(picture) for picture in pictures)

    def _build_trainer(self, steps: int, validates: bool = False) -> pl.Trainer:
        return pl.Trainer(
            **{
                **TRAINER_DEFAULTS,
                "max_steps": steps,
                "devices": 1,
                "precision": best_precision(),
                "limit_val_batches": 1.0 if validates else 0,
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,
            }
        )


def run(options: argparse.Namespace) -> None:
    """Measure all curves that the command line asks for, and print the table.

    Raises:
        ImageError, ModelFileError, TrainError: If what was asked for cannot work.
        OSError: If the report cannot be written.
    """
    quiet_libraries()
    keep_freed_memory()
    start = options.start or START_FILE
    shared, card = load_start(start)
    style = find_origin_file(options.style)
    if not style.is_file():
        raise TrainError(f"--style '{options.style}' does not exist; name a kept style or a .safetensors file")
    paintings = choose_paintings(options.paintings, options.held_out, card.held_out_paintings)[: options.count]
    settings = {
        "start": describe_file(start),
        "style": describe_file(style),
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        "perceptual": options.perceptual,
        "perceptual_weights": options.perceptual_weights,
        "optimizer": options.optimizer,
        "photos": str(options.photos),
        "seed": options.seed,
        "covariance_layers": ", ".join(LAYERS),
    }
    make_folder(options.output)
    record, table_file = (options.output / name for name in ("report.json", "table.md"))
    # The table goes with the report that it is made from.
    read = [start, style, options.perceptual_weights, *paintings]
    require_absent([table_file, record], True, inputs=read)
    require_absent([table_file], options.overwrite or record.exists())
    report = Report(record, settings, options.overwrite)
    curves = Curves(options, shared.network.config, {"start": str(start), "style": str(style), "random": RANDOM})
    tasks = list_tasks(paintings, options.steps, options.origins)
    left = [task for task in tasks if not report.has(task[0].stem, *task[1:])]
    if len(left) < len(tasks):
        print(f"'{report.path}' holds {len(tasks) - len(left)} of {len(tasks)} trainings; going on", flush=True)
    with raise_interrupts(), tqdm(left, unit="training", disable=None) as bar:
        for painting, origin, steps in bar:
            row = curves.measure(painting, origin, steps)
            report.add(row)
            with tqdm.external_write_mode():
                name = name_origin(origin, settings)
                found = f"loss {row['val_loss']:.4f}, covariance distance {row['covariance_distance']:.3f}"
                print(f"{painting.stem}, {steps} steps from {name}: {found}", flush=True)
    report.write()
    table = tabulate(report)
    write_whole(table_file, table + "\n")
    print(f"\n{table}\n\nreport: {report.path}")


def list_tasks(
    paintings: Iterable[Path], steps: Iterable[int], origins: Collection[str]
) -> list[tuple[Path, str, int]]:
    """List all trainings, painting by painting, so that the first paintings are complete when a run is stopped."""
    lengths = sorted(set(steps))
    chosen = [origin for origin in ORIGINS if origin in origins]
    return [(painting, origin, length) for painting in paintings for length in lengths for origin in chosen]
