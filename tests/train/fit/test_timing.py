"""A training fits a time: it is planned from measured steps, adapted to the pace, and resumed by its plan."""

import time

import pytest
import torch
import yaml

from models.style_file import load_style
from tests.train.small_run import arguments
from train.fit import timing
from train.fit.checkpoint import LatestCheckpoint
from train.fit.command import main
from train.fit.datamodule import PhotoData, _SizedSampler
from train.fit.schedule import one_cycle, shorten
from train.fit.timing import LEAST_LATE_SHARE, Pace, Plan, adapt_plan, plan_steps


def test_a_plan_takes_its_time():
    for pace in (Pace(late=2.0, end=10), Pace(late=2.0, early=0.5, end=10)):
        plan = plan_steps(1000, pace)
        taken = pace.end + pace.seconds(0, plan.steps, plan.early_steps)
        assert 0.99 * 1000 < taken <= 1000


def test_three_quarters_of_the_steps_have_small_crops():
    plan = plan_steps(1000, Pace(late=2.0, early=0.5))
    assert plan.early_steps == pytest.approx(0.75 * plan.steps, abs=1)
    assert plan_steps(1000, Pace(late=2.0)).early_steps == 0


def test_no_time_is_no_step():
    assert plan_steps(3, Pace(late=2.0, end=5)) == Plan(0)


def simulate(seconds, planned, actual, looks=50, ahead=6):
    """Run a plan at another pace than it was made for; return its last form and the seconds that it took."""
    plan = first = plan_steps(seconds, planned)
    spent, step = 0.0, 0
    while step < plan.steps:
        pace = actual(step / plan.steps)
        spent += pace.early if step < plan.early_steps and pace.early else pace.late
        step += 1
        if step % max(1, plan.steps // looks) == 0 and step < plan.steps:
            plan = adapt_plan(plan, first, actual(step / plan.steps), step, seconds - spent, ahead)
    return plan, spent + planned.end


PACE = Pace(late=2.0, early=0.5, end=10)


def scale(factor):
    return Pace(factor * PACE.late, factor * PACE.early, PACE.end)


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.0, 1.3, 2.0, 4.0])
def test_a_plan_keeps_its_time_at_another_pace(factor):
    plan, taken = simulate(1000, PACE, lambda done: scale(factor))
    assert taken == pytest.approx(1000, rel=0.1)
    assert plan.steps - plan.early_steps >= 0.5 * LEAST_LATE_SHARE * plan.steps


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3, 2.0])
def test_a_plan_keeps_its_time_when_the_machine_changes_its_pace_on_the_way(factor):
    _, taken = simulate(1000, PACE, lambda done: scale(1 if done < 0.6 else factor))
    assert taken == pytest.approx(1000, rel=0.1)
    _, taken = simulate(1000, Pace(2.0, end=10), lambda done: Pace(2.0 if done < 0.5 else 2.0 * factor, end=10))
    assert taken == pytest.approx(1000, rel=0.1)


def test_a_slower_machine_first_gets_fewer_full_size_crops_then_fewer_steps():
    before = plan_steps(1000, PACE)
    slower = adapt_plan(before, before, scale(1.3), 10, 990, 6)
    assert slower.steps == before.steps
    assert slower.early_steps > before.early_steps
    assert adapt_plan(before, before, scale(3), 10, 990, 6).steps < before.steps
    assert adapt_plan(before, before, scale(0.9), 10, 990, 6).early_steps < before.early_steps


def test_steps_on_their_way_keep_their_size():
    plan, pace = Plan(100, 75), Pace(2.0, 0.5, 0)
    assert adapt_plan(plan, plan, pace, 60, 68, 8) == Plan(100, 68)
    assert adapt_plan(plan, plan, pace, 60, 1000, 8) == Plan(150, 68)
    assert adapt_plan(plan, plan, pace, 70, 1, 8) == Plan(78, 75)


@pytest.mark.parametrize("steps", [40, 60, 99])
def test_a_shortened_schedule_falls_to_its_end_and_resumes(steps):
    rates = []
    for resumed in (False, True):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
        schedule = one_cycle(optimizer, 0.5, 100)
        found = []
        for step in range(1, steps + 1):
            optimizer.step()
            schedule.step()
            found.append(schedule.get_last_lr()[0])
            if step == 30:
                shorten(schedule, steps)
            if step == 35 and resumed:
                state, groups = schedule.state_dict(), optimizer.state_dict()
                optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
                schedule = one_cycle(optimizer, 0.5, 100)
                optimizer.load_state_dict(groups)
                schedule.load_state_dict(state)
        rates.append(found)
    assert rates[0] == rates[1]
    assert all(one > other for one, other in zip(rates[0][11:], rates[0][12:], strict=False))
    assert rates[0][-1] < 1e-4


