"""A training fits a time: it is planned from measured steps, adapted to the pace, and resumed by its plan."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
import yaml

from data.photos import StepSampler
from models.network import NetworkConfig
from models.style_file import load_style
from tests.train.small_run import arguments
from train.fit import timing
from train.fit.checkpoint import LatestCheckpoint
from train.fit.command import main
from train.fit.datamodule import PhotoData, _SizedSampler
from train.fit.module import StyleTraining
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
    assert adapt_plan(plan, plan, pace, 60, 6, 8) == Plan(69, 68)
    assert adapt_plan(plan, plan, pace, 70, 0, 8) == Plan(71, 71)


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
    batches = iter(_SizedSampler(StepSampler(1, 6), data))
    assert next(batches) == [(128, 0)]
    data.early_steps = 4
    assert [size for ((size, _),) in batches] == [128, 128, 128, 256, 256]


class Clock:
    """A clock that only training steps advance, by ``factor`` times the time at which they are measured."""

    def __init__(self):
        self.now, self.factor = 100.0, 1.0

    def __call__(self):
        return self.now

    def measure(self, trainer, model, batch_size, size):
        return {64: 0.5, 96: 2.0}[size]


@pytest.fixture
def clock(monkeypatch):
    clock, step = Clock(), StyleTraining.training_step

    def take(model, batch, index):
        clock.now += clock.factor * clock.measure(None, None, None, batch.photos.shape[-1])
        return step(model, batch, index)

    monkeypatch.setattr(StyleTraining, "training_step", take)
    monkeypatch.setattr(timing, "measure_step", clock.measure)
    monkeypatch.setattr("train.fit.command.TimeKeeper", partial(timing.TimeKeeper, clock=clock))
    return clock


SIZES = {"data.image_size": 96, "data.early_size": 64}


def timed(folder, **options):
    rare = dict.fromkeys(("trainer.val_check_interval", "preview.every_n_steps", "checkpoint.every_n_steps"), 500)
    return arguments(folder, steps=None, minutes=0.5, **rare, **options)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.6])
def test_a_run_takes_the_time_that_it_is_given(tmp_path, capsys, clock, factor):
    clock.factor = factor
    assert main(timed(tmp_path, **SIZES)) == 0
    end = timing.END_SECONDS + 0.5 * 2.0
    assert clock.now - 100 + factor * end == pytest.approx(30, rel=0.1)
    said = capsys.readouterr().out.splitlines()[0]
    assert "0.5 minutes, of which 0.0 are over: 27 steps, the first 20 at 64 px, 0.5 s each" in said
    run = tmp_path / "runs" / "small"
    _, card = load_style(run / "style.safetensors")
    assert card.held_out_loss is not None
    assert (run / "previews" / f"step-{card.steps:06d}.png").exists()
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == card.steps
    assert float((run / "metrics.csv").read_text().splitlines()[-1].split(",")[-1]) < 1e-4
    assert yaml.safe_load((run / "config.yaml").read_text())["minutes"] == 0.5


@pytest.mark.parametrize("how", ["same command", "config.yaml"])
def test_a_stopped_run_goes_on_with_its_plan_and_what_is_left_of_its_time(tmp_path, capsys, monkeypatch, clock, how):
    save = LatestCheckpoint.on_train_batch_end

    def stop_at_five(callback, trainer, *others):
        callback._asked_to_stop = trainer.global_step == 5
        save(callback, trainer, *others)

    clock.factor = 1.2
    with monkeypatch.context() as stopped:
        stopped.setattr(LatestCheckpoint, "on_train_batch_end", stop_at_five)
        assert main(timed(tmp_path, **SIZES)) == 130
    run = tmp_path / "runs" / "small"
    plan = torch.load(run / "last.ckpt", weights_only=True)["callbacks"]["TimeKeeper"]
    assert plan["spent"] == pytest.approx(clock.now - 100)
    capsys.readouterr()
    clock.now += 1000
    monkeypatch.setattr(timing, "measure_step", None)
    again = timed(tmp_path, **SIZES) if how == "same command" else ["fit", "--config", str(run / "config.yaml")]
    assert main([*again, "--ckpt_path", "last"]) == 0
    assert clock.now - 1100 + timing.END_SECONDS + 1 == pytest.approx(30, rel=0.1)
    assert f": {plan['steps']} steps, the first {plan['early_steps']} at 64 px" in capsys.readouterr().out


def test_measuring_a_step_changes_no_weight(tmp_path):
    flags = dict(flag[2:].split("=") for flag in arguments(tmp_path)[1:])
    layers = {"content_layers": {"relu2_1": 1}, "style_layers": {"relu1_1": 1, "relu2_1": 1}}
    model = StyleTraining(
        flags["model.style"],
        48,
        perceptual_weights=flags["model.perceptual_weights"],
        network=NetworkConfig(4, 1),
        **layers,
    )
    model.prepare()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert timing.measure_step(trainer, model, 2, 64) > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


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


def test_a_typed_time_replaces_the_length_of_a_stage(tmp_path, capsys, clock):
    stage = tmp_path / "stage.yaml"
    stage.write_text("trainer:\n  max_steps: 7\n")
    run = timed(tmp_path, **SIZES)
    assert main([run[0], f"--config={stage}", *run[1:]]) == 0
    assert "27 steps" in capsys.readouterr().out
    stage.write_text("minutes: 0.1\ntrainer:\n  max_steps: 7\n")
    run = [word for word in run if not word.startswith("--minutes")]
    assert main([run[0], f"--config={stage}", *run[1:], "--overwrite=true"]) == 2
    assert "give one of them" in capsys.readouterr().err


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
