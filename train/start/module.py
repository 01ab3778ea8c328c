"""The training of the shared start, as Lightning sees it: each step takes other paintings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from tqdm import tqdm

from data.photos import PhotoBatch, to_unit
from models.losses import LossConfig
from models.names import STYLE_SIZE
from models.network import NetworkConfig
from models.noise import draw_offset
from models.start import (
    ARCHITECTURE,
    STATISTICS_LAYERS,
    STATISTICS_SIZE,
    StartNetwork,
    count_statistics,
    describe_painting,
)
from models.style_file import load_style
from models.vgg import PerceptualName, PerceptualWeightsError, VGGFeatures
from train.errors import TrainError, require_at_least
from train.fit.checkpoint import require_same
from train.fit.held_out import HeldOutLosses
from train.fit.module import TERMS, TRAINING_TERMS, Choice, is_shown, should_compile
from train.fit.origin import RANDOM, find_origin_file
from train.fit.schedule import LEARNING_RATE, one_cycle
from train.fit.step import add_stability, choose_orientations
from train.start.paintings import Painting, draw_paintings, split_paintings
from train.start.targets import PaintingsLoss

VALIDATED = 4
"""Number of held-out paintings on which the loss is validated, those that come first."""


class StartTraining(HeldOutLosses):
    """Train one style network on many paintings, and the predictor of its norms.

    Args:
        paintings: Folder of pictures of paintings.
        held_out_paintings: How many are not trained on, or a list of their names.
        paintings_per_step: Number of paintings that the photos of a step are shared out over.
        variants: Number of further styles made of each painting: crops of it, mirrored or not, in other hues.
        style_size: Pixels that a painting's short side is scaled to for the loss.
        perceptual: The frozen network of the loss, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` (torchvision's, downloaded once) or a file in torchvision's layout.
        network: Architecture of the style network.
        start_from: A trained style to start from, a kept one by its name or a file; ``none`` for random weights.
        turned: Mirror and turn pictures before the frozen network sees them, in another way at each step; ``auto`` does
            so with vgg_small.
        learning_rate: Peak of Adam's one-cycle schedule.
        compile: Compile the network with ``torch.compile``; ``auto`` does so where it pays.
        seed: Fixes the variants, the order of the paintings and where the noise begins at each step; follows
            ``--seed_everything``.
        loss: Fields of ``LossConfig``.
    """

    def __init__(
        self,
        paintings: str = "paintings",
        held_out_paintings: int | list[str] = 15,
        paintings_per_step: int = 4,
        variants: int = 0,
        style_size: int | None = STYLE_SIZE,
        perceptual: PerceptualName = "vgg19",
        perceptual_weights: str = "default",
        network: NetworkConfig = NetworkConfig(),  # noqa: B008
        start_from: str = "wave",
        turned: Choice = "auto",
        learning_rate: float = LEARNING_RATE,
        compile: Choice = "auto",
        seed: int = 0,
        **loss: Any,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise TrainError(f"--model.learning_rate is {learning_rate}; it must be above 0")
        require_at_least(1, model__paintings_per_step=paintings_per_step)
        require_at_least(0, model__variants=variants)
        if style_size is not None:
            require_at_least(32, model__style_size=style_size)
        try:
            self.loss_config = LossConfig(**loss)
        except ValueError as error:
            raise TrainError(f"--model.{error}") from error
        if network.strength:
            raise TrainError(
                "--model.network.strength is true, but strength is learned by a finished style, with python -m train "
                "fit; leave it out"
            )
        self.paintings_per_step, self.style_size, self.seed = paintings_per_step, style_size, seed
        self.learning_rate, self.compile_mode = learning_rate, compile
        self._perceptual = (perceptual, perceptual_weights)
        training, held_out = split_paintings(Path(paintings), held_out_paintings)
        self.training_paintings = [Painting(path, number, seed) for path in training for number in range(variants + 1)]
        self.held_out_paintings = [Painting(path) for path in held_out]
        self.start = StartNetwork(count_statistics(), network)
        if start_from != RANDOM:
            self._start_from(find_origin_file(start_from))
        self.orientations = choose_orientations(turned, perceptual)
        self.loss: PaintingsLoss | None = None
        self.validation_loss: PaintingsLoss | None = None
        self.descriptions = torch.empty(0)
        self.held_out_descriptions = torch.empty(0)
        # The method and not the module, which would stand in the checkpoint a second time.
        self._stylize: Callable[[Tensor, Tensor, bool], Tensor] = self.start.forward

    def _start_from(self, path: Path) -> None:
        style, _ = load_style(path)
        own, needed = style.config.to_dict(), self.start.network.config.to_dict()
        for name in ARCHITECTURE:
            if own[name] != needed[name]:
                raise TrainError(
                    f"'{path}' has {name} {own[name]}, this network {needed[name]}; set --model.network.{name} to "
                    f"{own[name]}, or --model.start_from {RANDOM}"
                )
        self.start.network.start_from(style)

    def prepare(self, device: torch.device) -> None:
        """Read the frozen network and all paintings, once.

        Args:
            device: Where the training computes, and the paintings' targets are kept.

        Raises:
            ImageError: If a painting cannot be read.
            PerceptualWeightsError: If the frozen network's weights are absent or do not fit.
            TrainError: If the frozen network has no layer of a given name.
        """
        if self.loss is not None:
            return
        name, weights = self._perceptual
        try:
            features = VGGFeatures(name, self.loss_config.layers, weights)
        except PerceptualWeightsError as error:
            raise error.with_flag("--model.perceptual_weights") from error
        except ValueError as error:
            raise TrainError(f"--model: {error}") from error
        loss = PaintingsLoss(features, self.loss_config, self.orientations).to(device)
        # Without the terms of trainings, so that held-out losses stay comparable with those of other commands.
        validation = PaintingsLoss(features, self.loss_config.without_training_terms()).to(device)
        describer = VGGFeatures("vgg_small", STATISTICS_LAYERS)
        # Closed on an error or Ctrl-C, too, so that the sentence about it has a line of its own.
        with tqdm(self.training_paintings, desc="paintings", unit="painting", disable=None, leave=False) as read:
            self.descriptions = self._read(read, loss, describer, device)
        self.start.predictor.standardize(self.descriptions)
        self.held_out_descriptions = self._read(self._choose_validated(), validation, describer, device)
        self.loss, self.validation_loss = loss, validation
        # DistributedDataParallel would send the frozen weights from process to process at every step.
        frozen = {"loss": loss, "validation_loss": validation}
        self._ddp_params_and_buffers_to_ignore = [
            f"{part}.{name}" for part, module in frozen.items() for name, _ in module.named_buffers()
        ] + ["start.network.noise"]

    def _choose_validated(self) -> list[Painting]:
        """Return the paintings to validate on and to show: held-out ones, or where there are none, others."""
        return (self.held_out_paintings or self.training_paintings)[:VALIDATED]

    def _read(self, paintings: Any, loss: PaintingsLoss, describer: VGGFeatures, device: torch.device) -> Tensor:
        found = []
        for painting in paintings:
            # On the CPU and in float32, so that a description does not depend on the machine.
            found.append(describe_painting(describer, painting.read(STATISTICS_SIZE)))
            loss.add(painting.read(self.style_size).to(device))
        return torch.stack(found)

    def setup(self, stage: str) -> None:
        """Make ready to run; raises what ``prepare`` does."""
        self.prepare(self.trainer.strategy.root_device)
        self.start.to(memory_format=torch.channels_last)
        if stage == "fit" and should_compile(self.compile_mode, self.trainer.max_steps):
            self._stylize = torch.compile(self.start.forward, dynamic=False)

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> dict[str, Tensor]:
        """Compute the loss of a batch, photos against the paintings whose turn it is."""
        if self.loss is None:
            raise RuntimeError("setup was not called; use a Trainer")
        trainer = self.trainer
        turn = self.global_step * trainer.world_size + trainer.global_rank
        chosen = draw_paintings(self.seed, turn, self.paintings_per_step, len(self.training_paintings))
        photos = to_unit(batch.photos).contiguous(memory_format=torch.channels_last)
        descriptions = self.descriptions[chosen].repeat_interleave(len(photos) // len(chosen), 0)
        descriptions = descriptions.to(photos.device)

        def stylize(noisy: Tensor) -> Tensor:
            return self._stylize(noisy, descriptions, True)

        # Outside of what is compiled: the noise begins elsewhere at each step.
        noisy = self.start.network.add_noise(photos, draw_offset(self.seed, self.global_step))
        pictures = stylize(noisy)
        terms = self.loss(pictures, photos, chosen, self.global_step)
        weight = self.loss_config.stability_weight
        terms = add_stability(terms, weight, stylize, noisy, pictures, self.global_step, self.seed)
        named = dict(zip(TERMS, (terms.total.detach(), *terms[1:]), strict=True))
        for name, value in named.items():
            self.log(name, value, prog_bar=is_shown(name, self.loss_config))
        return {"loss": terms.total, "terms": torch.stack(list(named.values()))}

    def validation_step(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Compute the loss of held-out photos, averaged over some held-out paintings."""
        if self.validation_loss is None:
            raise RuntimeError("setup was not called; use a Trainer")
        photos = to_unit(batch.photos).contiguous(memory_format=torch.channels_last)
        for index, description in enumerate(self.held_out_descriptions.to(photos.device)):
            terms = self.validation_loss(self.start(photos, description[None]), photos, [index])
            for name, value in zip(TERMS, terms, strict=True):
                if name not in TRAINING_TERMS:
                    weight = len(photos)
                    self.log(f"val_{name}", value, batch_size=weight, prog_bar=name == "loss", sync_dist=True)

    @torch.no_grad()
    def paint(self, photos: Tensor) -> list[tuple[Painting, Tensor]]:
        """Repaint photos, shape (B, 3, H, W) in [0, 1], after some held-out paintings; pictures are in [0, 1]."""
        found = []
        for painting, description in zip(self._choose_validated(), self.held_out_descriptions, strict=True):
            # One by one and not compiled: a batch of another size must not make the training step compile anew.
            pictures = [self.start(photo[None].to(self.device), description[None].to(self.device)) for photo in photos]
            found.append((painting, torch.cat(pictures).clamp(0, 1).cpu()))
        return found

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with one cycle of the learning rate."""
        optimizer = torch.optim.Adam(self.start.parameters(), lr=self.learning_rate)
        schedule = one_cycle(optimizer, self.learning_rate, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _plan(self) -> dict[str, Any]:
        names = "\0".join(painting.name for painting in self.training_paintings)
        perceptual, _ = self._perceptual
        return {
            **asdict(self.loss_config),
            "paintings": hashlib.blake2b(names.encode(), digest_size=8).hexdigest(),
            "paintings_per_step": self.paintings_per_step,
            "style_size": self.style_size,
            "network.noise": self.start.network.config.noise,
            "perceptual": perceptual,
            "learning_rate": self.learning_rate,
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the random state, and what a resumed training must have in common with this one."""
        checkpoint["random_state"] = torch.get_rng_state()
        checkpoint["paintings"] = self._plan()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another training, and restore the random state.

        Raises:
            TrainError: If its weights, its paintings or its loss are not those of this training.
        """
        saved = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
        needed = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        if saved != needed or "paintings" not in checkpoint:
            raise TrainError(
                "the checkpoint holds another network; resume with the run's own config.yaml, or name another one"
            )
        # Checkpoints from before there was noise or a spectrum term do not say so, and those of versions up to 0.2.0
        # tell nothing else of the loss.
        trained = {"network.noise": 0.0, "spectrum_weight": 0.0, **checkpoint["paintings"]}
        require_same(trained, self._plan(), {"paintings": "list of paintings"}, "config.yaml and paintings")
        torch.set_rng_state(checkpoint["random_state"].cpu())
