"""What is timed and examined is what the trainer computes."""

import inspect
import itertools

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from data.photos import PhotoBatch, PhotoStream, read_style
from models import motion
from models.losses import STABILITY_BALANCE, LossConfig, LossTerms
from models.network import NetworkConfig, StyleNetwork
from models.turned_loss import TurnedLoss
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from tests.pictures import noise, write
from train.compute.precision import FLOAT32
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining
from train.fit.step import add_stability, build_step, compute_loss


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


def build_loss(tmp_path, **weights):
    config = LossConfig(SHALLOW_CONTENT, SHALLOW_STYLE, **weights)
    loss = TurnedLoss(VGGFeatures("vgg19", config.layers, str(write_weights(tmp_path / "vgg.safetensors"))), config)
    loss.set_style([torch.rand(1, 3, 48, 48)])
    return loss


def test_noise_begins_elsewhere_at_each_step_and_is_compiled_once(tmp_path):
    loss = build_loss(tmp_path)
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


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_stability_adds_its_term_and_one_pass_where_it_counts_and_nothing_elsewhere(tmp_path, weight):
    loss = build_loss(tmp_path, stability_weight=weight)
    network, counter, pictures = StyleNetwork(NetworkConfig(4, 0)), CompileCounter(), []
    compiled = torch.compile(network.transform, backend=counter)

    def transform(noisy):
        pictures.append(compiled(noisy))
        return pictures[-1]

    photos = torch.rand(2, 3, 64, 64)
    terms = compute_loss(network, transform, loss, photos, 3, 1)
    plain = loss(pictures[0], photos.contiguous(memory_format=torch.channels_last), 3)
    assert len(pictures) == (2 if weight else 1)
    assert counter.frame_count == 1
    assert torch.equal(terms.total, plain.total + STABILITY_BALANCE * weight * terms.stability)
    assert (terms.stability > 0.01) == bool(weight)


NO_TERMS = LossTerms(*torch.zeros(4))


def measure_stability(transform, step=0):
    photos = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(step))
    return add_stability(NO_TERMS, 1.0, transform, photos, transform(photos), step, 0)


def test_a_map_that_moves_with_the_photo_is_stable_and_one_that_is_tied_to_places_is_not(monkeypatch):
    monkeypatch.setattr(motion, "SENSOR_NOISE", 0)
    texture = 0.1 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    assert measure_stability(lambda photos: 1 - photos.flip(1)).stability < 1e-4
    assert measure_stability(lambda photos: photos + texture).stability > 0.05


def test_a_network_learns_to_be_stable():
    torch.manual_seed(0)
    network = StyleNetwork(NetworkConfig(4, 0))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    found = []
    for step in range(30):
        terms = measure_stability(network.transform, step)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        found.append(terms.stability.item())
    assert sum(found[-5:]) < 0.7 * sum(found[:5])


def test_trainer_and_everyone_else_crop_photos_alike():
    defaults = [inspect.signature(made).parameters["crop_scale"].default for made in (PhotoStream, PhotoData)]
    assert defaults == [(0.4, 1.0), (0.4, 1.0)]
