"""The slow reference: optimize the pixels of one picture (Gatys et al. 2016), with the losses that training uses.

With ``smallest_size`` the picture grows from coarse to fine: structure as large as the painting's is made while the
picture is small and a step is cheap, and each larger size begins from the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses import LossTerms, PerceptualLoss
from train.compute.precision import PrecisionName, is_lowered, lower_precision

OptimizerName = Literal["lbfgs", "adam"]

HISTORY = 20
"""Pairs of steps and gradients that L-BFGS keeps; each takes twice the picture's memory."""

LEAST_SIDE = 16
"""Pixels of a picture's shorter side that a VGG needs as far as its fifth block."""

SCALE_GROWTH = 2**0.5
"""From one size to the next."""

LEARNING_RATES: Mapping[OptimizerName, float] = {"lbfgs": 1.0, "adam": 0.02}
"""Those taken where none is given."""

AVERAGING = 0.99
"""Decay of the average over Adam's iterates, which is smoother than any of them."""

LINE_SEARCH_LIMIT = 12
"""Evaluations within one iteration of L-BFGS beyond which rounding is taken to hide the descent; 1 to 4 are usual."""

TERMS = ("loss", "content", "style")
"""Names of the first three of ``LossTerms``, as tables have them."""

Judge = Callable[[Tensor], LossTerms]
"""From a picture, RGB in [0, 1], shape (1, 3, H, W), to its losses."""


def make_judges(
    loss: PerceptualLoss, content: Mapping[str, Tensor], precision: PrecisionName, device: torch.device
) -> tuple[Judge, Judge | None]:
    """Return what judges pixels, and the same in full precision where they may go over to it (see ``Pixels``).

    Args:
        loss: With its style set.
        content: What it said of the photo.
        precision: Of the first judge.
        device: Where the pixels are.
    """

    def judge_exactly(pixels: Tensor) -> LossTerms:
        return loss(pixels.contiguous(memory_format=torch.channels_last), content)  # type: ignore[no-any-return]

    def judge(pixels: Tensor) -> LossTerms:
        with lower_precision(precision, pixels.device):
            return judge_exactly(pixels)

    return judge, judge_exactly if is_lowered(precision, device) else None


@torch.no_grad()
def judge_picture(loss: PerceptualLoss, photo: Tensor, picture: Tensor) -> dict[str, float]:
    """Return the terms of a picture's loss, both RGB in [0, 1], shape (1, 3, H, W)."""
    terms = loss(picture, loss.describe_content(photo))
    return {name: float(term) for name, term in zip(TERMS, terms, strict=False)}


class Iterate(NamedTuple):
    """Where an optimization stands.

    Args:
        iteration: Iterations taken in all, from 1 on.
        picture: RGB clamped to [0, 1], shape (1, 3, H, W).
        terms: The losses as they were before this iteration's step, so those of the iterate before.
        pixels: What is optimized, at the size at hand.
    """

    iteration: int
    picture: Tensor
    terms: LossTerms
    pixels: Pixels


