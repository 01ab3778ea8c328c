"""The command line: ``python -m train fit --config configs/wave.yaml``, made of Lightning's own CLI."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
from lightning_fabric.loggers.logger import _DummyExperiment, rank_zero_experiment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger

from data.files import make_folder, write_whole
from data.images import ImageError
from export.graph.convert import convert
from export.graph.targets import choose_form
from export.terminal import quote
from export.version import project_version
from models.network import NetworkConfig
from models.start import START_FILE
from models.style_file import StyleCard, save_style
from models.vgg import SMALL_WEIGHTS
from train.cli import USER_ERRORS, run_command
from train.compute.memory import keep_freed_memory
from train.compute.precision import best_precision
from train.errors import TrainError, require_named
from train.fit.callbacks import LossGuard, PhotoHealth, Preview, StyleProgressBar
from train.fit.checkpoint import (
    AtomicCheckpointIO,
    LatestCheckpoint,
    explain_misfit,
    find_checkpoint,
    raise_interrupts,
)
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining, should_compile
from train.fit.origin import RANDOM, choose_origin, read_style_network
from train.fit.run_folder import RunFolder, describe_file
from train.fit.timing import EARLY_SIZE, TimeKeeper, read_time
from train.limits import MOST_STEPS, check_ranges, require_positive
from train.parser import StyleArgumentParser, quiet_libraries

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_steps": 4000,
    "val_check_interval": 500,
    "check_val_every_n_epoch": None,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    # Our sampler gives each process its share; Lightning's would divide the photos again.
    "use_distributed_sampler": False,
}


MOST_MINUTES = 1e6
"""Longest training time: two years."""


class RunLogger(TensorBoardLogger):
    """TensorBoard's log, which writes nothing before the first step: a run that cannot start leaves no file.

    Attributes:
        begun: Whether the run has begun.
    """

    begun = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """TensorBoard's writer, or one that ignores everything until the run has begun."""
        return super().experiment if self.begun else _DummyExperiment()


@contextlib.contextmanager
def name_full_disk(find_folder: Callable[[], Path | None]) -> Iterator[None]:
    """Name the run folder in errors of the system that name no file, and print none of TensorBoard's thread.

    That thread writes the log; when it fails, so does the next line that is logged, in the thread that trains.

    Args:
        find_folder: Returns the run folder, None as long as it is not known.

    Raises:
        OSError: As the block does, with a file name.
    """
    usual = threading.excepthook

    def ignore(arguments: threading.ExceptHookArgs) -> None:
        if not issubclass(arguments.exc_type, OSError):
            usual(arguments)

    threading.excepthook = ignore
    try:
        yield
    except OSError as error:
        folder = find_folder()
        # One without a number has a sentence of its own.
        if error.errno is not None and error.filename is None and folder is not None:
            error.filename = str(folder)
        raise
    finally:
        threading.excepthook = usual


