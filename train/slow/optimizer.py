"""The slow reference: optimize the pixels of one picture (Gatys et al. 2016), with the losses that training uses.

With ``smallest_size`` the picture grows from coarse to fine: large structures form while the picture is small and a
step is cheap, and each larger size starts from the result of the previous one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses import Content, LossTerms, PerceptualLoss, alpha_norm
from train.compute.precision import PrecisionName, is_lowered, lower_precision
from train.slow.config import LEARNING_RATES, OptimizerName

HISTORY = 20
"""Pairs of steps and gradients that L-BFGS keeps; each takes twice the picture's memory."""

LEAST_SIDE = 16
"""Pixels of a picture's shorter side that a VGG needs as far as its fifth block."""

SCALE_GROWTH = 2**0.5
"""Factor from one size to the next, about."""

RECENCY = 16
"""Adam's iterates are averaged over about the last sixteenth of those so far (polynomial decay, Shamir and Zhang 2013):
in long runs the average is smoother than any iterate and its loss lower, and in short ones it has forgotten the first
iterates, which are far from the minimum."""

LEAST_SHARE = 0.01
"""Least weight of the newest iterate in the average, so that long runs, too, forget what lies a hundred back."""

LINE_SEARCH_LIMIT = 12
"""Evaluations of the loss in one L-BFGS iteration above which the line search counts as misled by rounding; usual are
1 to 4."""

TERMS = ("loss", "content", "style")
"""Names of the first three of ``LossTerms``, as tables have them."""

PictureLoss = Callable[[Tensor], LossTerms]
"""From a picture, RGB in [0, 1], shape (1, 3, H, W), to its loss terms."""


def bind_loss(
    loss: PerceptualLoss,
    content: Content,
    precision: PrecisionName,
    device: torch.device,
    alpha_weight: float = 0.0,
) -> tuple[PictureLoss, PictureLoss | None]:
    """Bind a loss to a photo's content, as ``PixelOptimizer`` takes it.

    Args:
        loss: With its style set.
        content: What ``describe_content`` returned for the photo.
        precision: Precision in which the first result computes.
        device: Device of the pixels.
        alpha_weight: Weight of the alpha-norm, which is added to the total. Only free pixels can leave [0, 1], so that
            it is no term of ``PerceptualLoss``, which networks are trained with.

    Returns:
        The loss of a picture, and the same in float32 where the optimizer may change to it, else None.
    """

    def evaluate_exactly(picture: Tensor) -> LossTerms:
        terms: LossTerms = loss(picture.contiguous(memory_format=torch.channels_last), content)
        if not alpha_weight:
            return terms
        return terms._replace(total=terms.total + alpha_weight * alpha_norm(picture).mean())

    def evaluate(picture: Tensor) -> LossTerms:
        with lower_precision(precision, picture.device):
            return evaluate_exactly(picture)

    return evaluate, evaluate_exactly if is_lowered(precision, device) else None


@torch.no_grad()
def evaluate_picture(loss: PerceptualLoss, photo: Tensor, picture: Tensor) -> dict[str, float]:
    """Compute the terms of a picture's loss in float32.

    Args:
        loss: With its style set.
        photo: RGB in [0, 1], shape (1, 3, H, W).
        picture: The photo repainted, of the same shape.

    Returns:
        ``loss``, ``content`` and ``style``.
    """
    terms = loss(picture, loss.describe_content(photo))
    return {name: float(term) for name, term in zip(TERMS, terms, strict=False)}


class Iterate(NamedTuple):
    """Where an optimization stands.

    Args:
        iteration: Iterations taken in all, from 1 on.
        picture: RGB clamped to [0, 1], shape (1, 3, H, W).
        terms: The losses as they were before this iteration's step, so those of the iterate before.
        optimizer: The optimizer of the present size.
    """

    iteration: int
    picture: Tensor
    terms: LossTerms
    optimizer: PixelOptimizer