@dataclass
class Pixels:
    """Optimize one picture at one size.

    Args:
        start: Shape (1, 3, H, W), or (1, 1, H, W) for a picture of which only the luminance is free.
        judge: The loss.
        optimizer: ``lbfgs`` or ``adam``.
        learning_rate: L-BFGS's first trial step, or Adam's step on values in [0, 1]; None for 1 and 0.02.
        carried: Adam's state at the size before, which is enlarged.
        exact: The same loss in full precision where ``judge`` is in a lower one. Near its end L-BFGS gains less by a
            step than bfloat16 rounds away; its line search would then try up to 25 lengths at every iteration, and
            choose by chance.

    Attributes:
        exact_from: Iteration from which on ``exact`` was the judge; None if it never was.

    Raises:
        ValueError: If the learning rate is not above 0.
    """

    start: Tensor
    judge: Judge
    optimizer: OptimizerName = "lbfgs"
    learning_rate: float | None = None
    carried: dict[str, Tensor] | None = None
    exact: Judge | None = None

    def __post_init__(self) -> None:
        rate = LEARNING_RATES[self.optimizer] if self.learning_rate is None else self.learning_rate
        if not rate > 0:
            raise ValueError(f"learning_rate is {rate}; it must be above 0")
        self.values = self.start.clone().contiguous().requires_grad_()
        self._average = torch.zeros_like(self.start)
        self._weight = 0.0
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
        """Take steps, one for each item drawn; the losses are those at the beginning of the step."""
        for number in range(1, iterations + 1):
            first: list[LossTerms] = []
            tried: list[float] = []
            before = self._newest

            def evaluate(first: list[LossTerms] = first, tried: list[float] = tried) -> float:
                self._steps.zero_grad()
                terms = self.judge(self.values.expand(-1, 3, -1, -1))
                terms.total.backward()  # type: ignore[no-untyped-call]
                if not first:
                    first.append(LossTerms(*(term.detach() for term in terms)))
                tried.append(float(terms.total.detach()))
                return tried[-1]

            self._steps.step(evaluate)
            if self.optimizer == "lbfgs" and self.exact is not None:
                lost = min(tried) >= tried[0]
                if lost or len(tried) > LINE_SEARCH_LIMIT:
                    self._go_on_with(self.exact, before if lost else self.values, number)
            if self.optimizer == "adam":
                with torch.no_grad():
                    self.values.clamp_(0, 1)
                    self._average.lerp_(self.values, 1 - AVERAGING)
                    self._weight = 1 - (1 - self._weight) * AVERAGING
            # A copy, for a step that Ctrl-C cuts short leaves the values in the middle of a line search.
            self._newest = self.values.detach().clone()
            if float(first[0].total) < self._lowest:
                self._lowest, self._best = float(first[0].total), before
            yield first[0]

    def _go_on_with(self, judge: Judge, values: Tensor, number: int) -> None:
        with torch.no_grad():
            self.values.copy_(values)
        # The differences of gradients that it remembers are rounded, too.
        self._steps.state.clear()
        self.judge, self.exact, self.exact_from = judge, None, number

    @property
    def picture(self) -> Tensor:
        """The picture so far, RGB clamped to [0, 1], shape (1, 3, H, W): with Adam the average of its iterates."""
        values = self._average / self._weight if self._weight > 0 else self.values.detach()
        return values.clamp(0, 1).expand(-1, 3, -1, -1)

    @torch.no_grad()
    def choose_best(self) -> Tensor:
        """Return the best picture so far, RGB clamped to [0, 1], shape (1, 3, H, W).

        A step may lead uphill, with Adam or in bfloat16. The iterate of the lowest loss known is held against the
        newest, whose loss no further step has told, and against ``picture``, which with Adam is an average.
        """
        iterates = [values.clamp(0, 1).expand(-1, 3, -1, -1) for values in (self._best, self._newest)]
        return min([*iterates, self.picture], key=lambda picture: float(self.judge(picture).total))

    @property
    def state(self) -> dict[str, Tensor] | None:
        """Adam's moments, for the next size."""
        return dict(self._steps.state[self.values]) if self.optimizer == "adam" else None


def plan_sizes(size: tuple[int, int], smallest: int | None, least: int = LEAST_SIDE) -> list[tuple[int, int]]:
    """List the sizes of a coarse-to-fine optimization.

    Args:
        size: Height and width of the last one.
        smallest: Longer side of the first one; None for no other than the last.
        least: What no side falls short of.

    Returns:
        Heights and widths that grow by the square root of two.
    """
    # A little slack, for the logarithm of a power of two is not always a whole number.
    growths = int(math.log(max(size) / smallest, SCALE_GROWTH) + 1e-9) if smallest and smallest < max(size) else 0
    shrinks = [SCALE_GROWTH**-growth for growth in range(growths, 0, -1)]
    return [(max(least, round(size[0] * shrink)), max(least, round(size[1] * shrink))) for shrink in shrinks] + [size]


class Saturation:
    """Notice that a loss has stopped falling.

    Args:
        patience: Iterations within which it must fall by ``least``; 0 never stops.
        least: Relative fall that counts.
    """

    def __init__(self, patience: int, least: float = 0.002) -> None:
        self.patience, self.least = patience, least
        self._best, self._since = float("inf"), 0

    def reached(self, loss: float) -> bool:
        """Take the next loss; True if it is time to stop."""
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
    """Draw gray noise of a shape, in [0, 1], to start from."""
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + 0.15 * torch.randn(shape, generator=generator)).clamp(0, 1)


def _enlarge(moment: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(moment, size=like.shape[2:], mode="bilinear")