def test_small_crops_show_things_as_large_as_full_size_crops_do(tmp_path):
    data = PhotoData(str(tmp_path), image_size=256, early_size=128, early_steps=3, batch_size=2)
    data.training_paths = [tmp_path / "none.jpg"]
    streams = [data._make_stream(size)._augment.transforms[0] for size in (256, 128)]
    assert streams[0].scale == (0.4, 1.0)
    assert streams[1].scale == (0.1, 0.25)
    assert [data.size_of_step(step) for step in range(5)] == [128, 128, 128, 256, 256]


def test_the_change_of_size_may_be_moved_while_photos_are_read(tmp_path):
    data = PhotoData(str(tmp_path), image_size=256, early_size=128, early_steps=2, batch_size=1)
    batches = iter(_SizedSampler(timing_sampler(6), data))
    assert next(batches) == [(128, 0)]
    data.early_steps = 4
    assert [size for ((size, _),) in batches] == [128, 128, 128, 256, 256]


def timing_sampler(steps):
    from data.photos import StepSampler

    return StepSampler(1, steps)


def timed(folder, **options):
    return arguments(folder, steps=None, trainer__val_check_interval=500, minutes=0.1, **options)


@pytest.fixture
def short(monkeypatch):
    """Set less time aside for the end: this network is exported in a moment."""
    monkeypatch.setattr(timing, "END_SECONDS", 1.0)


@pytest.mark.slow
def test_a_run_takes_the_time_that_it_is_given(tmp_path, capsys, short):
    begin = time.monotonic()
    assert main(timed(tmp_path, data__image_size=96, data__early_size=64)) == 0
    assert time.monotonic() - begin == pytest.approx(6, rel=0.5)
    said = capsys.readouterr().out.splitlines()[0]
    assert "0.1 minutes" in said
    assert "at 64 px" in said
    assert "at 96 px" in said
    run = tmp_path / "runs" / "small"
    _, card = load_style(run / "style.safetensors")
    assert card.steps >= timing.LEAST_STEPS
    assert card.held_out_loss is not None
    assert yaml.safe_load((run / "config.yaml").read_text())["minutes"] == 0.1


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_its_plan(tmp_path, capsys, monkeypatch, short):
    save = LatestCheckpoint.on_train_batch_end

    def stop_at_five(callback, trainer, *others):
        callback._asked_to_stop = trainer.global_step == 5
        save(callback, trainer, *others)

    options = {"data.image_size": 96, "data.early_size": 64}
    with monkeypatch.context() as stopped:
        stopped.setattr(LatestCheckpoint, "on_train_batch_end", stop_at_five)
        assert main(timed(tmp_path, **options)) == 130
    run = tmp_path / "runs" / "small"
    plan = torch.load(run / "last.ckpt", weights_only=True)["callbacks"]["TimeKeeper"]
    begin = time.monotonic()
    monkeypatch.setattr(timing, "measure_step", None)
    assert main(["fit", "--config", str(run / "config.yaml"), "--ckpt_path", "last"]) == 0
    assert time.monotonic() - begin == pytest.approx(6 - plan["spent"], abs=3)
    assert 5 < load_style(run / "style.safetensors")[1].steps <= timing.count_most(plan["first_steps"])
    assert f"{plan['steps']} steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"trainer.max_steps": 7}, "--trainer.max_steps 7"),
        ({"minutes": 0}, "--minutes"),
        ({"minutes": -1}, "--minutes"),
        ({"minutes": 0.001}, "give at least"),
        ({"data.early_size": 32}, "--data.early_size"),
        ({"data.early_size": 128, "data.image_size": 64}, "--data.early_size"),
    ],
)
def test_a_time_that_cannot_be_kept_is_refused_and_nothing_is_written(tmp_path, one_error, wrong, named):
    options = {"minutes": 1, "trainer.max_steps": None, "trainer.val_check_interval": 500} | wrong
    assert main(arguments(tmp_path, **options)) == 2
    assert named in one_error()
    assert not (tmp_path / "runs" / "small").exists()


def test_a_run_without_a_time_is_not_resumed_with_one(tmp_path, capsys):
    assert main(arguments(tmp_path, steps=2)) == 0
    capsys.readouterr()
    assert main(timed(tmp_path, ckpt_path="last")) == 2
    assert "was begun without --minutes" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "early"), [(None, 128), (256, None), (192, None)])
def test_crops_begin_small_unless_their_size_is_given(tmp_path, monkeypatch, given, early):
    seen = []

    def look(data, stage):
        seen.append(data.early_size)
        raise KeyboardInterrupt

    monkeypatch.setattr(PhotoData, "setup", look)
    assert main(timed(tmp_path, data__image_size=given)) == 130
    assert seen == [early]


def test_small_crops_may_be_asked_for_by_steps(tmp_path):
    options = {"data.image_size": 96, "data.early_size": 64, "data.early_steps": 2}
    assert main(arguments(tmp_path, steps=4, **options)) == 0
    assert main(arguments(tmp_path, steps=4, ckpt_path="last", **options)) == 0
    assert main(arguments(tmp_path, steps=4, ckpt_path="last", **options | {"data.early_steps": 3})) == 2
