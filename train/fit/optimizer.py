"""What moves the weights of a style network: Muon, or Adam."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

WeightOptimizer = Literal["muon", "adam"]

MOMENTUM = 0.8
"""Share of the former steps in a kernel's step; Muon's usual 0.95 is made for trainings of many thousand steps."""

KERNEL_STEP = 0.5
"""Root mean square of a kernel's step over the learning rate: one rate serves kernels of every shape, and norms.

Adam's is about 1 at first, and less when gradients differ from step to step.
"""

BETAS = (0.9, 0.999)
"""Adam's, for what is no kernel."""

EPSILON = 1e-8
"""Keeps divisions finite where a gradient is 0."""

ITERATIONS = 5
"""Iterations of Newton and Schulz."""

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of one iteration (Jordan et al. 2024): singular values from 0.002 on come to between 0.7 and 1.2."""


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024): a kernel's step is the nearest orthogonal matrix to its momentum; the rest has Adam.

    The gradient of a kernel has few large singular values, and Adam's steps follow them. Made orthogonal, a step goes
    as far in the directions of the small ones. A kernel counts as a matrix of one row for each output channel.

    Args:
        parameters: What is learned; those of four dimensions are kernels.
        lr: Learning rate.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; returns what ``closure``, which computes the gradients, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learned = {parameter: parameter.grad for parameter in group["params"] if parameter.grad is not None}
            kernels = {parameter: gradient for parameter, gradient in learned.items() if parameter.ndim == 4}
            self._step_kernels(kernels, group["lr"])
            for parameter, gradient in learned.items():
                if parameter not in kernels:
                    self._step_adam(parameter, gradient, group["lr"])
        return loss

    def _step_kernels(self, kernels: Mapping[nn.Parameter, Tensor], rate: float) -> None:
        matrices = []
        for kernel, gradient in kernels.items():
            state = self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
            state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            # Nesterov's: the momentum as it will be if the next gradient is like this one.
            matrices.append(gradient.lerp(state["momentum"], MOMENTUM).flatten(1))
        for kernel, matrix in zip(kernels, orthogonalize(matrices), strict=True):
            # The entries of an orthogonal matrix have a root mean square of 1 over the root of its longer side.
            kernel.sub_(matrix.view(kernel.shape), alpha=rate * KERNEL_STEP * max(matrix.shape) ** 0.5)

    def _step_adam(self, parameter: nn.Parameter, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        mean, square = (
            state[name] / (1 - beta ** state["step"]) for name, beta in zip(("mean", "square"), BETAS, strict=True)
        )
        parameter.sub_(mean / (square.sqrt() + EPSILON), alpha=rate)


def orthogonalize(matrices: list[Tensor]) -> list[Tensor]:
    """Return matrices of the same singular vectors whose singular values are near 1, between 0.7 and 1.2.

    Newton's and Schulz' iteration X <- (a + b XX' + c (XX')^2) X. All its steps are polynomials of the first XX', and
    commute: so only these, as small as the shorter side, are iterated, those of equal size together, and X is
    multiplied once. Singular values below a 500th of the Frobenius norm stay below 1.

    Args:
        matrices: Of any shapes, float32, as torch multiplies them unless told: in TF32 or bfloat16, rounding would make
            small eigenvalues of XX' negative, and the iteration can leave singular values far above 1.

    Returns:
        One for each; of a matrix of zeros, zeros.
    """
    # The shorter side first: its square matrix is the smaller one.
    turned = [matrix.T if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    unit = [matrix / (matrix.norm() + EPSILON) for matrix in turned]
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for index, matrix in enumerate(unit):
        alike[matrix.shape[0]].append(index)
    found = list(unit)
    for indices in alike.values():
        square = torch.stack([unit[index] @ unit[index].T for index in indices])
        identity = torch.eye(square.shape[-1], dtype=square.dtype, device=square.device)
        product = identity.expand_as(square)
        for _ in range(ITERATIONS):
            factor = QUINTIC[0] * identity + QUINTIC[1] * square + QUINTIC[2] * square @ square
            product = factor @ product
            square = factor @ square @ factor
        for index, whole in zip(indices, product, strict=True):
            found[index] = whole @ unit[index]
    return [
        orthogonal.T if matrix.shape[0] > matrix.shape[1] else orthogonal
        for matrix, orthogonal in zip(matrices, found, strict=True)
    ]


def make_optimizer(name: WeightOptimizer, parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Return an optimizer.

    Args:
        name: ``muon`` or ``adam``.
        parameters: What it moves.
        rate: Learning rate.
    """
    return torch.optim.Adam(parameters, lr=rate) if name == "adam" else Muon(parameters, lr=rate)
