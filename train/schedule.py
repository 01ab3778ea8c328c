"""The learning rate's way: one cycle, the same for every training here."""

from __future__ import annotations

import torch


def one_cycle(optimizer: torch.optim.Optimizer, rate: float, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """Raise the learning rate for a tenth of the run, then let it fall to nearly 0 (Smith and Topin 2018).

    Args:
        optimizer: Whose rate it is.
        rate: Its peak; it begins at 1/25 of that.
        steps: Length of the run.

    Returns:
        A schedule to be stepped once after every step of the optimiser.
    """
    # One more than there are steps: the schedule is stepped after the last one, too.
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps + 1, pct_start=0.1, cycle_momentum=False
    )
