"""The training of one style, as Lightning sees it (Johnson et al. 2016, section 3)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from data.photos import PhotoBatch, read_style, to_unit
from models.losses import CONTENT_LAYERS, GRID_BALANCE, STYLE_LAYERS, LossTerms, grid_energy
from models.network import STRIDE, NetworkConfig, StyleNetwork
from models.style_file import load_style
from models.turned_loss import SIDES, TurnedLoss
from models.vgg import PerceptualName, PerceptualWeightsError, VGGFeatures
from train.errors import TrainError
from train.fit.schedule import one_cycle

Choice = Literal["auto", "on", "off"]

LEARNING_RATE = 1e-3
"""Peak of the learning rate unless told (Johnson et al. 2016, section 4.1).

With 2e-3 the held-out loss came out 2 to 5 % higher for three paintings (200 steps of 4 at 128 px), for one of them
12 % at 256 px (some 330 steps), and 10 % with vgg_small.
"""

COMPILE_PAYS_AFTER = 200
"""Steps below which compiling, about a minute on two cores, takes longer than it saves."""


class StyleTraining(pl.LightningModule):
    """Train a style network against the features of a frozen perceptual network.

    Args:
        style: Picture of the painting, or several of one style.
        style_size: Short side in pixels at which the painting is looked at; larger means larger strokes.
        style_weight: Strength of the style; 0.5 is half as strong.
        content_weight: How much of the photo is kept.
        tv_weight: Smoothness: total variation; 0 switches it off.
        grid_weight: How strongly the network is kept from repeating a pattern in each of its cells of 4 x 4 pixels
            (checkerboard); 0 switches it off. Only trainings have this term: validation and comparison judge without.
        content_layers: Layers that hold the photo's content, each with its share.
        style_layers: Layers that hold the style, each with its share.
        perceptual: The frozen network, vgg19, vgg16 or vgg_small.
        perceptual_weights: Its weights: ``default`` (torchvision's, downloaded once) or a file in torchvision's layout.
        network: Architecture of the style network.
        start_from: A trained style (``.safetensors``) to start from in place of random weights.
        turned: Judge pictures mirrored and turned, another way at each step; ``auto`` does so with vgg_small, whose
            blind spots a network would else learn to use.
        learning_rate: Peak of Adam's one-cycle schedule.
        compile: Compile the network with ``torch.compile``; ``auto`` does so where it pays.
    """

    def __init__(
        self,
        style: str | list[str],
        style_size: int | None = 384,
        style_weight: float = 1.0,
        content_weight: float = 1.0,
        tv_weight: float = 1.0,
        grid_weight: float = 1.0,
        content_layers: dict[str, float] = CONTENT_LAYERS,
        style_layers: dict[str, float] = STYLE_LAYERS,
        perceptual: PerceptualName = "vgg19",
        perceptual_weights: str = "default",
        network: NetworkConfig = NetworkConfig(),  # noqa: B008
        start_from: str | None = None,
        turned: Choice = "auto",
        learning_rate: float = LEARNING_RATE,
        compile: Choice = "auto",
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise TrainError(f"--model.learning_rate is {learning_rate}; it must be above 0")
        if style_size is not None and style_size < 32:
            raise TrainError(f"--model.style_size is {style_size}; it must be at least 32 pixels")
        if not grid_weight >= 0:
            raise TrainError(f"--model.grid_weight is {grid_weight}; it must be 0 or more")
        self.grid_weight = grid_weight
        self.paintings = [Path(path) for path in ([style] if isinstance(style, str) else style)]
        if not self.paintings:
            raise TrainError("--model.style is empty; name at least one picture of a painting")
        self.style_size = style_size
        self.learning_rate = learning_rate
        self.compile_mode = compile
        self._loss_settings: dict[str, Any] = {
            "content_layers": content_layers,
            "style_layers": style_layers,
            "content_weight": content_weight,
            "style_weight": style_weight,
            "tv_weight": tv_weight,
        }
        self._perceptual = (perceptual, perceptual_weights)
        self.network = StyleNetwork(network)
        if start_from is not None:
            self._start_from(Path(start_from))
        self.sides = choose_sides(turned, perceptual)
        self.loss: TurnedLoss | None = None
        # The method and not the module, which would stand in the checkpoint a second time.
        self._stylize: Callable[[Tensor], Tensor] = self.network.forward
        self._validated: tuple[int, float] | None = None

    def _start_from(self, path: Path) -> None:
        start, _ = load_style(path)
        if start.config != self.network.config:
            raise TrainError(
                f"'{path}' holds a network of {start.config.to_dict()}, this run trains "
                f"{self.network.config.to_dict()}; give --model.network the same values"
            )
        self.network.load_state_dict(start.state_dict())

    def prepare(self) -> None:
        """Read the frozen network and the painting, once.

        Raises:
            ImageError: If the painting cannot be read.
            PerceptualWeightsError: If the frozen network's weights are absent or do not fit.
            TrainError: If a layer is unknown or a weight is negative.
        """
        if self.loss is not None:
            return
        paintings = [read_style(path, self.style_size) for path in self.paintings]
        name, weights = self._perceptual
        layers = [*self._loss_settings["content_layers"], *self._loss_settings["style_layers"]]
        try:
            self.loss = TurnedLoss(VGGFeatures(name, layers, weights), self._loss_settings, self.sides)
        except PerceptualWeightsError as error:
            raise error.with_flag("--model.perceptual_weights") from error
        except ValueError as error:
            raise TrainError(f"--model: {error}") from error
        self.loss.set_style(paintings)
        # DistributedDataParallel would send the frozen weights from process to process at every step.
        self._ddp_params_and_buffers_to_ignore = [f"loss.{name}" for name, _ in self.loss.named_buffers()]

    def setup(self, stage: str) -> None:
        """Make ready to run; raises what ``prepare`` does."""
        self.prepare()
        self.network.to(memory_format=torch.channels_last)
        if stage == "fit" and should_compile(self.compile_mode, self.trainer.max_steps):
            self._stylize = torch.compile(self.network.forward)

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> dict[str, Tensor]:
        """Stylize a batch and judge it; the losses stay on the device until somebody looks."""
        terms, pictures = self._judge(batch, self._stylize, self.global_step)
        grid = grid_energy(pictures, STRIDE).mean()
        total = terms.total + GRID_BALANCE * self.grid_weight * grid
        named = {
            "loss": total.detach(),
            "content": terms.content,
            "style": terms.style,
            "tv": terms.total_variation,
            "grid": grid.detach(),
        }
        for name, value in named.items():
            self.log(name, value, prog_bar=True)
        return {"loss": total, "terms": torch.stack(list(named.values()))}

    def validation_step(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Judge held-out photos, with the network as it will be exported: not compiled."""
        terms, _ = self._judge(batch, self.network, 0)
        for name, value in zip(("loss", "content", "style", "tv"), terms, strict=True):
            self.log(f"val_{name}", value, batch_size=len(batch.photos), prog_bar=name == "loss", sync_dist=True)

    def on_validation_end(self) -> None:
        """Remember what the held-out photos said, and after which step."""
        self._validated = self.trainer.global_step, float(self.trainer.callback_metrics["val_loss"])

    @property
    def held_out_loss(self) -> float | None:
        """Loss of the network as it is now on held-out photos; None if it was trained since they were looked at."""
        step, loss = self._validated or (-1, 0.0)
        return float(f"{loss:.6g}") if step == self.trainer.global_step else None

    def _judge(self, batch: PhotoBatch, stylize: Callable[[Tensor], Tensor], step: int) -> tuple[LossTerms, Tensor]:
        if self.loss is None:
            raise RuntimeError("setup was not called; use a Trainer")
        photos = to_unit(batch.photos).contiguous(memory_format=torch.channels_last)
        pictures = stylize(photos)
        return self.loss(pictures, photos, step), pictures

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with one cycle of the learning rate (Smith and Topin 2018), from 1/25 of its peak to nearly 0."""
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)
        schedule = one_cycle(optimizer, self.learning_rate, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the random state, though nothing here draws from it: a loss of the user's own may."""
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the random state."""
        torch.set_rng_state(checkpoint["random_state"].cpu())


def choose_sides(turned: Choice, perceptual: PerceptualName) -> int:
    """Return from how many sides pictures are judged: ``auto`` means all of them with the small network, else one."""
    return SIDES if turned == "on" or (turned == "auto" and perceptual == "vgg_small") else 1


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
