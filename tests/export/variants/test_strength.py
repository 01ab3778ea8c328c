"""Every variant takes the strength and passes its own threshold at all of them."""

import json

import numpy as np
import pytest
import torch

from export.contract import FILES, MANIFEST, read_manifest
from export.graph.convert import draw_pictures, stylize_in_torch
from export.graph.network import build_graph
from export.graph.targets import choose_form
from export.runtime.stylizer import Stylizer
from export.runtime.tile_graph import TileGraphError, rewrite_for_tiles
from export.variants.equalization import equalize, observe
from export.variants.float16 import to_float16
from export.variants.thresholds import compare_pictures
from models.network import NetworkConfig
from tests.export.small_export import add_strength, draw, export_folder, make_network
from tests.export.variants.test_export import open_session


@pytest.fixture(scope="module")
def network():
    return add_strength(make_network(NetworkConfig(8, 1), seed=2, spread=0.3))


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    form = choose_form(None, None, strength=True)
    return export_folder(tmp_path_factory.mktemp("all"), network, form=form, ort=True)


@pytest.mark.slow
@pytest.mark.parametrize("variant", FILES)
def test_every_variant_takes_a_strength(folder, network, variant):
    paint, picture = Stylizer(folder / FILES[variant], threads=1), draw(40, 56)
    planes = picture.transpose(2, 0, 1)[None].astype(np.float32)
    for strength in (0.0, 0.4, 1.0, 1.5):
        found = paint(picture, strength=strength).transpose(2, 0, 1)
        figures = compare_pictures([found], [stylize_in_torch(network, planes, strength)[0]])
        assert figures.psnr_db > (28 if variant == "int8" else 40)
    np.testing.assert_array_equal(paint(picture, strength=0), picture)


@pytest.mark.slow
def test_manifest_and_readme_tell_the_strength(folder):
    entries = read_manifest(folder)["files"]
    assert [entry["precision"] for entry in entries] == list(FILES)
    for entry in entries:
        assert entry["strength"] == {
            "name": "strength",
            "type": "float32",
            "shape": [],
            "range": [0, 1.5],
            "default": 1,
        }
    text = (folder / "README.md").read_text()
    assert "`strength`" in text


@pytest.mark.slow
def test_manifest_of_a_style_without_strength_has_no_word_of_it(tmp_path):
    folder = export_folder(tmp_path, make_network(), variants=("float32",))
    text = (folder / MANIFEST).read_text() + (folder / "README.md").read_text()
    assert json.loads((folder / MANIFEST).read_text())["files"]
    assert "strength" not in text


@pytest.mark.parametrize("target", [None, "nnapi"])
def test_float16_computes_scales_in_float32_and_tiles_refuse_it(network, target):
    form = choose_form(target, (48, 32) if target else None, strength=True)
    model = to_float16(build_graph(network, form))
    pictures = draw_pictures(1, 48, 32)
    for strength in (0.0, 0.4, 1.5):
        feeds = {"image": pictures, "strength": np.array(strength, np.float32)}
        found = open_session(model).run(None, feeds)[0]
        assert compare_pictures(found, stylize_in_torch(network, pictures, strength)).psnr_db > 55
    if target is None:
        with pytest.raises(TileGraphError, match="another type than float32"):
            rewrite_for_tiles(model.SerializeToString())


def test_equalized_network_is_the_same_at_every_strength(network):
    pictures = draw_pictures(2, 60, 44)
    photos = [photo[None] for photo in torch.from_numpy(pictures) / 255]
    even = equalize(network, observe(network, photos, (1.0, 0.5)))
    for strength in (0.3, 1.0, 1.5):
        expected = stylize_in_torch(network, pictures, strength)
        np.testing.assert_allclose(stylize_in_torch(even, pictures, strength), expected, atol=0.5)
