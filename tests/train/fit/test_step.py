"""What is timed and examined is what the trainer computes."""

import inspect
import itertools

import torch
from torch._dynamo.testing import CompileCounter

from data.photos import PhotoBatch, PhotoStream, read_style
from models.losses import LossConfig
from models.network import NetworkConfig, StyleNetwork
from models.turned_loss import TurnedLoss
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from tests.pictures import noise, write
from train.compute.precision import FLOAT32
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining
from train.fit.step import build_step, compute_loss


def test_step_outside_of_lightning_has_the_trainers_loss(tmp_path, monkeypatch):
    painting = write(tmp_path / "painting.png", noise(64, 64))
    weights = str(write_weights(tmp_path / "vgg.safetensors", deepest="relu4_2"))
    photos = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    step, _ = build_step(weights, read_style(painting, 64), 10, seed=3, precision=FLOAT32, compiled=False)
    torch.manual_seed(3)
    training = StyleTraining(str(painting), style_size=64, perceptual_weights=weights, seed=3)
    training.prepare()
    training.network.to(memory_format=torch.channels_last)
    monkeypatch.setattr(training, "log", lambda *_, **__: None)
    found = training.training_step(PhotoBatch(photos, ()), 0)
    assert torch.equal(step(photos / 255), found["loss"].detach())


def test_noise_begins_elsewhere_at_each_step_and_is_compiled_once(tmp_path):
    weights = str(write_weights(tmp_path / "vgg.safetensors"))
    config = LossConfig(SHALLOW_CONTENT, SHALLOW_STYLE)
    loss = TurnedLoss(VGGFeatures("vgg19", config.layers, weights), config)
    loss.set_style([torch.rand(1, 3, 48, 48)])
    network, counter, seen = StyleNetwork(NetworkConfig(4, 0)), CompileCounter(), []
    compiled = torch.compile(network.transform, backend=counter)

    def transform(photos):
        seen.append(photos)
        return compiled(photos)

    photos = torch.rand(2, 3, 40, 44)
    for step, seed in ((0, 1), (1, 1), (2, 1), (1, 1), (1, 2)):
        assert compute_loss(network, transform, loss, photos, step, seed).total.isfinite()
    assert counter.frame_count == 1
    noises = torch.stack(seen) - photos
    assert torch.equal(noises[3], noises[1])
    for one, other in itertools.combinations((0, 1, 2, 4), 2):
        assert not torch.allclose(noises[one], noises[other], atol=0.01)


def test_trainer_and_everyone_else_crop_photos_alike():
    defaults = [inspect.signature(made).parameters["crop_scale"].default for made in (PhotoStream, PhotoData)]
    assert defaults == [(0.4, 1.0), (0.4, 1.0)]
