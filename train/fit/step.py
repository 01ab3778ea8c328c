"""The training step: how its loss is computed, and the whole step outside of Lightning, to be timed and examined."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.losses import PHOTO_BALANCE, LossConfig, LossTerms, relative_error, stability_distance
from models.motion import draw_motion
from models.network import StyleNetwork
from models.noise import draw_offset
from models.strength import as_strength, blend_photo, draw_strength, style_share
from models.turned_loss import ORIENTATIONS, TurnedLoss
from models.vgg import PerceptualName, VGGFeatures
from train.compute.device import choose_device
from train.compute.memory import keep_freed_memory
from train.compute.precision import autocast, best_precision
from train.fit.optimizer import WeightOptimizer, make_optimizer
from train.fit.schedule import LEARNING_RATE, one_cycle
from train.fit.teacher import Teacher

Transform = Callable[..., Tensor]
"""A style network's ``transform``: from photos with their noise, and a strength if it has one, to pictures."""

Step = Callable[[Tensor], Tensor]
"""From photos, shape (B, 3, S, S) in [0, 1], to the loss before the step, a scalar without gradient."""


def compute_loss(
    network: StyleNetwork,
    transform: Transform,
    loss: TurnedLoss,
    photos: Tensor,
    step: int,
    seed: int,
    teacher: Teacher | None = None,
) -> LossTerms:
    """Stylize photos and compute their loss: what the trainer does at each step, and what the bench times.

    Args:
        network: The style network, whose noise is added. One with strength paints at another strength at each step.
        transform: Its ``transform``, compiled or not. The noise stays outside: it begins elsewhere at each step.
        loss: With its style set.
        photos: RGB in [0, 1], shape (B, 3, S, S).
        step: Number of the training step.
        seed: Of the training.
        teacher: A trained network whose pictures are what the content term keeps, in place of the photos.

    Returns:
        The terms; ``total`` is differentiable with respect to the network's weights.
    """
    photos = photos.contiguous(memory_format=torch.channels_last)
    offset = draw_offset(seed, step)
    noisy = network.add_noise(photos, offset)
    if network.config.strength:
        strength = draw_strength(seed, step)
        # A tensor, because code that is compiled for a number would be compiled anew at each step.
        chosen = as_strength(strength, photos)
        transform = functools.partial(transform, strength=chosen)
        pictures = transform(noisy)
        shown = blend_photo(pictures, photos, chosen)
        away = max(0, 1 - strength) * relative_error(shown, photos).mean()
        terms: LossTerms = loss(shown, photos, step, style_share(strength))
        terms = terms._replace(total=terms.total + PHOTO_BALANCE * away)
    else:
        pictures = transform(noisy)
        terms = loss(pictures, photos if teacher is None else teacher.paint(photos, offset), step)
    return add_stability(terms, loss.config.stability_weight, transform, noisy, pictures, step, seed)


def add_stability(
    terms: LossTerms,
    weight: float,
    transform: Transform,
    noisy: Tensor,
    pictures: Tensor,
    step: int,
    seed: int,
) -> LossTerms:
    """Add the stability term: the picture of a moved photo is to be the moved picture of the photo.

    The network's own noise moves with the photo here. In a video it does not: each frame has the same, from its corner
    on. But where a photo is flat, nothing else tells the strokes where to be, and a network for which photos moved
    below a fixed noise learned to leave skies empty. Trained like this it keeps their strokes; in a video they stand
    still while the camera pans.

    Args:
        terms: Those of ``pictures``.
        weight: ``LossConfig.stability_weight``; 0 adds nothing and computes nothing.
        transform: From photos that have the network's noise to pictures.
        noisy: Photos with the noise, RGB, shape (B, 3, S, S).
        pictures: What ``transform`` made of them.
        step: Number of the training step.
        seed: Of the training.

    Returns:
        All terms.
    """
    if not weight:
        return terms
    motion = draw_motion(noisy, seed, step)
    return terms.add_stability(stability_distance(transform(motion.take_next(noisy)), motion.move(pictures)), weight)


def choose_orientations(turned: str, perceptual: str) -> int:
    """Return in how many orientations pictures are seen: with ``auto`` in all by the small network, else in one."""
    return ORIENTATIONS if turned == "on" or (turned == "auto" and perceptual == "vgg_small") else 1


def build_step(
    weights: str,
    painting: Tensor,
    steps: int,
    seed: int = 0,
    *,
    precision: str | None = None,
    compiled: bool = True,
    perceptual: PerceptualName = "vgg19",
    optimizer: WeightOptimizer = "muon",
) -> tuple[Step, StyleNetwork]:
    """Build the step that ``python -m train fit`` takes with its default settings.

    Args:
        weights: Weights of the frozen network, ``default`` or a file.
        painting: The style, RGB in [0, 1], shape (1, 3, H, W).
        steps: Length of the learning-rate cycle.
        seed: Of the network's first weights and of its noise.
        precision: Lightning's name of it; the best that the hardware has if None.
        compiled: Compile the network.
        perceptual: The frozen network.
        optimizer: What moves the weights.

    Returns:
        The step, and the network that it trains.
    """
    device = choose_device()
    torch.manual_seed(seed)
    network = StyleNetwork()
    keep_freed_memory()
    config = LossConfig()
    features = VGGFeatures(perceptual, config.layers, weights)
    loss = TurnedLoss(features, config, choose_orientations("auto", perceptual))
    loss.set_style([painting])
    loss.to(device)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    transform = torch.compile(network.transform) if compiled else network.transform
    chosen = precision or best_precision(device.type)

    def compute(photos: Tensor, number: int) -> Tensor:
        with autocast(chosen, device):
            return compute_loss(network, transform, loss, photos, number, seed).total

    return make_step(compute, network, steps, optimizer), network


def make_step(
    compute: Callable[[Tensor, int], Tensor], network: nn.Module, steps: int, optimizer: WeightOptimizer
) -> Step:
    """Put an optimization step around a loss: an optimizer, and one cycle of the learning rate as in every training.

    Args:
        compute: From photos on the network's device and the step's number to a differentiable scalar.
        network: What is trained, on its device.
        steps: Length of the learning-rate cycle.
        optimizer: What moves the weights.

    Returns:
        The step; it takes photos from any device.
    """
    device = next(network.parameters()).device
    moved = make_optimizer(optimizer, network.parameters(), LEARNING_RATE)
    schedule = one_cycle(moved, LEARNING_RATE, steps)

    def step(photos: Tensor) -> Tensor:
        moved.zero_grad()
        total = compute(photos.to(device), schedule.last_epoch)
        total.backward()  # type: ignore[no-untyped-call]
        moved.step()
        schedule.step()
        return total.detach()

    return step
