"""The learning rate rises, falls, and does so for a run of any length."""

import pytest
import torch

from tests.pictures import ramp, write
from train.schedule import one_cycle
from train.step import build_step
from train.style_training import StyleTraining, choose_learning_rate


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


def test_the_small_network_teaches_in_smaller_steps_unless_told(tmp_path):
    assert [choose_learning_rate(None, name) for name in ("vgg19", "vgg16", "vgg_small")] == [2e-3, 2e-3, 1e-3]
    assert choose_learning_rate(3e-4, "vgg_small") == 3e-4
    style = str(write(tmp_path / "painting.png", ramp(64, 64)))
    assert StyleTraining(style, perceptual="vgg_small").learning_rate == 1e-3
    assert StyleTraining(style, perceptual="vgg_small", learning_rate=0.5).learning_rate == 0.5


def test_a_step_learns_at_the_rate_that_was_asked_for():
    """Adam's first step moves every weight by the rate that the cycle begins with."""
    moved = []
    for rate in (None, 0.5e-3):
        step, network = build_step(
            "ours", "default", 64, 100, compiled=False, perceptual="vgg_small", learning_rate=rate
        )
        before = [value.detach().clone() for value in network.parameters()]
        step(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        changes = [
            float((one - other.detach()).abs().max()) for one, other in zip(before, network.parameters(), strict=True)
        ]
        moved.append(max(changes))
    assert moved == pytest.approx([1e-3 / 25, 0.5e-3 / 25], rel=0.01)
