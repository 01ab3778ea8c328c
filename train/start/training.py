"""The training of the shared start from its command line to its file, made of Lightning's CLI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser

from data.files import try_folder
from export.cli import INTERRUPTED
from export.terminal import quote
from export.version import project_version
from models.start import START_FILE, StartCard, save_start
from train.cli import Progress
from train.compute.memory import keep_freed_memory
from train.compute.precision import best_precision
from train.errors import TrainError, require_named
from train.fit.callbacks import LossGuard, PhotoHealth, StyleProgressBar
from train.fit.checkpoint import AtomicCheckpointIO, Interrupted, LatestCheckpoint, find_checkpoint, raise_interrupts
from train.fit.command import (
    TRAINER_DEFAULTS,
    RunConfigCallback,
    TrainingCLI,
    describe_weights,
    dump_config,
)
from train.fit.datamodule import PhotoData
from train.fit.module import should_compile
from train.fit.origin import RANDOM
from train.fit.run_folder import RunFolder
from train.parser import StyleArgumentParser, quiet_libraries
from train.start.module import StartTraining
from train.start.preview import PaintingsPreview


class StartCLI(TrainingCLI):
    """One command: train the shared start, and write its file."""

    @property
    def folder(self) -> RunFolder:
        """Where the training writes to."""
        return RunFolder(Path(self.config.output))

    @property
    def file(self) -> Path:
        """The finished start."""
        return self.folder.path / START_FILE.name

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add where to write."""
        parser.add_argument("--output", type=str, default="runs/start", help="Folder to write to")
        parser.add_argument("--license", type=str, default="", help="Terms of use, written into the file")
        parser.add_argument("--overwrite", type=bool, default=False, help="Replace an earlier run in that folder")
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to go on from")
        parser.add_lightning_class_args(LossGuard, "guard")
        parser.add_lightning_class_args(PaintingsPreview, "preview")
        parser.add_lightning_class_args(LatestCheckpoint, "checkpoint")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Make sure that the run may write where it will, and that photos can be shared out over paintings."""
        config = self.config
        require_named(
            output=config.output,
            ckpt_path=config.ckpt_path,
            data__photos=config.data.photos,
            data__val_photos=config.data.val_photos,
            model__paintings=config.model.paintings,
            model__start_from=config.model.start_from,
            model__perceptual_weights=config.model.perceptual_weights,
        )
        config.ckpt_path = find_checkpoint(config.ckpt_path, self.folder.checkpoint)
        resuming = self.folder.is_resumed(config.ckpt_path)
        self.folder.require_free(resuming or config.overwrite, "--output", [START_FILE.name])
        self.folder.require_unread(
            [config.model.start_from, config.model.perceptual_weights],
            [config.data.photos, config.data.val_photos, config.model.paintings],
            "--output",
            [START_FILE.name],
        )
        try_folder(self.folder.path)
        batch, paintings = config.data.batch_size, config.model.paintings_per_step
        if paintings > 0 and batch % paintings:
            raise TrainError(
                f"--data.batch_size is {batch}; it must be a multiple of --model.paintings_per_step, {paintings}"
            )
        if config.trainer.precision is None:
            config.trainer.precision = best_precision(str(config.trainer.accelerator))

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the trainer write into the output folder."""
        plugins = [*(self.config.trainer.plugins or []), AtomicCheckpointIO()]
        kwargs |= {"default_root_dir": self.config.output, "logger": False, "plugins": plugins}
        trainer = super().instantiate_trainer(**kwargs)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, LatestCheckpoint):
                callback.path = self.folder.checkpoint
            elif isinstance(callback, PaintingsPreview):
                callback.folder = self.folder.previews
            elif isinstance(callback, LossGuard):
                callback.path = self.folder.metrics
                callback.must_fall = self.config.model.start_from == RANDOM
        return trainer

    def announce(self) -> None:
        """Read photos, paintings and the frozen network before anything is written, and print what will be done."""
        config, trainer, model = self.config, self.trainer, self.model
        self.datamodule.setup("fit")
        model.prepare(trainer.strategy.root_device)
        if not trainer.is_global_zero:
            return
        compiled = should_compile(config.model.compile, trainer.max_steps)
        print(
            f"training the shared start on {len(model.training_paintings)} paintings, {len(model.held_out_paintings)} "
            f"held out (their targets take {model.loss.megabytes:.0f} MB), from {config.model.start_from}: "
            f"{trainer.max_steps} steps of {config.data.batch_size} photos at {config.data.image_size} px, "
            f"{config.model.paintings_per_step} paintings each, {trainer.precision} on {trainer.strategy.root_device}"
            f"{', compiled (the first step takes a minute)' if compiled else ''}; previews in {self.folder.previews}",
            flush=True,
        )

    def write(self) -> None:
        """Write the shared start, with its origin in the file's header."""
        model, source = self.model, self.config.model
        weights = describe_weights(source.perceptual, source.perceptual_weights)
        card = StartCard(
            license=self.config.license,
            perceptual_source=f"{source.perceptual} from {weights}",
            training_config=dump_config(self.parser, self.config),
            project_version=project_version(),
            steps=self.trainer.global_step,
            paintings=tuple(painting.name for painting in model.training_paintings),
            held_out_paintings=tuple(painting.name for painting in model.held_out_paintings),
            held_out_loss=model.held_out_loss,
        )
        save_start(self.file, model.start, card)
        print(f"wrote:    {self.file}, {self.file.stat().st_size:,} bytes\npreviews: {self.folder.previews}")
        print(f"use it:   python -m train fit --model.start_from {quote(self.file)} --model.style painting.jpg")
        print(f"by default, once copied to {START_FILE}")


def run(args: list[str] | None, progress: Progress) -> int:
    """Train as the command line asks, and write the shared start.

    Args:
        args: Arguments in place of those of the process.
        progress: Kept up to date.

    Returns:
        The exit code: 0, or 130 after Ctrl-C in a step, which is finished and saved first.

    Raises:
        TrainError, ImageError, ModelFileError: If what was asked for cannot work.
        OSError: If the file cannot be written.
        KeyboardInterrupt: After Ctrl-C outside of a step, or a second Ctrl-C.
    """
    quiet_libraries()
    keep_freed_memory()
    cli = StartCLI(
        StartTraining,
        PhotoData,
        args=args,
        run=False,
        parser_class=StyleArgumentParser,
        parser_kwargs={
            "prog": "python -m train.start",
            "description": "Train one network on many paintings, from which each new style starts.",
            "example": "python -m train.start --config configs/start.yaml --model.paintings folder",
        },
        trainer_defaults={**TRAINER_DEFAULTS, "callbacks": [PhotoHealth(), StyleProgressBar(refresh_rate=1)]},
        save_config_callback=RunConfigCallback,
        save_config_kwargs={"save_to_log_dir": False, "product": START_FILE.name},
        seed_everything_default=0,
        auto_configure_optimizers=False,
    )
    with raise_interrupts():
        resumed = cli.config.ckpt_path is not None
        progress.checkpoint = cli.folder.checkpoint if resumed else None
        cli.announce()
        progress.checkpoint = cli.folder.checkpoint
        try:
            cli.fit(model=cli.model, datamodule=cli.datamodule, ckpt_path=cli.config.ckpt_path)
        except Interrupted as stop:
            print(f"{stop}; go on with the same command and --ckpt_path last")
            return INTERRUPTED
        progress.trained = True
        cli.complete()
    if cli.trainer.is_global_zero:
        cli.write()
    return 0
