"""The learning rate rises, falls, and does so for a run of any length."""

import pytest
import torch

from train.fit.schedule import one_cycle


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 9, 10, 19, 100])
def test_learning_rate_rises_to_its_peak_and_falls_to_nothing(steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    schedule = one_cycle(optimizer, 0.5, steps)
    rates = [schedule.get_last_lr()[0]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert rates[0] == pytest.approx(0.5 / 25)
    assert max(rates) == pytest.approx(0.5, rel=0.02)
    assert steps == 1 or rates[-1] < 1e-5
