"""The command line: ``python -m train fit --config configs/wave.yaml``, made of Lightning's own CLI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger

from data.files import make_folder, write_whole
from export.cli import INTERRUPTED
from export.graph.convert import convert
from export.version import project_version
from models.style_file import StyleCard, save_style
from models.vgg import SMALL_WEIGHTS
from train.cli import USER_ERRORS
from train.compute.memory import keep_freed_memory
from train.compute.precision import best_precision
from train.errors import TrainError
from train.fit.callbacks import LossGuard, PhotoHealth, Preview, StyleProgressBar
from train.fit.checkpoint import AtomicCheckpointIO, Interrupted, LatestCheckpoint, find_checkpoint
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining, should_compile
from train.fit.run_folder import RunFolder, describe_file
from train.parser import StyleArgumentParser, quiet_libraries

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_steps": 4000,
    "val_check_interval": 500,
    "check_val_every_n_epoch": None,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    # Our sampler gives each process its share; Lightning's would deal the photos out anew.
    "use_distributed_sampler": False,
}


class RunConfigCallback(SaveConfigCallback):
    """Keep the whole configuration beside what it makes.

    Attributes:
        replaced_events: TensorBoard's files of the run that this one replaces; Lightning adds its own before it starts.
    """

    replaced_events: Sequence[Path] = ()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write nothing yet: the checkpoint to go on from may still turn out not to fit."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the run folder, now that everything was found."""
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, "fit")

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remove the run that this one replaces, and write ``config.yaml``."""
        folder = RunFolder(Path(trainer.default_root_dir))
        folder.path.mkdir(parents=True, exist_ok=True)
        if trainer.ckpt_path is None:
            folder.clear()
            for file in self.replaced_events:
                file.unlink(missing_ok=True)
        write_whole(folder.config, dump_config(self.parser, self.config))


def dump_config(parser: LightningArgumentParser, config: Any) -> str:
    """Return a configuration as YAML that ``--config`` takes."""
    return str(parser.dump(config, skip_none=False, skip_link_targets=True))


class TrainingCLI(LightningCLI):
    """Lightning's command line, for which a value that a part refuses is the user's mistake."""

    def instantiate_classes(self) -> None:
        """Build model, data and trainer."""
        try:
            super().instantiate_classes()
        except USER_ERRORS:
            raise
        except ValueError as error:
            raise TrainError(str(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer, which may ask for hardware that is not here."""
        try:
            return super().instantiate_trainer(**kwargs)
        except MisconfigurationException as error:
            reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
            raise TrainError(
                f"no trainer can be made of its flags ({reason}); leave --trainer.accelerator and --trainer.devices "
                "out to take what this machine has"
            ) from error


