"""The distillation from its command line to its file, made of Lightning's CLI."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser
from safetensors.torch import save

from data.files import try_folder, write_whole
from export.cli import INTERRUPTED
from export.terminal import quote
from export.version import project_version
from models.vgg import quantize
from train.cli import Progress
from train.compute.memory import keep_freed_memory
from train.compute.precision import best_precision
from train.distill.module import Distillation, export_state
from train.distill.pictures import MOST_PHOTOS, PARTS
from train.errors import TrainError, require_named
from train.fit.callbacks import LossGuard, PhotoHealth, StyleProgressBar
from train.fit.checkpoint import AtomicCheckpointIO, Interrupted, LatestCheckpoint, find_checkpoint, raise_interrupts
from train.fit.command import TRAINER_DEFAULTS, RunConfigCallback, TrainingCLI, describe_weights, dump_config
from train.fit.datamodule import PhotoData
from train.fit.run_folder import RunFolder
from train.parser import StyleArgumentParser, quiet_libraries

NETWORK = "vgg_small.safetensors"
"""Name of the finished network's file."""

CREDIT = (
    "distilled from VGG by Karen Simonyan and Andrew Zisserman (Visual Geometry Group, University of Oxford), "
    "CC BY 4.0, https://www.robots.ox.ac.uk/~vgg/research/very_deep/"
)
"""The credit that the license of the teacher's weights asks for; it is written into the file's header."""


class DistillCLI(TrainingCLI):
    """The command line of the distillation, which has no subcommands."""

    @property
    def folder(self) -> RunFolder:
        """Where the training writes to."""
        return RunFolder(Path(self.config.output))

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add where to write."""
        parser.add_argument("--output", type=str, default="runs/distill", help="Folder to write to")
        parser.add_argument("--overwrite", type=bool, default=False, help="Replace an earlier run in that folder")
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to go on from")
        parser.add_lightning_class_args(LatestCheckpoint, "checkpoint")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)
        parser.link_arguments("data.image_size", "model.image_size")

    def before_instantiate_classes(self) -> None:
        """Make sure that the run may write to its folder, and complete the configuration."""
        config, folder = self.config, self.folder
        require_named(
            output=config.output,
            ckpt_path=config.ckpt_path,
            data__photos=config.data.photos,
            data__val_photos=config.data.val_photos,
            model__paintings=config.model.paintings,
            model__styles=config.model.styles,
            model__start_from=config.model.start_from,
            model__teacher_weights=config.model.teacher_weights,
        )
        config.ckpt_path = find_checkpoint(config.ckpt_path, folder.checkpoint)
        resuming = folder.is_resumed(config.ckpt_path)
        folder.require_free(resuming or config.overwrite, "--output", [NETWORK])
        model = config.model
        read = [model.start_from, model.teacher_weights, *(model.paintings or ()), *(model.styles or ())]
        folder.require_unread(read, [config.data.photos, config.data.val_photos], "--output", [NETWORK])
        # Before the training, which would find out only at its first checkpoint.
        try_folder(folder.path)
        batch = config.data.batch_size
        if batch % PARTS or batch > MOST_PHOTOS:
            raise TrainError(
                f"--data.batch_size is {batch}; it must be a multiple of {PARTS} and at most {MOST_PHOTOS}"
            )
        if config.trainer.precision is None:
            config.trainer.precision = best_precision(str(config.trainer.accelerator))

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the trainer write into the output folder."""
        kwargs |= {"default_root_dir": self.config.output, "logger": False, "plugins": [AtomicCheckpointIO()]}
        # A validation takes gradients of the small network's own loss, which inference mode does not have.
        kwargs["inference_mode"] = False
        trainer = super().instantiate_trainer(**kwargs)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, LatestCheckpoint):
                callback.path = self.folder.checkpoint
            elif isinstance(callback, LossGuard):
                # One that starts from a trained network hardly falls.
                callback.must_fall = False
        return trainer

    def require_held_out(self) -> None:
        """Make sure before the work that a validation has as many photos as the variations need.

        Raises:
            ImageError: If a folder of photos is absent or holds too few.
            TrainError: If fewer are held out.
        """
        self.datamodule.setup("fit")
        count = len(self.datamodule.held_out_paths)
        if count < PARTS:
            raise TrainError(
                f"{count} photos are held out, and {PARTS} are needed; give --data.held_out {PARTS} or more, and "
                "folders with as many photos"
            )


def run(args: list[str] | None, progress: Progress) -> int:
    """Distill as the command line asks, and write the network.

    Args:
        args: Arguments in place of those of the process.
        progress: Kept up to date.

    Returns:
        The exit code: 0, or 130 after Ctrl-C in a step, which is finished and saved first.

    Raises:
        TrainError, ImageError, ModelFileError: If what was asked for cannot work.
        OSError: If the network cannot be written.
        KeyboardInterrupt: After Ctrl-C outside of a step, or a second Ctrl-C.
    """
    quiet_libraries()
    keep_freed_memory()
    cli = DistillCLI(
        Distillation,
        PhotoData,
        args=args,
        run=False,
        parser_class=StyleArgumentParser,
        parser_kwargs={
            "prog": "python -m train.distill",
            "description": "Distill a small perceptual network from VGG.",
            "example": "python -m train.distill --config configs/distill.yaml",
        },
        trainer_defaults={
            **TRAINER_DEFAULTS,
            "callbacks": [PhotoHealth(), LossGuard(), StyleProgressBar(refresh_rate=1)],
        },
        save_config_callback=RunConfigCallback,
        save_config_kwargs={"save_to_log_dir": False, "product": NETWORK},
        seed_everything_default=0,
        auto_configure_optimizers=False,
    )
    cli.require_held_out()
    progress.checkpoint = cli.folder.checkpoint
    with raise_interrupts():
        try:
            cli.fit(model=cli.model, datamodule=cli.datamodule, ckpt_path=cli.config.ckpt_path)
        except Interrupted as stop:
            print(f"{stop}; go on with the same command and --ckpt_path last")
            return INTERRUPTED
        progress.trained = True
        cli.complete()
        if cli.trainer.is_global_zero:
            write(cli)
    return 0


def write(cli: DistillCLI) -> None:
    """Write the network, with its origin and its held-out losses in the file's header.

    Raises:
        TrainError: If a held-out loss is not finite; nothing is written then.
        OSError: If it cannot be written.
    """
    losses = cli.model.held_out_losses or {}
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainError(
                f"{name} is {value} after the last step, so no network was written; start anew with a lower "
                "--model.learning_rate and --overwrite true"
            )
    config = cli.config.model
    metrics = {name: round(value, 5) for name, value in sorted(losses.items())}
    header = {
        "format": "onestroke-perceptual-1",
        "credit": CREDIT,
        "teacher": f"{config.teacher} from {describe_weights(config.teacher, config.teacher_weights)}",
        "training_config": dump_config(cli.parser, cli.config),
        "project_version": project_version(),
        "held_out": json.dumps(metrics),
    }
    path = cli.folder.path / NETWORK
    write_whole(path, save(quantize(export_state(cli.model.student)), metadata=header))
    print(f"held out: {header['held_out']}\nwrote:    {path}, {path.stat().st_size:,} bytes")
    print(f"use it:   --model.perceptual vgg_small --model.perceptual_weights {quote(path)}")
    print(f"test it:  python -m train.distill.evaluate --weights {quote(path)}")
