"""The training of a small perceptual network against a large one, as Lightning sees it.

The small network is trained to give the same losses: a linear map of its activations is to equal the large network's
(Romero et al. 2015), and the distances in the losses, between Gram matrices and between activations, are to have the
same ratios (Park et al. 2019).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from data.photos import PhotoBatch, read_style, to_unit
from models.losses import LossConfig, PerceptualLoss, gram_matrix, relative_distance
from models.names import STYLE_SIZE
from models.network import StyleNetwork
from models.style_file import load_style
from models.vgg import (
    LAYOUTS,
    PerceptualName,
    PerceptualWeightsError,
    VGGFeatures,
    load_perceptual_weights,
    name_layers,
)
from train.distill.pictures import PARTS, PictureMaker
from train.errors import TrainError
from train.fit.checkpoint import require_same
from train.fit.held_out import HeldOutLosses
from train.fit.run_folder import fingerprint_files
from train.fit.schedule import one_cycle

LAYERS = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4"),
    *("relu4_1", "relu4_2", "relu5_1", "relu5_2"),
)
"""Layers that are compared: those of the literature's losses, and some between them."""

LOSS_LAYERS = set(LossConfig().layers)
"""Layers of the default loss, which count double."""


MOST_LEARNING_RATE = 1.0
"""Largest learning rate of Adam; weights are of the order of 0.1."""


