"""Pixels are optimized: down the loss, from coarse to fine, the same way every time."""

from itertools import pairwise

import pytest
import torch

from models.losses import LossTerms
from train.slow.optimizer import EarlyStopping, PixelOptimizer, plan_sizes, resize


def towards(target):
    def evaluate(picture):
        error = (picture - target).square()
        total = (error * torch.linspace(1, 5, error.shape[3])).sum()
        return LossTerms(total, total, torch.zeros(()), torch.zeros(()))

    return evaluate


@pytest.mark.parametrize(("optimizer", "iterations", "left"), [("lbfgs", 12, 1e-4), ("adam", 400, 0.02)])
def test_optimizer_reaches_a_known_minimum(optimizer, iterations, left):
    torch.manual_seed(0)
    target = torch.rand(1, 3, 12, 10)
    optimized = PixelOptimizer(torch.rand(1, 3, 12, 10), towards(target), optimizer)
    losses = [float(terms.total) for terms in optimized.run(iterations)]
    assert losses[-1] < losses[0]
    assert (optimized.picture - target).abs().mean() < left


def test_lbfgs_never_goes_up():
    torch.manual_seed(0)
    optimized = PixelOptimizer(torch.rand(1, 3, 8, 8), towards(torch.rand(1, 3, 8, 8)), "lbfgs")
    losses = [float(terms.total) for terms in optimized.run(10)]
    assert losses == sorted(losses, reverse=True)


def test_line_search_misled_by_rounding_continues_in_float32():
    torch.manual_seed(0)
    target, evaluations = torch.rand(1, 3, 8, 8), []
    exact = towards(target)

    def rounded(picture):
        # Every evaluation adds more than a step can gain.
        evaluations.append(None)
        terms = exact(picture)
        return terms._replace(total=terms.total + float(len(evaluations)))

    optimized = PixelOptimizer(torch.rand(1, 3, 8, 8), rounded, "lbfgs", exact=exact)
    losses = [float(terms.total) for terms in optimized.run(20)]
    assert optimized.exact_from is not None
    assert len(evaluations) < 30
    after = losses[optimized.exact_from :]
    assert after == sorted(after, reverse=True)
    assert (optimized.picture - target).abs().mean() < 1e-4


def test_float32_is_not_used_while_the_line_search_succeeds():
    torch.manual_seed(0)
    target = torch.rand(1, 3, 8, 8)

    def never(picture):
        raise AssertionError

    optimized = PixelOptimizer(torch.rand(1, 3, 8, 8), towards(target), "lbfgs", exact=never)
    assert len(list(optimized.run(6))) == 6
    assert optimized.exact_from is None


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_learning_rate_of_zero_is_not_taken_for_the_default(rate):
    with pytest.raises(ValueError, match="above 0"):
        PixelOptimizer(torch.rand(1, 3, 8, 8), towards(torch.rand(1, 3, 8, 8)), "adam", learning_rate=rate)


@pytest.mark.parametrize(("optimizer", "rate"), [("lbfgs", None), ("adam", 0.02), ("adam", 0.5)])
@pytest.mark.parametrize("iterations", [1, 2, 30])
def test_best_picture_is_no_worse_than_any_on_the_way(optimizer, rate, iterations):
    torch.manual_seed(0)
    target = torch.rand(1, 3, 8, 8)
    evaluate = towards(target)
    optimized = PixelOptimizer((target + 0.05 * torch.randn_like(target)).clamp(0, 1), evaluate, optimizer, rate)
    seen = [float(terms.total) for terms in optimized.run(iterations)]
    seen += [float(evaluate(optimized.picture).total), float(evaluate(optimized.values.detach().clamp(0, 1)).total)]
    picture, loss = optimized.choose_best()
    assert loss == pytest.approx(float(evaluate(picture).total))
    assert loss <= min(seen) * 1.0001


def test_step_cut_short_spoils_nothing():
    start = torch.full((1, 3, 4, 4), 0.5)
    optimized = PixelOptimizer(start, towards(start), "lbfgs")
    list(optimized.run(1))
    with torch.no_grad():
        optimized.values.fill_(1)
    assert torch.equal(optimized.choose_best()[0], start)


def test_picture_of_luminance_alone_has_three_equal_channels():
    optimized = PixelOptimizer(torch.rand(1, 1, 8, 8), towards(torch.rand(1, 3, 8, 8)), "adam")
    list(optimized.run(3))
    assert optimized.picture.shape == (1, 3, 8, 8)
    assert torch.equal(optimized.picture[:, 0], optimized.picture[:, 2])


def test_averaged_iterate_is_unbiased_from_the_first_step_on():
    start = torch.full((1, 3, 4, 4), 0.5)
    optimized = PixelOptimizer(start, towards(start), "adam")
    list(optimized.run(1))
    torch.testing.assert_close(optimized.picture, start)


@pytest.mark.parametrize("iterations", [15, 60, 200])
def test_early_iterates_leave_the_average_of_a_short_run(iterations):
    torch.manual_seed(0)
    evaluate = towards(torch.rand(1, 3, 8, 8))
    optimized = PixelOptimizer(torch.rand(1, 3, 8, 8), evaluate, "adam")
    losses = [float(terms.total) for terms in optimized.run(iterations)]
    assert float(evaluate(optimized.picture).total) < losses[-2] + 0.02 * losses[0]


def test_moments_are_carried_over_and_enlarged():
    small = PixelOptimizer(torch.rand(1, 3, 8, 6), towards(torch.rand(1, 3, 8, 6)), "adam")
    list(small.run(5))
    large = PixelOptimizer(torch.rand(1, 3, 16, 12), towards(torch.rand(1, 3, 16, 12)), "adam", carried=small.state)
    assert large.state["exp_avg"].shape == (1, 3, 16, 12)
    assert float(large.state["step"]) == 5
    list(large.run(1))
    assert float(large.state["step"]) == 6


def test_sizes_grow_by_the_square_root_of_two():
    assert plan_sizes((300, 400), None) == [(300, 400)]
    assert plan_sizes((256, 512), 128) == [(64, 128), (91, 181), (128, 256), (181, 362), (256, 512)]
    assert plan_sizes((100, 100), 100) == [(100, 100)]


@pytest.mark.parametrize("smallest", [33, 60, 100, 127])
def test_the_first_size_is_the_one_asked_for(smallest):
    sizes = [max(size) for size in plan_sizes((96, 128), smallest)]
    assert sizes[0] == smallest
    assert sizes[-1] == 128
    assert all(1 < after / before < 1.7 for before, after in pairwise(sizes))


def test_early_stopping_waits_while_the_loss_falls():
    stopping = EarlyStopping(patience=3)
    assert not any(stopping.should_stop(0.9**step) for step in range(50))
    assert [stopping.should_stop(1.0) for _ in range(3)] == [False, False, True]
    assert not any(EarlyStopping(patience=0).should_stop(1.0) for _ in range(50))


def test_resizing_stays_within_the_range():
    black_and_white = (torch.rand(1, 3, 20, 20) > 0.5).float()
    resized = resize(black_and_white, (37, 31))
    assert resized.shape == (1, 3, 37, 31)
    assert resized.min() >= 0
    assert resized.max() <= 1
    assert resize(black_and_white, (20, 20)) is black_and_white
