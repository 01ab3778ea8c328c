"""The time to quality: ours gets longer until it is as good as the reference, by one measure for both."""

import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from data.photos import read_style
from models.names import STYLE_SIZE
from models.network import NetworkConfig
from models.start import StartCard, StartNetwork, count_statistics, save_start
from train.bench import measure, time_to_quality
from train.bench.command import HELD_OUT, main
from train.bench.reference import ReferenceNetwork
from train.bench.time_to_quality import (
    Task,
    TimedTraining,
    TimeToQuality,
    ValidationLoss,
    choose_start,
    compile_ahead,
    count_early_steps,
    describe_result,
    double_lengths,
)
from train.fit.module import StyleTraining
from train.fit.origin import RANDOM, Origin

LOSSES = {10: 1.2, 20: 0.9, 40: 0.7, 80: 0.6}


def take(steps, loss=None, compile_seconds=0.0, pace=2.0):
    return TimedTraining(steps, 5.0, compile_seconds, pace * steps, LOSSES[steps] if loss is None else loss)


@pytest.mark.parametrize(("loss", "lengths"), [(1.5, [10]), (0.9, [10, 20]), (0.65, [10, 20, 40, 80])])
def test_lengths_double_until_the_loss_is_reached(loss, lengths):
    found = double_lengths(take, take(300, loss))
    assert [training.steps for training in found] == lengths
    assert TimeToQuality(take(300, loss), found).is_reached


def test_no_training_begins_once_one_has_taken_as_long_as_the_reference():
    reference = take(300, loss=0.1, pace=0.15)  # 50 seconds, of which the 40th step of ours is far beyond.
    found = TimeToQuality(reference, double_lengths(take, reference))
    assert [training.steps for training in found.ours] == [10, 20, 40]
    assert not found.is_reached
    assert found.to_json()["fraction"] is None
    assert "did not reach" in describe_result(found)


def test_the_fraction_is_that_of_the_shortest_training_with_and_without_compiling():
    reference = TimedTraining(300, 5, 0, 195, loss=0.8)
    found = TimeToQuality(reference, [take(10), take(20), take(40, compile_seconds=15)])
    assert (found.fraction, found.fraction_without_compiling) == (0.5, 0.425)
    sentence = describe_result(found)
    assert (
        "in 50.0% of its time, 42.5% without compiling: 40 steps and 100.0 s against 300 steps and 200.0 s" in sentence
    )
    assert found.to_json()["ours"][-1]["steps"] == 40


def test_three_quarters_of_our_steps_have_small_crops_where_crops_are_large(inputs):
    assert [count_early_steps(40, size) for size in (256, 128, 64)] == [30, 0, 0]
    task = Task("default", inputs / "painting.png", inputs / "photos", 256, 1, Origin(RANDOM, ""))
    data = task.read_photos(30)
    assert [data.size_of_step(step) for step in (0, 29, 30)] == [128, 128, 256]
    assert len(data.held_out_paths) == HELD_OUT


@pytest.mark.slow
def test_the_validation_loss_is_that_of_the_trainer(inputs):
    torch.manual_seed(3)
    weights, painting = str(inputs / "vgg.safetensors"), inputs / "painting.png"
    data = Task(weights, painting, inputs / "photos", 64, 4, Origin(RANDOM, "")).read_photos()
    model = StyleTraining(str(painting), perceptual_weights=weights)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (losses,) = trainer.validate(model, datamodule=data, verbose=False)
    validate = ValidationLoss(weights, read_style(painting, STYLE_SIZE), data.held_out_paths, 64)
    assert validate(model.network) == pytest.approx(losses["val_loss"], rel=1e-4)


def test_the_reference_is_validated_as_a_style_network_that_repaints_alike():
    torch.manual_seed(3)
    reference = ReferenceNetwork(NetworkConfig(width=4, residual_blocks=1))
    photo = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(reference.to_style()(photo), reference(photo), rtol=0, atol=1e-5)


