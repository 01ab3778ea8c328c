"""Small inputs of the bench."""

import pytest

from models import vgg
from tests.perceptual_weights import write_weights
from tests.pictures import noise, ramp, write
from train.bench.command import HELD_OUT


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Photos, a painting, and weights of a VGG-19 with an eighth of its channels."""
    narrow = tuple(entry if isinstance(entry, str) else entry // 8 for entry in vgg.LAYOUTS["vgg19"])
    for module in ("models.vgg", "train.bench.reference"):
        monkeypatch.setattr(f"{module}.LAYOUTS", vgg.LAYOUTS | {"vgg19": narrow})
    write_weights(tmp_path / "vgg.safetensors", deepest="relu4_2")
    for index in range(HELD_OUT + 1):
        write(tmp_path / "photos" / f"{index:02}.png", noise(72, 68, seed=index))
    write(tmp_path / "painting.png", ramp(80, 64))
    return tmp_path
