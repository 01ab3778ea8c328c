"""The kept styles load, export, and repaint a photo."""

import numpy as np
import pytest
import yaml
from safetensors import safe_open

from data.images import decode, to_array
from data.samples import sample_photo
from export.convert import convert
from export.runtime import Stylizer
from models.weights import load_style
from tests.small_run import ROOT

STYLES = sorted((ROOT / "models" / "pretrained").glob("*.safetensors"))


def test_two_styles_are_kept():
    assert len(STYLES) >= 2


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_kept_styles_are_small_and_say_where_they_come_from(path):
    assert path.stat().st_size <= 4_000_000
    with safe_open(path, framework="np") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118
    _, card = load_style(path)
    assert card.name == path.stem
    assert card.licence
    assert "sha256" in card.perceptual_source
    assert yaml.safe_load(card.training_config)["trainer"]["max_steps"] == card.steps


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_kept_styles_repaint_a_photo(path, tmp_path):
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    convert(path, tmp_path / "style.onnx")
    photo = to_array(decode(sample_photo("chelsea")))[:201, :163]
    painted = Stylizer(tmp_path / "style.onnx")(photo)
    assert painted.shape == photo.shape
    assert painted.std() > 20
    # The photo is still there: light and dark lie where they lay.
    light = [picture.astype(float).mean(2).ravel() for picture in (photo, painted)]
    assert np.corrcoef(*light)[0, 1] > 0.3