class Distillation(HeldOutLosses):
    """Train ``vgg_small`` so that its losses of pictures agree with those of a large network.

    Args:
        paintings: Pictures of paintings; as many styles as there are at hand.
        styles: Trained styles (``.safetensors``), whose pictures are learned from.
        teacher: The large network, vgg19 or vgg16.
        teacher_weights: Its weights: ``default`` (torchvision's, downloaded once) or a file in torchvision's layout.
        painting_size: Short side in pixels that paintings are scaled to.
        image_size: Side of the pictures in pixels; follows ``--data.image_size``.
        start_from: A small network to start from in place of random weights; a narrower one is widened.
        distance_weight: Weight of the distances against the activations.
        learning_rate: Peak of the one-cycle schedule of Adam.
        seed: Fixes the variations; follows ``--seed_everything``.
    """

    def __init__(
        self,
        paintings: list[str],
        styles: list[str] | None = None,
        teacher: PerceptualName = "vgg19",
        teacher_weights: str = "default",
        painting_size: int = STYLE_SIZE,
        image_size: int = 128,
        start_from: str | None = None,
        distance_weight: float = 0.6,
        learning_rate: float = 4e-3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < learning_rate <= MOST_LEARNING_RATE:
            raise TrainError(
                f"--model.learning_rate is {learning_rate}; it must be above 0 and at most {MOST_LEARNING_RATE:g}"
            )
        self.learning_rate, self.distance_weight, self.seed = learning_rate, distance_weight, seed
        pictures = [read_style(path, max(painting_size, image_size)) for path in map(Path, paintings)]
        if not pictures:
            raise TrainError("--model.paintings is empty; name at least one picture of a painting")
        networks = [load_without_strength(Path(style)) for style in styles or []]
        if any(network.config.bare != networks[0].config.bare for network in networks):
            raise TrainError("the networks of --model.styles differ in their architecture; name those of one")
        self.maker = PictureMaker(pictures, networks, image_size)
        self.layers = [layer for layer in LAYERS if layer in name_layers(teacher)]
        try:
            self.teacher = VGGFeatures(teacher, self.layers, teacher_weights)
        except PerceptualWeightsError as error:
            raise error.with_flag("--model.teacher_weights") from error
        try:
            self.student = make_student(self.layers, start_from)
        except PerceptualWeightsError as error:
            raise error.with_flag("--model.start_from") from error
        self.loss = PerceptualLoss(self.student, LossConfig().without_training_terms())
        # What a run must not change when it is resumed.
        self._objective = {
            "paintings": fingerprint_files(map(Path, paintings)),
            "styles": fingerprint_files(map(Path, styles or [])),
            "teacher": teacher,
            "painting_size": painting_size,
            "distance_weight": distance_weight,
            "learning_rate": learning_rate,
        }

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> dict[str, Tensor]:
        """Compare the two networks on photos, their variations, and paintings."""
        terms = self._compare(batch, self.seed + 1 + self.global_step)
        named = {name: terms[name].detach() for name in ("loss", "features", "style", "content")}
        for name, value in named.items():
            self.log(name, value, prog_bar=True)
        return {"loss": terms["loss"], "terms": torch.stack(list(named.values()))}

    def validation_step(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Compare them on held-out photos, varied in the same way every time."""
        # If a photo could not be read, the last batch is not a multiple of 8, which the variations need.
        whole = len(batch.photos) // PARTS * PARTS
        if not whole:
            if batch_idx == 0:
                raise TrainError(
                    f"{len(batch.photos)} held-out photos can be read, {PARTS} are needed; raise --data.held_out"
                )
            return
        batch = batch._replace(photos=batch.photos[:whole])
        for name, value in self._compare(batch, self.seed - 1 - batch_idx).items():
            self.log(f"val_{name}", value, batch_size=whole, sync_dist=True, prog_bar=name == "loss")

    def _compare(self, batch: PhotoBatch, seed: int) -> dict[str, Tensor]:
        photos = to_unit(batch.photos)
        varied = self.maker(photos, self._own_loss, self._gradient, seed)
        count = len(photos)
        everything = torch.cat([varied.photos, varied.varied, varied.paintings])
        pictures = everything.contiguous(memory_format=torch.channels_last)
        aims = [(count + picture, 2 * count + painting) for picture, painting in varied.aims]
        with torch.no_grad():
            large = self.teacher(pictures, self.layers)
        small = self.student(pictures, self.layers)
        parts: dict[str, list[Tensor]] = {"features": [], "style": [], "content": []}
        # From the seed and not the global random state, which validations and data loaders draw from, too.
        drawn = torch.Generator().manual_seed(seed)
        for layer in self.layers:
            share = 2.0 if layer in LOSS_LAYERS else 1.0
            parts["features"].append(share * unexplained_share(small[layer], large[layer], drawn))
            all_pairs, aimed = zip(
                *(_gram_distances(features[layer], aims) for features in (small, large)), strict=True
            )
            # The distances that pupils and optimized pictures minimize count as much as all other pairs together.
            parts["style"].append(share * (_log_error(*all_pairs) + _log_error(*aimed)) / 2)
            distances = [
                relative_distance(features[layer][count : 2 * count], features[layer][:count])
                for features in (small, large)
            ]
            parts["content"].append(share * _log_error(*distances))
        total = sum(2.0 if layer in LOSS_LAYERS else 1.0 for layer in self.layers)
        terms = {name: torch.stack(values).sum() / total for name, values in parts.items()}
        terms["loss"] = terms["features"] + self.distance_weight * (terms["style"] + terms["content"])
        return terms

    def _own_loss(self, pictures: Tensor, photos: Tensor, painting: Tensor) -> Tensor:
        """Return the small network's own loss."""
        self.loss.set_style([painting])
        return self.loss(pictures, self.loss.describe_content(photos)).total  # type: ignore[no-any-return]

    def _gradient(self, pictures: Tensor, photos: Tensor, paintings: Tensor) -> Tensor:
        """Return the gradient of the small network's own loss, each picture towards its own painting."""
        found = []
        for picture, photo, painting in zip(pictures, photos, paintings, strict=True):
            total = self._own_loss(picture[None], photo[None], painting[None])
            found.append(torch.autograd.grad(total, picture)[0])
        return torch.stack(found)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with one cycle of the learning rate."""
        optimizer = torch.optim.Adam(self.student.parameters(), lr=self.learning_rate)
        schedule = one_cycle(optimizer, self.learning_rate, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the random state, which marks the checkpoints of this project, the objective and the pupils."""
        checkpoint["random_state"] = torch.get_rng_state()
        checkpoint["objective"] = self._objective
        checkpoint["pupils"] = self.maker.save_pupils()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another distillation, and restore the random state and the pupils.

        Raises:
            TrainError: If it was made with other paintings, styles or settings of the loss.
        """
        # Checkpoints of versions up to 0.2.0 do not tell, and have no pupils: new ones begin.
        require_same(checkpoint.get("objective", {}), self._objective, {}, "config.yaml, paintings and styles")
        torch.set_rng_state(checkpoint["random_state"].cpu())
        self.maker.restore_pupils(checkpoint.get("pupils", {}))


def load_without_strength(path: Path) -> StyleNetwork:
    """Read a style as the network that it is at strength 1; raises what ``load_style`` does."""
    style, _ = load_style(path)
    if not style.config.strength:
        return style
    network = StyleNetwork(replace(style.config, strength=False))
    network.start_from(style)
    return network


def export_state(student: VGGFeatures) -> dict[str, Tensor]:
    """Return a small network in torchvision's layout, under its names."""
    names = name_layers("vgg_small")
    state = {}
    for name, value in student.named_parameters():
        layer, kind = name.rsplit("_", 1)
        state[f"features.{names.index(layer)}.{kind}"] = value.detach().cpu().contiguous()
    return state


def make_student(layers: list[str], start_from: str | None = None) -> VGGFeatures:
    """Build ``vgg_small`` with trainable weights, at random (He et al. 2015) or from a file.

    A narrower network is widened (after Chen et al. 2016, Net2Net): its channels keep their values, because their
    weights to the new channels are 0, and the new channels start at random. Of a wider network the first channels are
    taken.
    """
    earlier = load_perceptual_weights("vgg_small", start_from) if start_from else {}
    state: dict[str, Tensor] = {}
    inputs = 3
    names = name_layers("vgg_small")
    widths = iter(entry for entry in LAYOUTS["vgg_small"] if isinstance(entry, int))
    for index, name in enumerate(names):
        if name.startswith("conv"):
            outputs = next(widths)
            kernel, bias = nn.init.kaiming_normal_(torch.empty(outputs, inputs, 3, 3)), torch.zeros(outputs)
            known = earlier.get(f"features.{index}.weight")
            if known is not None:
                kept = known[:outputs, :inputs].float()
                kernel[: len(kept)] = 0
                kernel[: kept.shape[0], : kept.shape[1]] = kept
                bias[: len(kept)] = earlier[f"features.{index}.bias"][:outputs].float()
            state[f"features.{index}.weight"], state[f"features.{index}.bias"] = kernel, bias
            inputs = outputs
    student = VGGFeatures("vgg_small", layers, state)
    for name, buffer in list(student.named_buffers()):
        if name.startswith("conv"):
            delattr(student, name)
            student.register_parameter(name, nn.Parameter(buffer))
    return student


POSITIONS = 4096
"""Positions of a batch that a linear map is fitted to: 36 times the largest number of channels."""


def unexplained_share(small: Tensor, large: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the share of the large network's energy that the best linear map of the small one's activations misses.

    The map is the least-squares solution for the batch, so that nothing but the network is learned; as it is optimal,
    the share's gradient does not depend on how the map changes.

    Args:
        small: Shape (B, K, H, W).
        large: Shape (B, C, H, W).
        generator: On the CPU, of the positions; torch's own if None.

    Returns:
        A scalar in [0, 1]; 0 if some linear map makes one the other.
    """
    with torch.autocast(small.device.type, enabled=False):
        positions = small.numel() // small.shape[1]
        chosen = torch.randint(positions, (POSITIONS,), generator=generator).to(small.device)
        rows, target = (values.permute(0, 2, 3, 1).flatten(0, 2)[chosen].float() for values in (small, large))
        rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
        with torch.no_grad():
            products = rows.T @ rows
            ridge = 1e-4 * products.diagonal().mean() * torch.eye(len(products), device=rows.device)
            fitted = torch.linalg.solve(products + ridge, rows.T @ target)
        missed: Tensor = (rows @ fitted - target).square().sum()
        share: Tensor = missed / target.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
        return share


def _gram_distances(features: Tensor, aims: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Return the relative distances of Gram matrices: of each picture to each other, and of pictures to their aims.

    Args:
        features: Shape (B, C, H, W).
        aims: Pairs of positions in the batch, picture and target.

    Returns:
        Shapes (B (B - 1),) and (len(aims),).
    """
    grams = gram_matrix(features).flatten(1)
    with torch.autocast(grams.device.type, enabled=False):
        products = grams @ grams.T
    energy = products.diagonal()
    squared = (energy[:, None] + energy - 2 * products) / energy.clamp_min(torch.finfo(torch.float32).tiny)
    # Where rounding leaves less than nothing, the distance has no gradient.
    distances = squared.clamp_min(1e-4).sqrt()
    others = ~torch.eye(len(grams), dtype=torch.bool, device=grams.device)
    pictures, targets = torch.tensor(aims, device=grams.device).unbind(1)
    return distances[others], distances[pictures, targets]


def _log_error(small: Tensor, large: Tensor) -> Tensor:
    """Compare distances by their ratio, because they span orders of magnitude; the smallest do not matter."""
    return (torch.log(small + 0.02) - torch.log(large + 0.02)).square().mean()