class RunConfigCallback(SaveConfigCallback):
    """Keep the whole configuration beside what it makes.

    Args:
        product: Name of a file that the command writes at its end, beside those of every training.

    Attributes:
        begun: Whether the run has begun, and its folder is written to.
    """

    begun = False

    def __init__(self, *args: Any, product: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._product = product
        self._held = contextlib.ExitStack()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write nothing yet: the checkpoint to go on from may still turn out not to fit."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the run folder, now that all inputs were read."""
        self.begun = True
        if trainer.is_global_zero:
            folder = RunFolder(Path(trainer.default_root_dir))
            folder.path.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as held:
                held.enter_context(folder.hold())
                self.save_config(trainer, pl_module, "fit")
                # Of a run that was finished before, nothing more is trained.
                if trainer.training:
                    self._held = held.pop_all()
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.begun = True

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write ``config.yaml``, after removing the run that this one replaces."""
        folder = RunFolder(Path(trainer.default_root_dir))
        resumed = folder.is_resumed(trainer.ckpt_path)
        with contextlib.nullcontext() if resumed or self.config.overwrite else folder.claim():
            if not resumed:
                folder.clear()
                if self._product is not None:
                    (folder.path / self._product).unlink(missing_ok=True)
            write_whole(folder.config, dump_config(self.parser, self.config))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let go of the folder."""
        self._held.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let go of the folder of a run that failed or was stopped."""
        self._held.close()


def require_training(config: Any) -> None:
    """Refuse settings with which not one step would train anything, before the work.

    Args:
        config: Settings of a training.

    Raises:
        TrainError: Naming the flag.
    """
    trainer = config.trainer
    if trainer.limit_train_batches is not None and trainer.limit_train_batches == 0:
        raise TrainError("--trainer.limit_train_batches is 0, which trains nothing; leave it out")
    spent = trainer.max_time
    if spent is not None and not any(char in "123456789" for char in str(spent)):
        raise TrainError(f"--trainer.max_time is {spent}, which trains nothing; leave it out")
    weights = ("content_weight", "style_weight", "palette_weight")
    if all(config.model.get(name) == 0 for name in weights) and not config.model.get("emd_weight"):
        flags = ", ".join(f"--model.{name}" for name in weights)
        raise TrainError(f"{flags} are all 0, which trains nothing; leave one of them out")


ONE_CALL: Mapping[str, Any] = {"ckpt_path": None, "overwrite": False}
"""Settings that no later run of the same configuration has, and their values there."""


def dump_config(parser: LightningArgumentParser, config: Any) -> str:
    """Return a configuration as YAML that ``--config`` takes.

    What was said for one call only is left out: where it resumed, and that it might replace an earlier run.
    """
    lasting = config.clone()
    for name, value in ONE_CALL.items():
        if name in lasting:
            lasting[name] = value
    return str(parser.dump(lasting, skip_none=False, skip_link_targets=True))


PRECISIONS = {None, "32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", 32, 16}
"""Precisions of a training: networks and targets stay in float32, whatever is computed in between."""


CallbackKind = TypeVar("CallbackKind", bound=pl.Callback)


class TrainingCLI(LightningCLI):
    """Lightning's command line, which reports a value that a class refuses as the user's mistake."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line, and refuse what cannot work before anything is read or written.

        Raises:
            TrainError: Naming the flag.
        """
        super().parse_arguments(parser, args)
        # Lightning notes the subcommand only after this.
        subcommand = self.config.get("subcommand")
        config = self.config[subcommand] if subcommand else self.config
        check_ranges(dict(config.items()))
        trainer = config.trainer
        if trainer.precision not in PRECISIONS:
            raise TrainError(
                f"--trainer.precision is {trainer.precision}, in which no style can be trained; say 32-true or "
                "bf16-mixed, or leave it out"
            )
        if trainer.fast_dev_run:
            raise TrainError(
                "--trainer.fast_dev_run keeps neither a checkpoint nor a style; try a run with a small "
                "--trainer.max_steps"
            )
        if trainer.val_check_interval is not None and not _is_interval(trainer.val_check_interval):
            raise TrainError(
                f"--trainer.val_check_interval is {trainer.val_check_interval}; give a number of steps from 1 up"
            )
        if trainer.check_val_every_n_epoch is not None:
            raise TrainError(
                f"--trainer.check_val_every_n_epoch is {trainer.check_val_every_n_epoch}, and a run is counted in "
                "steps; give --trainer.val_check_interval instead"
            )
        if trainer.accumulate_grad_batches != 1:
            raise TrainError(
                f"--trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, and a step here has one "
                "batch; leave it out, and raise --data.batch_size"
            )
        if isinstance(config.get("seed_everything"), bool):
            raise TrainError(f"--seed_everything is {config.seed_everything}; give a number")
        if trainer.max_epochs is not None:
            raise TrainError(
                "the length of a run is a number of steps; give --trainer.max_steps, and leave out --trainer.max_epochs"
            )
        if subcommand != "validate":
            require_training(config)

    def instantiate_classes(self) -> None:
        """Build model, data and trainer."""
        try:
            super().instantiate_classes()
        except USER_ERRORS:
            raise
        except ValueError as error:
            raise TrainError(str(error)) from error

    def fit(self, *, ckpt_path: str | None = None, **options: Any) -> None:
        """Train as Lightning does; a flag or a checkpoint that does not fit is the user's mistake."""
        with _explain_flags(), self._explain_misfit(ckpt_path), _explain_workers():
            self.trainer.fit(ckpt_path=ckpt_path, **options)

    def validate(self, *, ckpt_path: str | None = None, **options: Any) -> None:
        """Validate as Lightning does, likewise."""
        with _explain_flags(), self._explain_misfit(ckpt_path):
            self.trainer.validate(ckpt_path=ckpt_path, **options)

    def complete(self) -> None:
        """Do what a run leaves out that was finished before, and a validation if none followed the last step."""
        for callback in self._find_callbacks(RunConfigCallback):
            if not callback.begun:
                # Lightning begins no run that is finished.
                callback.on_train_start(self.trainer, self.model)
        if self.model.held_out_losses is None:
            # They are in no checkpoint, because the last one is written before the last validation.
            self.validate(model=self.model, datamodule=self.datamodule, verbose=False)

    def _explain_misfit(self, ckpt_path: str | None) -> contextlib.AbstractContextManager[None]:
        latest = self._find_callbacks(LatestCheckpoint)
        return explain_misfit(ckpt_path, lambda: any(callback.begun for callback in latest))

    def _find_callbacks(self, kind: type[CallbackKind]) -> list[CallbackKind]:
        """Find the trainer's callbacks of one class."""
        return [callback for callback in self.trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer; it may need hardware that this machine does not have."""
        flags = (self.config[self.subcommand] if self.subcommand else self.config).trainer
        if flags.enable_progress_bar is False:
            # Lightning refuses a bar of ours beside this flag.
            shown = self.trainer_defaults.get("callbacks") or []
            self.trainer_defaults["callbacks"] = [found for found in shown if not isinstance(found, ProgressBar)]
        try:
            trainer: pl.Trainer = super().instantiate_trainer(**kwargs)
        # What a flag of Lightning's makes its parts raise: a device of another kind, a package that is not installed.
        except (MisconfigurationException, ImportError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, USER_ERRORS):
                raise
            reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
            raise TrainError(
                f"the --trainer flags do not fit this machine ({reason}); leave out --trainer.accelerator and "
                "--trainer.devices to use what it has"
            ) from error
        # Before another callback writes: the folder may have been taken by a run that was started at the same time.
        trainer.callbacks.sort(key=lambda found: not isinstance(found, RunConfigCallback))  # type: ignore[attr-defined]
        asked = flags.precision
        if asked in {"16-mixed", "16", 16} and trainer.precision != "16-mixed":
            raise TrainError(
                f"--trainer.precision is {asked}, which needs a GPU; say 32-true or bf16-mixed, or leave it out"
            )
        return trainer


@contextlib.contextmanager
def _explain_flags() -> Iterator[None]:
    """Turn what Lightning says of flags that do not fit the data into one sentence."""
    try:
        yield
    except MisconfigurationException as error:
        raise TrainError(f"the --trainer flags do not fit this training: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def _explain_workers() -> Iterator[None]:
    """Turn what ends a process that decodes photos into one sentence."""
    try:
        yield
    except ImageError as error:
        # Before its sentence torch puts the traceback of the process.
        raise ImageError(str(error).rpartition(f"{ImageError.__name__}: ")[2].rstrip()) from error
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise TrainError(
            "a process that decodes photos was killed, most often because there is too little memory; give the machine "
            "more, or say --data.workers 0"
        ) from error


def _is_interval(value: Any) -> bool:
    """Tell whether a value is a number of steps, or one of Lightning's durations."""
    return not isinstance(value, bool | float) and (not isinstance(value, int) or 1 <= value <= MOST_STEPS)


class StyleCLI(TrainingCLI):
    """``fit`` trains and exports a style; ``validate`` computes a checkpoint's loss on the held-out photos.

    Attributes:
        folder: The run folder, once it is known.
        origin: What the training starts from, in words.
        style: Architecture, noise and strength of the style that it starts from; None if that is something else.
        keeper: Keeps the time of ``--minutes``.
        made: Folders that were made for it, the deepest first.
        written: The finished style's files, as far as they are written.
    """

    folder: RunFolder
    origin: str
    style: NetworkConfig | None = None
    keeper: TimeKeeper | None = None
    made: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Leave out ``test`` and ``predict``, which a style has no use for."""
        everything = LightningCLI.subcommands()
        return {name: everything[name] for name in ("fit", "validate")}

    def _parse_ckpt_path(self) -> None:
        # Lightning would read settings from the checkpoint; ours hold none, and a damaged one would end in a traceback.
        pass

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the flags that name a run, and those of the callbacks."""
        parser.add_argument("--name", type=str | None, default=None, help="Name of the style (default: the painting's)")
        parser.add_argument("--runs", type=str, default="runs", help="Folder that run folders are made in")
        parser.add_argument("--license", type=str, default="", help="Terms of use, written into the exported file")
        # The spelling of versions before 0.2, which the config.yaml of their run folders holds.
        parser.add_argument("--licence", type=str | None, default=None, help=argparse.SUPPRESS)
        parser.add_argument("--overwrite", type=bool, default=False, help="Replace an earlier run of the same name")
        minutes = (
            "Time for the whole run in place of --trainer.max_steps: steps are measured and their number is planned; "
            f"most have crops of {EARLY_SIZE} px unless --data.image_size is given"
        )
        parser.add_argument("--minutes", type=float | None, default=None, help=minutes)
        parser.add_lightning_class_args(LossGuard, "guard")
        parser.add_lightning_class_args(Preview, "preview")
        parser.add_lightning_class_args(LatestCheckpoint, "checkpoint")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Complete the configuration, and make sure that the run may write to its folder."""
        config = self.config[self.subcommand]
        former = config.pop("licence", None)
        if former is not None:
            config.license = former
        paintings = config.model.style
        require_named(
            runs=config.runs,
            ckpt_path=config.ckpt_path,
            data__photos=config.data.photos,
            data__val_photos=config.data.val_photos,
            model__style=paintings,
            model__start_from=config.model.start_from,
            model__teacher=config.model.teacher,
            model__perceptual_weights=config.model.perceptual_weights,
        )
        first = paintings if isinstance(paintings, str) else (paintings or [""])[0]
        self.folder = RunFolder.choose(Path(config.runs), config.name or Path(first).stem)
        checkpoint = config.ckpt_path = find_checkpoint(config.ckpt_path, self.folder.checkpoint)
        if self.subcommand == "fit":
            resuming = self.folder.is_resumed(checkpoint)
            self.folder.require_free(overwrite=resuming or config.overwrite)
            read = [config.model.start_from, config.model.teacher, config.model.perceptual_weights]
            read += [paintings] if isinstance(paintings, str) else paintings or []
            self.folder.require_unread(read, [config.data.photos, config.data.val_photos])
            runs = self.folder.path.parent
            self.made = tuple(folder for folder in (runs, *runs.parents) if not folder.exists())
            make_folder(runs, "--runs")
            # After that: in a folder that is absent, no name is too long.
            if self.folder.path.exists() and not self.folder.path.is_dir():
                raise TrainError(f"'{self.folder.path}' is a file, and a folder is needed; choose another --name")
            if config.minutes is not None:
                self._plan_for_time(config)
            # Into config.yaml goes what was chosen, so that it trains the same again whatever start is there by then.
            network = config.model.network.as_dict()
            config.model.start_from, self.origin = choose_origin(config.model.start_from, network, START_FILE)
        elif checkpoint is None:
            config.ckpt_path = self._choose_validated(config.model.start_from)
        self._choose_noise(config, may_differ=self.subcommand != "fit" or checkpoint is not None)
        if config.trainer.precision is None:
            config.trainer.precision = best_precision(str(config.trainer.accelerator))

    def _choose_noise(self, config: Any, may_differ: bool) -> None:
        """Set the noise to that of the style that is started from, unless another is given.

        Raises:
            TrainError: If the network is to learn a strength with another noise, and that may not differ.
        """
        style, network = read_style_network(config.model.start_from), config.model.network
        self.style = style
        if style is None or style.noise == network.noise:
            return
        noise = style.noise
        if not self._is_given("model.network.noise"):
            network.noise = noise
        elif network.strength and not may_differ:
            raise TrainError(
                f"--model.network.strength is true and --model.network.noise {network.noise:g}, but "
                f"'{config.model.start_from}' has a noise of {noise:g}, and strength leaves a style as it is; leave "
                "--model.network.noise out"
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line, and keep it."""
        super().parse_arguments(parser, args)
        self._args = args

    def _is_given(self, name: str) -> bool:
        """Tell whether the command line or one of its files gives a number."""
        parser = self._parser(self.subcommand)
        default = parser.get_default(name)
        if self.config[self.subcommand][name] != default:
            return True
        # Another default shows only where the first one was not given.
        parser.set_defaults({name: default + 1})
        found = self.parser.parse_args(self._args)[str(self.subcommand)][name]
        parser.set_defaults({name: default})
        return bool(found == default)

    def _plan_for_time(self, config: Any) -> None:
        require_positive(MOST_MINUTES, minutes=config.minutes)
        # By its value, because config.yaml holds all defaults.
        if config.trainer.max_steps != TRAINER_DEFAULTS["max_steps"]:
            typed = {word.partition("=")[0] for word in (sys.argv[1:] if self._args is None else self._args)}
            # Stages such as configs/refine.yaml have a length, which a command line may replace by another.
            if "--minutes" not in typed or "--trainer.max_steps" in typed:
                raise TrainError(
                    f"--minutes is {config.minutes:g} and --trainer.max_steps {config.trainer.max_steps}; give one of "
                    "them, on the command line or in a --config file"
                )
            config.trainer.max_steps = TRAINER_DEFAULTS["max_steps"]
        if config.data.early_size is None and not self._is_given("data.image_size"):
            config.data.early_size = EARLY_SIZE
        self.keeper = TimeKeeper(config.minutes)

    def _choose_validated(self, start_from: str | None) -> str | None:
        """Return the run's checkpoint, or None to validate ``start_from``; random weights are refused."""
        latest = self.folder.checkpoint
        if latest.is_file():
            print(f"validating {latest}")
            return str(latest)
        if start_from in {None, RANDOM}:
            raise TrainError(f"'{self.folder.path}' holds no last.ckpt to validate; name a checkpoint with --ckpt_path")
        print(f"validating {start_from}")
        return None

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the trainer write into the run folder."""
        config = self.config[self.subcommand]
        kwargs["default_root_dir"] = str(self.folder.path)
        kwargs["logger"] = RunLogger(self.folder.path, name="", version="tensorboard")
        kwargs["plugins"] = [*(config.trainer.plugins or []), AtomicCheckpointIO()]
        trainer = super().instantiate_trainer(**kwargs)
        if self.keeper is not None:
            trainer.callbacks.insert(0, self.keeper)  # type: ignore[attr-defined]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, LossGuard):
                callback.path = self.folder.metrics
                callback.must_fall = config.model.start_from == RANDOM
            elif isinstance(callback, Preview):
                callback.folder = self.folder.previews
            elif isinstance(callback, LatestCheckpoint):
                callback.path = self.folder.checkpoint
        return trainer

    def before_fit(self) -> None:
        """Read the photos, the painting and the frozen network before anything is written, and announce the run."""
        self.datamodule.setup("fit")
        self.model.prepare()
        trainer, config = self.trainer, self.config[self.subcommand]
        length = f"{trainer.max_steps} steps of {config.data.batch_size} photos at {config.data.image_size} px"
        if self.keeper is not None:
            checkpoint = config.ckpt_path
            with self._explain_misfit(checkpoint):
                self.keeper.begin(trainer, self.model, self.datamodule, checkpoint and read_time(checkpoint))
            length = f"{self.keeper.describe(self.datamodule)}, {config.data.batch_size} photos a step"
        if trainer.is_global_zero:
            compiled = ", compiled (the first step takes a minute)"
            origin = self._describe_origin()
            photos = self.datamodule
            print(
                f"training '{self.folder.path.name}': {length} ({len(photos.training_paths)} photos, "
                f"{len(photos.held_out_paths)} others held out), {trainer.precision} on {trainer.strategy.root_device}"
                f"{compiled if should_compile(config.model.compile, trainer.max_steps) else ''}, {origin}; "
                f"previews in {self.folder.previews}",
                flush=True,
            )

    def _describe_origin(self) -> str:
        """Tell what the training goes on or starts from, and of a style the noise, and whether its strength is lost."""
        checkpoint = self.config[self.subcommand].ckpt_path
        if checkpoint is not None:
            return f"going on from {checkpoint}"
        style, network = self.style, self.model.network.config
        if style is None:
            return self.origin
        noise = f"with its noise of {network.noise:g}"
        if style.noise != network.noise:
            noise = f"with a noise of {network.noise:g} (the style's own is {style.noise:g})"
        return f"{self.origin}, {noise}{' and without its strength' if style.strength and not network.strength else ''}"

    def after_fit(self) -> None:
        """Write the weights, export them, and print where everything is."""
        if self.trainer.global_step == 0:
            raise TrainError("not one step was trained, so nothing was exported; look at the --trainer flags")
        pending = [callback for callback in self._find_callbacks(RunConfigCallback) if not callback.begun]
        if pending:
            # Lightning begins no run that is finished.
            if self.trainer.is_global_zero:
                self._begin_finished(pending)
            if self.model.held_out_loss is None:
                # It is in no checkpoint, because the last one is written before the last validation.
                self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
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
        self.written = (self.folder.weights,)
        form = choose_form(None, None, strength=self.model.network.config.strength)
        report = convert(self.folder.weights, self.folder.onnx, overwrite=True, form=form)
        self.written = (self.folder.weights, self.folder.onnx)
        print(f"weights:  {self.folder.weights}\nexported: {report}\npreviews: {self.folder.previews}")
        print(f"use it:   python -m export.stylize {quote(self.folder.onnx)} photo.jpg --output painted.jpg")

    def _begin_finished(self, pending: list[RunConfigCallback]) -> None:
        """Write configuration and checkpoint of a run that was finished before."""
        for callback in pending:
            callback.on_train_start(self.trainer, self.model)
        given = self.config[self.subcommand].ckpt_path
        if given is not None and Path(given).resolve() != self.folder.checkpoint.resolve():
            write_whole(self.folder.checkpoint, Path(given).read_bytes())
            if not self.folder.is_resumed(given):
                # Of an earlier run in this folder.
                self.folder.metrics.unlink(missing_ok=True)
        for latest in self._find_callbacks(LatestCheckpoint):
            latest.saved_step = self.trainer.global_step

    def describe_stop(self) -> str:
        """Say after Ctrl-C what was written and how to go on."""
        callbacks = self.trainer.callbacks if hasattr(self, "trainer") else []  # type: ignore[attr-defined]
        if not any(isinstance(callback, RunConfigCallback) and callback.begun for callback in callbacks):
            return "stopped before the first step; nothing was written"
        path, total = self.folder.checkpoint, self.trainer.max_steps
        step = next((callback.saved_step for callback in callbacks if isinstance(callback, LatestCheckpoint)), None)
        if self.folder.onnx in self.written:
            return f"stopped after the export; '{self.folder.path}' is complete"
        if self.folder.weights in self.written:
            return (
                f"stopped during the export; '{path}' (step {step} of {total}) and '{self.folder.weights}' are "
                f"written; export with python -m export {quote(self.folder.path)} --output {quote(self.folder.onnx)} "
                "--overwrite"
            )
        if step is None:
            return (
                f"stopped before the first checkpoint; '{self.folder.path}' holds the configuration and the losses so "
                "far, but nothing to go on from; start anew with the same command and --overwrite true"
            )
        return f"stopped; '{path}' holds step {step} of {total}; go on with the same command and --ckpt_path last"

    def remove_empty_folders(self) -> None:
        """Remove the folders that were made for a run that then did not begin."""
        for folder in self.made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


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
    # Created in two steps: the constructor runs the whole command, and describe_stop is called after Ctrl-C in it, too.
    cli = StyleCLI.__new__(StyleCLI)
    callbacks = [PhotoHealth(), StyleProgressBar(refresh_rate=1)]

    def work() -> None:
        try:
            with raise_interrupts(), name_full_disk(lambda: cli.folder.path if hasattr(cli, "folder") else None):
                cli.__init__(  # type: ignore[misc]
                    StyleTraining,
                    PhotoData,
                    args=args,
                    parser_class=StyleArgumentParser,
                    parser_kwargs={
                        "prog": "python -m train",
                        "description": "Train one style, and export it.",
                        "example": "python -m train fit --config configs/wave.yaml --data.photos folder",
                    },
                    trainer_defaults={**TRAINER_DEFAULTS, "callbacks": callbacks},
                    save_config_callback=RunConfigCallback,
                    save_config_kwargs={"save_to_log_dir": False},
                    seed_everything_default=0,
                    auto_configure_optimizers=False,
                )
        finally:
            cli.remove_empty_folders()

    return run_command(work, cli.describe_stop)
