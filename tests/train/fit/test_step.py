"""What is timed and examined is what the trainer computes."""

import inspect

import torch

from data.photos import PhotoBatch, PhotoStream, read_style
from tests.perceptual_weights import write_weights
from tests.pictures import noise, write
from train.compute.precision import FLOAT32
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining
from train.fit.step import build_step


def test_step_outside_of_lightning_has_the_trainers_loss(tmp_path, monkeypatch):
    painting = write(tmp_path / "painting.png", noise(64, 64))
    weights = str(write_weights(tmp_path / "vgg.safetensors", deepest="relu4_2"))
    photos = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    step, _ = build_step(weights, read_style(painting, 64), 10, seed=3, precision=FLOAT32, compiled=False)
    torch.manual_seed(3)
    training = StyleTraining(str(painting), style_size=64, perceptual_weights=weights)
    training.prepare()
    training.network.to(memory_format=torch.channels_last)
    monkeypatch.setattr(training, "log", lambda *_, **__: None)
    found = training.training_step(PhotoBatch(photos, ()), 0)
    assert torch.equal(step(photos / 255), found["loss"].detach())


def test_trainer_and_everyone_else_crop_photos_alike():
    defaults = [inspect.signature(made).parameters["crop_scale"].default for made in (PhotoStream, PhotoData)]
    assert defaults == [(0.4, 1.0), (0.4, 1.0)]