def test_ours_starts_from_a_kept_style_where_there_is_no_shared_start(tmp_path):
    origin = choose_start(None, tmp_path / "start.safetensors")
    assert origin.start_from == "wave"
    assert origin.description == "from wave (the shared start start.safetensors is not there)"


def test_ours_starts_from_the_shared_start_unless_told(tmp_path):
    path = tmp_path / "start.safetensors"
    save_start(path, StartNetwork(count_statistics(), NetworkConfig()), StartCard())
    assert choose_start(None, path) == Origin(str(path), "from the shared start start.safetensors")
    assert choose_start("none", path).start_from == RANDOM


def test_all_crops_are_compiled_for_and_only_compiling_is_counted(inputs, monkeypatch):
    sizes, clock = [], iter([0.0, 70.0, 100.0, 130.0])

    def measure_step(trainer, model, batch, size):
        sizes.append(size)
        return 5.0  # Four steps are taken.

    class Model:
        def compile_network(self):
            assert not sizes

    monkeypatch.setattr(time_to_quality, "measure_step", measure_step)
    monkeypatch.setattr(time_to_quality.time, "perf_counter", lambda: next(clock))
    task = Task("default", inputs / "painting.png", inputs / "photos", 256, 1, Origin(RANDOM, ""))
    assert compile_ahead(None, Model(), task.read_photos(early_steps=3)) == 50 + 10
    assert sizes == [128, 256]


@pytest.fixture
def only_time_to_quality(inputs, monkeypatch):
    """Arguments of the command, whose other measurements take no time."""
    both = {"reference": 4.0, "ours": 2.0}
    speed = {"batch": 1, "size": 64, "seconds_per_step": both, "pictures_per_second": both, "ratio": 2.0}
    speed |= {"peak_mb": both, "growth_mb": {"steps": 1, "resident_mb": 0.0}}
    monkeypatch.setattr(measure, "measure_ceiling", lambda names: dict.fromkeys(names, 100.0))
    monkeypatch.setattr(measure, "count_gflop", lambda *_: 200.0)
    monkeypatch.setattr(measure, "measure_speed", lambda *_: speed)
    monkeypatch.setattr(measure, "measure_decoding", lambda *_: 1.0)
    flags = {"--photos": "photos", "--perceptual-weights": "vgg.safetensors", "--output": "figures.json"}
    flags |= {"--image-size": "64", "--batch-size": "1", "--reference-steps": "2"}
    monkeypatch.chdir(inputs)
    return ["--time-to-quality", *(word for pair in flags.items() for word in pair)]


@pytest.mark.slow
def test_the_bench_tells_the_time_to_quality(only_time_to_quality, monkeypatch, capsys):
    losses = iter([1.0, 0.9])
    monkeypatch.setattr(time_to_quality, "ValidationLoss", lambda *_: lambda network: next(losses))
    assert main(only_time_to_quality) == 0
    said = capsys.readouterr().out
    assert "no --painting is given, so that the bench draws one" in said
    assert "ours reaches the reference's validation loss in" in said
    found = json.loads(Path("figures.json").read_text())["time_to_quality"]
    reference, (ours,) = found["reference"], found["ours"]
    assert (reference["steps"], reference["loss"], ours["steps"], ours["loss"]) == (2, 1.0, 10, 0.9)
    seconds = [row["prepare_seconds"] + row["step_seconds"] for row in (ours, reference)]
    assert found["fraction"] == found["fraction_without_compiling"] == pytest.approx(seconds[0] / seconds[1])


def test_ctrl_c_says_what_is_lost(only_time_to_quality, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time_to_quality, "train_reference", lambda *_: take(300, loss=0.5))
    monkeypatch.setattr(time_to_quality, "train_ours", interrupt)
    monkeypatch.setattr(time_to_quality, "ValidationLoss", lambda *_: None)
    assert main([*only_time_to_quality, "--painting", "painting.png"]) == 130
    error = capsys.readouterr().err
    assert "stopped while measuring the time to quality (our training of 10 steps), which is lost" in error
    assert not Path("figures.json").exists()
