"""The kept styles load, export, and repaint a photo."""

import numpy as np
import pytest
import yaml
from safetensors import safe_open

from data.images import decode, to_array
from data.samples import sample_photo
from export.graph.convert import convert
from export.runtime.stylizer import Stylizer
from models.style_file import load_style
from tests import ROOT
from tests.configs.test_configs import PAINTINGS

STYLES = sorted((ROOT / "models" / "pretrained").glob("*.safetensors"))


def test_every_configured_painting_is_kept_one_in_three_widths_and_two_for_videos():
    widths = {path.stem: load_style(path)[0].config.width for path in STYLES}
    narrow = {"wave_half": 16, "wave_nano": 8}
    assert widths == narrow | dict.fromkeys([*PAINTINGS, "wave_stable", "udnie_stable"], 32)


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_kept_styles_are_small_and_say_where_they_come_from(path):
    assert path.stat().st_size <= 4_000_000
    with safe_open(path, framework="np") as file:
        kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    # As python -m train.keep writes them: 16 bits each, or 8 in every kernel and float32 for the kernels' scales.
    eight = {name for name, kind in kinds.items() if kind == "I8"}
    scales = {name for name, kind in kinds.items() if kind == "F32"}
    assert scales == {f"{name}.scale" for name in eight}
    assert {kind for name, kind in kinds.items() if name not in eight | scales} == {"F16"}
    _, card = load_style(path)
    assert card.name == path.stem
    assert card.license
    assert "sha256" in card.perceptual_source
    trainer = yaml.safe_load(card.training_config)["trainer"]
    assert trainer["max_steps"] == card.steps
    # The last step was judged on held-out photos.
    assert card.held_out_loss
    assert card.steps % trainer["val_check_interval"] == 0


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