class StyleCLI(TrainingCLI):
    """``fit`` trains and exports a style; ``validate`` judges a checkpoint on the held-out photos."""

    folder: RunFolder

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Offer what makes sense for a style."""
        everything = LightningCLI.subcommands()
        return {name: everything[name] for name in ("fit", "validate")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run is called, and how often it reports."""
        parser.add_argument("--name", type=str | None, default=None, help="Name of the style (default: the painting's)")
        parser.add_argument("--runs", type=str, default="runs", help="Folder that run folders are made in")
        parser.add_argument("--license", type=str, default="", help="Terms of use, written into the exported file")
        parser.add_argument("--overwrite", type=bool, default=False, help="Replace an earlier run of the same name")
        parser.add_lightning_class_args(LossGuard, "guard")
        parser.add_lightning_class_args(Preview, "preview")
        parser.add_lightning_class_args(LatestCheckpoint, "checkpoint")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Settle what was left open, say it, and make sure that the run may write where it will."""
        config = self.config[self.subcommand]
        if config.trainer.max_epochs is not None or config.trainer.max_steps < 1:
            raise TrainError("the length of a run is told in steps; set --trainer.max_steps, and leave max_epochs out")
        paintings = config.model.style
        first = paintings if isinstance(paintings, str) else (paintings or [""])[0]
        self.folder = RunFolder(Path(config.runs) / (config.name or Path(first).stem))
        checkpoint = config.ckpt_path = find_checkpoint(config.ckpt_path, self.folder.checkpoint)
        if self.subcommand == "fit":
            resuming = checkpoint is not None and Path(checkpoint).resolve().parent == self.folder.path.resolve()
            if not (resuming or config.overwrite):
                self.folder.require_free()
            make_folder(self.folder.path.parent, "--runs")
        elif checkpoint is None:
            config.ckpt_path = self._choose_judged(config.model.start_from)
        if config.trainer.precision is None:
            config.trainer.precision = best_precision(str(config.trainer.accelerator))

    def _choose_judged(self, start_from: str | None) -> str | None:
        """Return the run's checkpoint, or None for the style that it would start from: random weights are no style."""
        latest = self.folder.checkpoint
        if latest.is_file():
            print(f"judging {latest}")
            return str(latest)
        if start_from is None:
            raise TrainError(f"'{self.folder.path}' holds no last.ckpt to judge; name a checkpoint with --ckpt_path")
        print(f"judging {start_from}")
        return None

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the trainer write into the run folder."""
        config = self.config[self.subcommand]
        kwargs["default_root_dir"] = str(self.folder.path)
        kwargs["logger"] = TensorBoardLogger(self.folder.path, name="", version="tensorboard")
        kwargs["plugins"] = [*(config.trainer.plugins or []), AtomicCheckpointIO()]
        trainer = super().instantiate_trainer(**kwargs)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, LossGuard):
                callback.path = self.folder.metrics
                callback.must_fall = config.model.start_from is None
            elif isinstance(callback, Preview):
                callback.folder = self.folder.previews
            elif isinstance(callback, LatestCheckpoint):
                callback.path = self.folder.checkpoint
            elif isinstance(callback, RunConfigCallback):
                callback.replaced_events = self.folder.list_events()
        return trainer

    def before_fit(self) -> None:
        """Read what the run needs, while nothing is written yet, and say what is going to happen."""
        self.datamodule.setup("fit")
        self.model.prepare()
        trainer, config = self.trainer, self.config[self.subcommand]
        if trainer.is_global_zero:
            compiled = ", compiled (the first step takes a minute)"
            print(
                f"training '{self.folder.path.name}': {trainer.max_steps} steps of {config.data.batch_size} photos at "
                f"{config.data.image_size} px, {trainer.precision} on {trainer.strategy.root_device}"
                f"{compiled if should_compile(config.model.compile, trainer.max_steps) else ''}; "
                f"previews in {self.folder.previews}",
                flush=True,
            )

    def after_fit(self) -> None:
        """Write the weights, export them, and say where everything is."""
        if not self.trainer.is_global_zero:
            return
        config = self.config[self.subcommand]
        source = config.model.perceptual_weights
        card = StyleCard(
            name=self.folder.path.name,
            license=config.license,
            perceptual_source=f"{config.model.perceptual} from {describe_weights(config.model.perceptual, source)}",
            training_config=dump_config(self._parser(self.subcommand), config),
            project_version=project_version(),
            steps=self.trainer.global_step,
            held_out_loss=self.model.held_out_loss,
        )
        save_style(self.folder.weights, self.model.network, card)
        report = convert(self.folder.weights, self.folder.onnx, overwrite=True)
        print(f"weights:  {self.folder.weights}\nexported: {report}\npreviews: {self.folder.previews}")
        print(f"use it:   python -m export.stylize {self.folder.onnx} photo.jpg --output painted.jpg")


def describe_weights(network: str, source: str) -> str:
    """Say where a perceptual network's weights came from: ``default`` or the path of a file."""
    if source == "default" and network != "vgg_small":
        return "torchvision, IMAGENET1K_V1"
    return describe_file(SMALL_WEIGHTS if source == "default" else Path(source))


def main(args: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Arguments in place of those of the process.

    Returns:
        The exit code: 0, or 2 for a user's mistake, or 130 after Ctrl-C.
    """
    quiet_libraries()
    keep_freed_memory()
    cli: StyleCLI | None = None
    try:
        cli = StyleCLI.__new__(StyleCLI)
        cli.__init__(  # type: ignore[misc]
            StyleTraining,
            PhotoData,
            args=args,
            parser_class=StyleArgumentParser,
            parser_kwargs={"prog": "python -m train", "description": "Train one style, and export it."},
            trainer_defaults={**TRAINER_DEFAULTS, "callbacks": [PhotoHealth(), StyleProgressBar(refresh_rate=1)]},
            save_config_callback=RunConfigCallback,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=0,
            auto_configure_optimizers=False,
        )
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped before the first step; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except Interrupted as stop:
        print(f"{stop}; go on with the same command and --ckpt_path {cli.folder.checkpoint}" if cli else stop)
        return INTERRUPTED
    return 0
