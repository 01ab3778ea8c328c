"""The learning rate over a run: one cycle, the same for every training here."""

from __future__ import annotations

import torch

LEARNING_RATE = 1e-3
"""Default peak of the learning rate (Johnson et al. 2016, section 4.1).

With Adam, 2e-3 left the held-out loss 2 to 5 % higher for three paintings (200 steps of 4 at 128 px), for one of them
12 % at 256 px (some 330 steps), and 10 % with vgg_small.
"""


def one_cycle(optimizer: torch.optim.Optimizer, rate: float, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """Raise the learning rate for a tenth of the run, then let it fall to nearly 0 (Smith and Topin 2018).

    Args:
        optimizer: The optimizer.
        rate: Its peak; it begins at 1/25 of that.
        steps: Length of the run.

    Returns:
        A schedule to be stepped once after every step of the optimizer.
    """
    # One more than there are steps: the schedule is stepped after the last one, too.
    total = steps + 1
    # At least one rising step: with none, as in a run of ten steps, torch divides by zero.
    rising = max(0.1, 2 / total)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=total, pct_start=rising, cycle_momentum=False
    )


def shorten(schedule: torch.optim.lr_scheduler.OneCycleLR, steps: int) -> None:
    """Let the learning rate of a run reach its end after another number of steps than was planned.

    Args:
        schedule: What ``one_cycle`` returned; the peak stays where it is, if it comes before the end.
        steps: Length of the whole run, steps taken included.
    """
    schedule.total_steps = steps + 1
    rise = schedule._schedule_phases[0]
    rise["end_step"] = min(rise["end_step"], steps - 1)
    # The last of torch's phases is the fall; its length is where the schedule keeps it.
    schedule._schedule_phases[-1]["end_step"] = steps
