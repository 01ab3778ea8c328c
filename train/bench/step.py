"""The optimization step outside Lightning, in both ways: as the trainer takes it, and as the reference does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models.vgg import make_layers

from models.losses import CONTENT_LAYERS, GRID_BALANCE, STYLE_LAYERS, grid_energy
from models.network import STRIDE, StyleNetwork
from models.turned_loss import TurnedLoss
from models.vgg import LAYOUTS, PerceptualName, VGGFeatures, load_perceptual_weights
from train.bench.reference import ReferenceLoss, ReferenceNetwork
from train.compute.memory import keep_freed_memory
from train.compute.precision import autocast, best_precision
from train.fit.module import LEARNING_RATE, choose_sides
from train.fit.schedule import one_cycle

Step = Callable[[Tensor], Tensor]


def random_weights(path: Path) -> Path:
    """Write random VGG-19 weights: a step takes the same time whatever they are."""
    layers = make_layers(list(LAYOUTS["vgg19"]))
    torch.save({f"features.{name}": value for name, value in layers.state_dict().items()}, path)
    return path


def build_step(
    kind: str,
    weights: str,
    size: int,
    steps: int,
    seed: int = 0,
    *,
    precision: str | None = None,
    compiled: bool = True,
    painting: Tensor | None = None,
    perceptual: PerceptualName = "vgg19",
) -> tuple[Step, torch.nn.Module]:
    """Build a whole optimization step.

    Args:
        kind: ``reference`` (float32, contiguous, eager) or ``ours`` (as ``python -m train fit`` does it).
        weights: Weights of the frozen network, ``default`` or a file.
        size: Side of the pictures in pixels.
        steps: Length of the learning-rate cycle.
        seed: Of the network's first weights, the same for both kinds.
        precision: Of ours; the best that the hardware has unless told.
        compiled: Compile ours.
        painting: What ours is to look like, RGB in [0, 1], shape (1, 3, H, W); a made-up one unless told.
        perceptual: The frozen network of ours.

    Returns:
        A function from photos, shape (B, 3, S, S) in [0, 1], to the loss, and the network that it trains.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    network = StyleNetwork()
    if kind == "reference":
        reference = ReferenceNetwork()
        reference.load_from(network)
        trained: torch.nn.Module = reference.to(device)
        judge = build_reference_loss(weights, size).to(device)

        def compute(photos: Tensor) -> Tensor:
            return judge(trained(photos), photos)  # type: ignore[no-any-return]
    else:
        keep_freed_memory()
        features = VGGFeatures(perceptual, [*CONTENT_LAYERS, *STYLE_LAYERS], weights)
        settings = {"content_layers": CONTENT_LAYERS, "style_layers": STYLE_LAYERS}
        loss = TurnedLoss(features, settings, choose_sides("auto", perceptual))
        loss.set_style([made_up_painting(size) if painting is None else painting])
        loss.to(device)
        trained = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        stylize = torch.compile(trained.forward) if compiled else trained.forward
        chosen = precision or best_precision()

        def compute(photos: Tensor) -> Tensor:
            photos = photos.contiguous(memory_format=torch.channels_last)
            with autocast(chosen, device):
                pictures = stylize(photos)
                total: Tensor = loss(pictures, photos, schedule.last_epoch).total
                return total + GRID_BALANCE * grid_energy(pictures, STRIDE).mean()

    optimizer = torch.optim.Adam(trained.parameters(), lr=LEARNING_RATE)
    schedule = one_cycle(optimizer, LEARNING_RATE, steps)

    def step(photos: Tensor) -> Tensor:
        optimizer.zero_grad()
        total = compute(photos.to(device))
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        return total.detach()

    return step, trained


def made_up_painting(size: int) -> Tensor:
    """Return soft colored blotches, shape (1, 3, S, S) in [0, 1]: a style of our own, the same for both steps."""
    noise = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)


def build_reference_loss(weights: str, size: int) -> ReferenceLoss:
    """Build the reference's loss towards the made-up painting."""
    state = load_perceptual_weights("vgg19", weights)
    return ReferenceLoss(state, made_up_painting(size), next(iter(CONTENT_LAYERS)), list(STYLE_LAYERS))
