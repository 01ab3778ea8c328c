"""A network learns to paint the pictures of another."""

from pathlib import Path

import pytest
import torch
import yaml

from models.losses import LossConfig
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, load_style, save_style
from models.turned_loss import TurnedLoss
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from tests.train.small_run import arguments
from train.fit.command import main
from train.fit.step import compute_loss
from train.fit.teacher import TEACHER_BALANCE, Teacher, keep_pictures


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "wide.safetensors"
    save_style(path, StyleNetwork(NetworkConfig(6, 1)), StyleCard("wide"))
    return path


def test_the_content_that_is_kept_is_the_teachers_picture(tmp_path, wide):
    config = LossConfig(SHALLOW_CONTENT, SHALLOW_STYLE)
    loss = TurnedLoss(VGGFeatures("vgg19", config.layers, str(write_weights(tmp_path / "vgg.safetensors"))), config)
    loss.set_style([torch.rand(1, 3, 48, 48)])
    photos, teacher, same = torch.rand(2, 3, 64, 64), Teacher(str(wide)), load_style(wide)[0]
    for step in (0, 5):
        terms = compute_loss(same, same.transform, loss, photos, step, 3, teacher)
        assert terms.content < 1e-6
        assert compute_loss(same, same.transform, loss, photos, step, 3).content > 0.01
    other = StyleNetwork(NetworkConfig(4, 1))
    compute_loss(other, other.transform, loss, photos, 0, 3, teacher).total.backward()
    assert all(parameter.grad is None for parameter in teacher.network.parameters())
    assert any(parameter.grad is not None for parameter in other.parameters())


def test_a_picture_is_kept_in_all_layers_and_a_photo_in_its_own():
    config = LossConfig({"relu3_3": 2, "relu2_1": 2}, {"relu1_1": 3, "relu2_1": 1}, content_weight=0.5, style_weight=2)
    taught = keep_pictures(config)
    assert taught.content_layers == {"relu3_3": 0.5, "relu2_1": 0.75, "relu1_1": 0.75}
    assert taught.content_weight == TEACHER_BALANCE / 2
    assert (taught.style_layers, taught.style_weight) == (config.style_layers, config.style_weight)
    assert set(taught.layers) == set(config.layers)
    plain = LossConfig({"relu3_3": 2}, style_weight=0)
    assert keep_pictures(plain).content_layers == {"relu3_3": 1}
    assert keep_pictures(LossConfig(content_focus=1)).content_focus == 0


def test_a_training_nears_its_teacher_and_does_not_keep_it(tmp_path, wide):
    options = {"model.style_weight": 0, "model.palette_weight": 0, "model.spectrum_weight": 0}
    options |= {"model.learning_rate": 1e-2}
    options |= {"model.teacher": wide, "trainer.val_check_interval": 30}
    assert main(arguments(tmp_path, steps=30, **options)) == 0
    run = tmp_path / "runs" / "small"
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    content = [float(row[rows[0].index("content")]) for row in rows[1:]]
    assert content[-1] < 0.9 * content[0]
    network, card = load_style(run / "style.safetensors")
    assert yaml.safe_load(card.training_config)["model"]["teacher"] == str(wide)
    checkpoint = torch.load(run / "last.ckpt", weights_only=False)
    assert checkpoint["state_dict"].keys() == {f"network.{name}" for name in network.state_dict()}


def test_a_run_is_not_resumed_without_its_teacher(tmp_path, wide, capsys):
    assert main(arguments(tmp_path, steps=2, **{"model.teacher": wide})) == 0
    assert main(arguments(tmp_path, steps=2, ckpt_path="last")) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"--model.teacher {wide}" in told
    assert "--model.teacher null" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model.teacher": "missing.safetensors"}, "missing.safetensors"),
        ({"model.network.strength": "true"}, "--model.teacher is given and --model.network.strength is true"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(tmp_path, wide, options, told, one_error):
    start = {"model.start_from": wide, "model.network.width": 6}
    assert main(arguments(tmp_path, **({"model.teacher": wide} | start | options))) == 2
    assert told in one_error()
    assert not (tmp_path / "runs" / "small").exists()
