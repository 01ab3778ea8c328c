"""The training of one style, as Lightning sees it (Johnson et al. 2016, section 3)."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from data.photos import PhotoBatch, read_style, to_unit
from models.losses import LossConfig, LossTerms, PerceptualLoss
from models.names import STYLE_SIZE
from models.network import NetworkConfig, StyleNetwork
from models.start import is_start_file, load_start, read_start_config
from models.style_file import load_style
from models.turned_loss import TurnedLoss
from models.vgg import PerceptualName, PerceptualWeightsError, VGGFeatures
from train.errors import TrainError
from train.fit.held_out import HeldOutLosses
from train.fit.optimizer import WeightOptimizer, make_optimizer
from train.fit.origin import RANDOM, describe_files, find_origin_file
from train.fit.run_folder import fingerprint_files
from train.fit.schedule import LEARNING_RATE, one_cycle
from train.fit.step import Transform, choose_orientations, compute_loss
from train.fit.teacher import Teacher, keep_pictures

Choice = Literal["auto", "on", "off"]

TERMS = ("loss", "content", "style", "tv", "grid", "palette", "stability", "emd", "spectrum")
"""Names of ``LossTerms`` in tables and logs."""

OPTIONAL_TERMS = ("stability", "emd")
"""Those that are off unless told."""

TRAINING_TERMS = ("grid", "stability", "spectrum")
"""Those that held-out photos do not have."""

FORMER_OBJECTIVE = {
    "style_norm": "layers",
    "palette_weight": 0.0,
    "stability_weight": 0.0,
    "emd_weight": 0.0,
    "emd_rarity": 0.0,
    "content_focus": 0.0,
    "spectrum_weight": 0.0,
    "teacher": "null",
    "network.noise": 0.0,
    "freeze_deep": False,
    "freeze_inner": False,
}
"""What checkpoints were trained with that do not tell, of that which neither a resumed run nor a validation changes."""

STRENGTH_RATE = 30.0
"""Factor of the learning rate where only the change of the norms with the strength is learned."""

COMPILE_PAYS_AFTER = 200
"""Steps below which compiling, about a minute on two cores, takes longer than it saves."""


class StyleTraining(HeldOutLosses):
    """Train a style network against the features of a frozen perceptual network.

    Args:
        style: Picture of the painting, or several of one style.
        style_size: Pixels that the painting's short side is scaled to; larger means larger strokes.
        perceptual: The frozen network, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` (torchvision's, downloaded once) or a file in torchvision's layout.
        network: Architecture of the style network.
        start_from: What to start from: a trained style or a shared start (``.safetensors``), a kept style by its name,
            or ``none`` for random weights. Unless told, the command starts from ``models/start.safetensors`` where that
            file is there and fits the network. A network with strength starts from a trained style, which stays what it
            is at strength 1: only the change of its norms with the strength is learned.
        teacher: A trained style, as ``start_from`` names one, whose pictures the content term keeps in place of the
            photos, so that this network learns to paint them: a narrow one those of a wide one.
        freeze_deep: Leave the kernels of the deep layers (``StyleNetwork.deep_convolutions``), 97 % of the weights of
            the usual network, as what the training starts from has them: a stage that mends how a finished style
            paints, and not what. With strength no kernel learns anyway.
        freeze_inner: Leave the kernels of all layers but the first and the last as they are
            (``StyleNetwork.inner_convolutions``), 99 % of the weights of the usual network.
        turned: Mirror and turn pictures before the frozen network sees them, in another way at each step; ``auto`` does
            so with vgg_small, whose blind spots a style network would otherwise learn to exploit.
        optimizer: What moves the weights, ``muon`` or ``adam``.
        learning_rate: Peak of the one-cycle schedule.
        compile: Compile the network with ``torch.compile``; ``auto`` does so where it pays.
        seed: Fixes where the noise begins at each step; follows ``--seed_everything``.
        loss: Fields of ``LossConfig``.
    """

    def __init__(
        self,
        style: str | list[str],
        style_size: int | None = STYLE_SIZE,
        perceptual: PerceptualName = "vgg19",
        perceptual_weights: str = "default",
        network: NetworkConfig = NetworkConfig(),  # noqa: B008
        start_from: str | None = None,
        teacher: str | None = None,
        freeze_deep: bool = False,
        freeze_inner: bool = False,
        turned: Choice = "auto",
        optimizer: WeightOptimizer = "muon",
        learning_rate: float = LEARNING_RATE,
        compile: Choice = "auto",
        seed: int = 0,
        **loss: Any,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise TrainError(f"--model.learning_rate is {learning_rate}; it must be above 0")
        if style_size is not None and style_size < 32:
            raise TrainError(f"--model.style_size is {style_size}; it must be at least 32 pixels")
        try:
            self.loss_config = LossConfig(**loss)
        except ValueError as error:
            raise TrainError(f"--model.{error}") from error
        self.paintings = [Path(path) for path in ([style] if isinstance(style, str) else style)]
        if not self.paintings:
            raise TrainError("--model.style is empty; name at least one picture of a painting")
        self._fingerprint = ""
        self.style_size = style_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.compile_mode = compile
        self.seed = seed
        self._perceptual = (perceptual, perceptual_weights)
        self.network = StyleNetwork(network)
        self._shared_start: Path | None = None
        if start_from not in {None, RANDOM}:
            self._start_from(find_origin_file(str(start_from)))
        self.freezes = {"freeze_deep": freeze_deep, "freeze_inner": freeze_inner}
        for name, convolutions in (
            ("freeze_deep", self.network.deep_convolutions),
            ("freeze_inner", self.network.inner_convolutions),
        ):
            if not self.freezes[name]:
                continue
            # Validation of a checkpoint names no start.
            if start_from == RANDOM:
                raise TrainError(
                    f"--model.{name} is true and --model.start_from is {RANDOM}, but random kernels know no "
                    "strokes; name a style or a start file with --model.start_from"
                )
            for convolution in convolutions:
                convolution.requires_grad_(False)
        if network.strength:
            self._learn_strength_alone(start_from)
        if teacher is not None and network.strength:
            raise TrainError("--model.teacher is given and --model.network.strength is true; leave one of them out")
        self._teacher = None if teacher is None else Teacher(teacher)
        self.orientations = choose_orientations(turned, perceptual)
        self.loss: TurnedLoss | None = None
        self.validation_loss: PerceptualLoss | None = None
        # The method and not the module, which would stand in the checkpoint a second time.
        self._transform: Transform = self.network.transform

    def _start_from(self, path: Path) -> None:
        shared = is_start_file(path)
        start = None if shared else load_style(path)[0]
        config = read_start_config(path) if start is None else start.config
        # Noise is no part of the weights: a network that was trained without it is a start, too.
        if config.bare != self.network.config.bare:
            raise TrainError(
                f"'{path}' holds a network of {config.to_dict()}, this run trains "
                f"{self.network.config.to_dict()}; give --model.network the same values"
            )
        if start is None:
            # Its norms are those of the paintings, which are read later, before anything is written.
            self._shared_start = path
        else:
            self.network.start_from(start)

    def _learn_strength_alone(self, start_from: str | None) -> None:
        if start_from in {None, RANDOM} or self._shared_start is not None:
            raise TrainError(
                f"--model.network.strength is true and --model.start_from is {start_from or RANDOM}, but strength is "
                "learned by a finished style; train the style without it, then name it with --model.start_from"
            )
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.endswith(".changes"))

    def prepare(self) -> None:
        """Read the frozen network and the painting, once.

        Raises:
            ImageError: If the painting cannot be read.
            ModelFileError: If the shared start, or the frozen network's weights, are absent, damaged or do not fit.
            TrainError: If the frozen network has no layer of a given name.
        """
        if self.loss is not None:
            return
        paintings = [read_style(path, self.style_size) for path in self.paintings]
        self._fingerprint = fingerprint_files(self.paintings)
        if self._shared_start is not None:
            start, _ = load_start(self._shared_start)
            self.network.load_state_dict(start.make_style(describe_files(self.paintings)).state_dict())
        name, weights = self._perceptual
        try:
            features = VGGFeatures(name, self.loss_config.layers, weights)
        except PerceptualWeightsError as error:
            raise error.with_flag("--model.perceptual_weights") from error
        except ValueError as error:
            raise TrainError(f"--model: {error}") from error
        config = self.loss_config if self._teacher is None else keep_pictures(self.loss_config)
        self.loss = TurnedLoss(features, config, self.orientations)
        # Without the terms of trainings, so that held-out losses stay comparable with those of the slow mode.
        self.validation_loss = PerceptualLoss(features, self.loss_config.without_training_terms())
        self.loss.set_style(paintings)
        self.validation_loss.set_style(paintings)
        # DistributedDataParallel would send the frozen weights from process to process at every step.
        frozen = {"loss": self.loss, "validation_loss": self.validation_loss}
        self._ddp_params_and_buffers_to_ignore = [
            f"{part}.{name}" for part, module in frozen.items() for name, _ in module.named_buffers()
        ] + ["network.noise"]

    def setup(self, stage: str) -> None:
        """Make ready to run; raises what ``prepare`` does."""
        self.prepare()
        self.network.to(memory_format=torch.channels_last)
        if stage == "fit" and should_compile(self.compile_mode, self.trainer.max_steps):
            self.compile_network()

    def compile_network(self) -> None:
        """Compile the network for training, if it is not yet."""
        if self._transform == self.network.transform:
            # Crops have one size or two; code for any size would be slower.
            self._transform = torch.compile(self.network.transform, dynamic=False)
            if self._teacher is not None:
                self._teacher.compile()

    def compute_terms(self, photos: Tensor, step: int) -> LossTerms:
        """Compute what a training step minimizes.

        Args:
            photos: RGB in [0, 1], shape (B, 3, S, S).
            step: Number of the step.

        Returns:
            The terms; ``total`` is differentiable with respect to the network's weights.
        """
        if self.loss is None:
            raise RuntimeError("setup was not called; use a Trainer")
        return compute_loss(self.network, self._transform, self.loss, photos, step, self.seed, self._teacher)

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> dict[str, Tensor]:
        """Compute the loss of a batch; the terms stay on the device until they are written down."""
        terms = self.compute_terms(to_unit(batch.photos), self.global_step)
        named = dict(zip(TERMS, (terms.total.detach(), *terms[1:]), strict=True))
        for name, value in named.items():
            self.log(name, value, prog_bar=is_shown(name, self.loss_config))
        return {"loss": terms.total, "terms": torch.stack(list(named.values()))}

    def validation_step(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Compute the loss of held-out photos, with the network as it will be exported: not compiled."""
        if self.validation_loss is None:
            raise RuntimeError("setup was not called; use a Trainer")
        photos = to_unit(batch.photos).contiguous(memory_format=torch.channels_last)
        terms = self.validation_loss(self.network(photos), self.validation_loss.describe_content(photos))
        for name, value in zip(TERMS, terms, strict=True):
            if name not in TRAINING_TERMS:
                self.log(f"val_{name}", value, batch_size=len(batch.photos), prog_bar=name == "loss", sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One cycle of the optimizer's rate (Smith and Topin 2018), from 1/25 of its peak to nearly 0."""
        # Norms take larger steps than kernels: their scales are about 1.
        rate = self.learning_rate * (STRENGTH_RATE if self.network.config.strength else 1)
        learned = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(self.optimizer, learned, rate)
        schedule = one_cycle(optimizer, rate, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the architecture, and the random state: nothing here draws from it, but a loss of the user's own may."""
        checkpoint["random_state"] = torch.get_rng_state()
        checkpoint["objective"] = self._objective
        checkpoint["style"] = self._fingerprint
        checkpoint["network"] = self.network.config.to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another network, and restore the random state.

        Raises:
            TrainError: If its weights are not those of this network, or were trained on another painting, for another
                loss or noise.
        """
        saved = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
        needed = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        if saved != needed:
            differing = sorted(name for name in saved.keys() | needed.keys() if saved.get(name) != needed.get(name))
            raise TrainError(
                f"the checkpoint holds another network ({differing[0]} has shape {saved.get(differing[0])}, needed "
                f"{needed.get(differing[0])}); resume with the run's own config.yaml, or name another checkpoint"
            )
        trained = {"optimizer": "adam", **FORMER_OBJECTIVE, **checkpoint.get("objective", {})}
        objective = self._objective
        # A validation may have another loss, but for these; and checkpoints of former versions tell less.
        compared = trained if self.trainer.state.fn == TrainerFn.FITTING else FORMER_OBJECTIVE
        differing = sorted(name for name in compared.keys() & objective.keys() if trained[name] != objective[name])
        if differing:
            first, second = (
                " ".join(f"--model.{name} {values[name]}" for name in differing) for values in (trained, objective)
            )
            raise TrainError(f"the checkpoint was trained with {first}, this run has {second}; give the same values")
        # Checkpoints of former versions do not tell.
        painted = checkpoint.get("style", self._fingerprint)
        if self.trainer.state.fn == TrainerFn.FITTING and painted != self._fingerprint:
            raise TrainError(
                f"the checkpoint was trained on other pictures than {' and '.join(map(str, self.paintings))}; give "
                "--model.style those of the run's config.yaml, or start another run from its style (--model.start_from)"
            )
        torch.set_rng_state(checkpoint["random_state"].cpu())

    @property
    def _objective(self) -> dict[str, Any]:
        """What a run must not change when it is resumed."""
        perceptual, _ = self._perceptual
        return {
            **asdict(self.loss_config),
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "perceptual": perceptual,
            "style_size": self.style_size,
            "teacher": "null" if self._teacher is None else self._teacher.style,
            "network.noise": self.network.config.noise,
            **self.freezes,
        }


def is_shown(term: str, config: LossConfig) -> bool:
    """Tell whether a progress bar shows a term of ``TERMS``: those that are off unless told only where they are on."""
    return term not in OPTIONAL_TERMS or getattr(config, f"{term}_weight") > 0


def should_compile(mode: str, steps: int) -> bool:
    """Decide whether to compile.

    Args:
        mode: ``on``, ``off`` or ``auto``: compile where a C++ compiler is at hand and the run is long enough.
        steps: Length of the run.

    Returns:
        True to compile.
    """
    if mode != "auto":
        return mode == "on"
    return steps >= COMPILE_PAYS_AFTER and any(shutil.which(name) for name in ("c++", "g++", "clang++"))