@dataclass
class PixelOptimizer:
    """Optimize one picture at one size.

    Args:
        start: The first picture, values in [0, 1], shape (1, 3, H, W), or (1, 1, H, W) to optimize its luminance alone.
        loss: The loss that is minimized.
        optimizer: ``lbfgs`` or ``adam``.
        learning_rate: L-BFGS's first trial step, or Adam's step on values in [0, 1]; None for 1 and 0.02.
        carried: Adam's state at the previous, smaller size; it is enlarged.
        exact: The same loss in float32 where ``loss`` computes in a lower precision. Near its end L-BFGS gains less by
            a step than bfloat16 rounds away; its line search would then try up to 25 lengths at every iteration, and
            choose by chance.

    Attributes:
        exact_from: Iteration from which on ``exact`` is minimized; None as long as ``loss`` is.

    Raises:
        ValueError: If the learning rate is not a finite number above 0.
    """

    start: Tensor
    loss: PictureLoss
    optimizer: OptimizerName = "lbfgs"
    learning_rate: float | None = None
    carried: dict[str, Tensor] | None = None
    exact: PictureLoss | None = None

    def __post_init__(self) -> None:
        rate = LEARNING_RATES[self.optimizer] if self.learning_rate is None else self.learning_rate
        if not 0 < rate < math.inf:
            raise ValueError(f"learning_rate is {rate}; it must be above 0 and finite")
        self.values = self.start.clone().contiguous().requires_grad_()
        self._average = self.start.clone()
        self._averaged = 0
        self._newest = self._best = self.start
        self._lowest = math.inf
        self.exact_from: int | None = None
        if self.optimizer == "lbfgs":
            self._steps: torch.optim.Optimizer = torch.optim.LBFGS(
                [self.values],
                lr=rate,
                max_iter=1,
                max_eval=25,
                history_size=HISTORY,
                tolerance_grad=0,
                tolerance_change=0,
                line_search_fn="strong_wolfe",
            )
        else:
            self._steps = torch.optim.Adam([self.values], lr=rate, betas=(0.9, 0.99))
            if self.carried is not None:
                self._steps.state[self.values] = {
                    name: _enlarge(value, self.start) if value.ndim == 4 else value.clone()
                    for name, value in self.carried.items()
                }

    def run(self, iterations: int) -> Iterator[LossTerms]:
        """Take a step for each item drawn, and yield the loss terms at the beginning of the step."""
        for number in range(1, iterations + 1):
            first: list[LossTerms] = []
            tried: list[float] = []
            before = self._newest

            def evaluate(first: list[LossTerms] = first, tried: list[float] = tried) -> float:
                self._steps.zero_grad()
                terms = self.loss(self.values.expand(-1, 3, -1, -1))
                terms.total.backward()  # type: ignore[no-untyped-call]
                if not first:
                    first.append(LossTerms(*(term.detach() for term in terms)))
                tried.append(float(terms.total.detach()))
                return tried[-1]

            self._steps.step(evaluate)
            if self.optimizer == "lbfgs" and self.exact is not None:
                lost = min(tried) >= tried[0]
                if lost or len(tried) > LINE_SEARCH_LIMIT:
                    self._change_to(self.exact, before if lost else self.values, number)
            if self.optimizer == "adam":
                with torch.no_grad():
                    self.values.clamp_(0, 1)
                    self._averaged += 1
                    share = (RECENCY + 1) / (self._averaged + RECENCY)  # the first iterate replaces the start
                    self._average.lerp_(self.values, max(share, LEAST_SHARE))
            # A copy, because a step that Ctrl-C interrupts leaves the values in the middle of a line search.
            self._newest = self.values.detach().clone()
            if float(first[0].total) < self._lowest:
                self._lowest, self._best = float(first[0].total), before
            yield first[0]

    def _change_to(self, loss: PictureLoss, values: Tensor, number: int) -> None:
        with torch.no_grad():
            self.values.copy_(values)
        # The history holds differences of gradients that were rounded, too.
        self._steps.state.clear()
        self.loss, self.exact, self.exact_from = loss, None, number

    @property
    def picture(self) -> Tensor:
        """The picture so far, RGB clamped to [0, 1], shape (1, 3, H, W): with Adam an average of its last iterates."""
        values = self._average if self._averaged else self.values.detach()
        return values.clamp(0, 1).expand(-1, 3, -1, -1)

    @torch.no_grad()
    def choose_best(self) -> tuple[Tensor, float]:
        """Return the best picture so far, RGB clamped to [0, 1], shape (1, 3, H, W), and its loss.

        A step may raise the loss, with Adam or in bfloat16. The candidates are the iterate of the lowest known loss,
        the newest iterate, whose loss is not known yet, and with Adam the average; each costs one more evaluation.
        """
        candidates = [values.clamp(0, 1).expand(-1, 3, -1, -1) for values in (self._best, self._newest)]
        if self._averaged:
            candidates.append(self.picture)
        losses = [float(self.loss(candidate).total) for candidate in candidates]
        lowest = min(losses)
        return candidates[losses.index(lowest)], lowest

    @property
    def state(self) -> dict[str, Tensor] | None:
        """Adam's moments, for the next size."""
        return dict(self._steps.state[self.values]) if self.optimizer == "adam" else None


def plan_sizes(size: tuple[int, int], smallest: int | None, least: int = LEAST_SIDE) -> list[tuple[int, int]]:
    """List the sizes of a coarse-to-fine optimization.

    Args:
        size: Height and width of the last one.
        smallest: Longer side of the first one; None for the last one alone.
        least: Smallest side in pixels.

    Returns:
        Heights and widths that grow by one factor, as near to ``SCALE_GROWTH`` as it leads from the first to the last.
    """
    if smallest is None or smallest >= max(size):
        return [size]
    growths = max(1, round(math.log(max(size) / smallest, SCALE_GROWTH)))
    shrinks = [(smallest / max(size)) ** (growth / growths) for growth in range(growths, 0, -1)]
    return [(max(least, round(size[0] * shrink)), max(least, round(size[1] * shrink))) for shrink in shrinks] + [size]


class EarlyStopping:
    """Stop when a loss has stopped falling.

    Args:
        patience: Iterations within which the loss must fall by ``least``; 0 never stops.
        least: Smallest relative fall that counts.
    """

    def __init__(self, patience: int, least: float = 0.002) -> None:
        self.patience, self.least = patience, least
        self._best, self._since = float("inf"), 0

    def should_stop(self, loss: float) -> bool:
        """Take the next loss; return whether it is time to stop."""
        if loss < self._best * (1 - self.least):
            self._best, self._since = loss, 0
        else:
            self._since += 1
        return self.patience > 0 and self._since >= self.patience


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a picture, shape (1, C, H, W) in [0, 1], to a height and a width, without aliasing or overshoot."""
    if tuple(picture.shape[2:]) == size:
        return picture
    return F.interpolate(picture, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def make_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Draw noise around mid-gray, in [0, 1], to start from."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.15 * torch.randn(shape, generator=generator)).clamp(0, 1)


def _enlarge(moment: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(moment, size=like.shape[2:], mode="bilinear")
