"""The runtime passes a strength on to files that take one, in one piece and in tiles, and says which do not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.benchmark.measure import measure_model
from export.errors import ModelError
from export.graph.convert import stylize_in_torch
from export.graph.targets import choose_form
from export.runtime.stylizer import Stylizer
from models.network import NetworkConfig
from tests.export.small_export import add_strength, draw, export_style, make_network

CONFIG = NetworkConfig(4, 1)


@pytest.fixture(scope="module")
def network():
    return add_strength(make_network(CONFIG, spread=0.25))


@pytest.fixture(scope="module", params=["optional", "required"])
def model(request, network, tmp_path_factory):
    form = choose_form("web" if request.param == "required" else None, None, strength=True)
    return export_style(tmp_path_factory.mktemp(request.param) / "wave.onnx", network, form=form)


@pytest.fixture(scope="module")
def former(tmp_path_factory):
    return export_style(tmp_path_factory.mktemp("former") / "wave.onnx", make_network(CONFIG, spread=0.25))


def difference(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_pictures_are_torchs_at_every_strength(model, network):
    paint, picture = Stylizer(model, threads=1), draw()
    for strength in (0, 0.25, 0.7, 1, 1.5):
        expected = stylize_in_torch(network, picture.transpose(2, 0, 1)[None].astype(np.float32), float(strength))
        assert difference(paint(picture, strength=strength), np.rint(expected[0].transpose(1, 2, 0))) <= 1


def test_strength_is_1_unless_told_and_0_gives_the_photo(model, former):
    paint, picture = Stylizer(model, threads=1), draw()
    np.testing.assert_array_equal(paint(picture), Stylizer(former, threads=1)(picture))
    np.testing.assert_array_equal(paint(picture, strength=0), picture)


@pytest.mark.parametrize("stroke", [0.5, 2])
def test_0_gives_the_photo_with_strokes_of_any_size(model, stroke):
    picture = draw(37, 50)
    np.testing.assert_array_equal(Stylizer(model, threads=1)(picture, strength=0, stroke=stroke), picture)


def test_small_pictures_are_padded_at_every_strength(model):
    picture = draw(5, 9)
    np.testing.assert_array_equal(Stylizer(model, threads=1)(picture, strength=0), picture)


def test_tiles_have_the_strength_of_the_whole(model):
    picture = draw(131, 150)
    whole, tiled = Stylizer(model, threads=1), Stylizer(model, threads=1, tile=64)
    for strength in (0, 0.4, 1.5):
        assert difference(whole(picture, strength=strength), tiled(picture, strength=strength)) <= 1
    assert difference(tiled(picture, strength=0.4), tiled(picture)) > 10


def test_a_file_without_strength_says_what_to_use(former):
    paint = Stylizer(former, threads=1)
    assert not paint.layout.strength
    np.testing.assert_array_equal(paint(draw(), strength=1), paint(draw()))
    with pytest.raises(ModelError, match="export --strength") as caught:
        paint(draw(), strength=0.5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("strength", [-0.5, 1.51, float("nan")])
def test_strengths_out_of_range_are_refused(model, strength):
    with pytest.raises(ValueError, match=r"from 0 to 1\.5"):
        Stylizer(model, threads=1)(draw(), strength=strength)


def test_a_file_with_strength_is_tried_and_measured_like_any_other(model):
    (found,) = measure_model(model, (32,), threads=1, runs=1)
    assert found.latency_ms > 0


def test_a_strength_that_is_no_single_number_is_another_contract(tmp_path):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 3, "h", "w")) for name in ("image", "out")]
    strength = helper.make_tensor_value_info("strength", TensorProto.FLOAT, (2,))
    output = helper.make_tensor_value_info("stylized", TensorProto.FLOAT, ("n", 3, "h", "w"))
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["stylized"])], "foreign", values[:1], [output])
    graph.input.append(strength)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="strength tensor"):
        Stylizer(tmp_path / "m.onnx")
