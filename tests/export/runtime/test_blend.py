"""A blend is the network whose weights are the mean of several networks' weights."""

import pickle

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export.contract import is_intact, seal
from export.errors import ExportError, ModelError
from export.graph.targets import choose_form
from export.runtime.blend import blend_styles
from export.runtime.stylizer import Stylizer
from export.styles import find_style
from export.variants.float16 import to_float16
from export.variants.weights8 import to_weights8
from models.network import NetworkConfig
from models.style_file import StyleCard
from tests.export.small_export import add_strength, draw, export_style, make_network, write_foreign

CONFIG = NetworkConfig(8, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two styles of one architecture, the network halfway between them, and others."""
    folder = tmp_path_factory.mktemp("styles")
    one, other, middle = (make_network(CONFIG, seed, spread=0.3) for seed in (1, 2, 3))
    with torch.no_grad():
        for target, *sources in zip(*(network.parameters() for network in (middle, one, other)), strict=True):
            target.copy_(0.25 * sources[0] + 0.75 * sources[1])
    cards = {"one": StyleCard("one", "CC0", steps=10), "other": StyleCard("other", "MIT", held_out_loss=0.5)}
    for name, network in (("one", one), ("other", other), ("middle", middle)):
        export_style(folder / name / f"{name}.onnx", network, cards.get(name, StyleCard(name)))
    for name, config in (
        ("deep", NetworkConfig(8, 2)),
        ("wide", NetworkConfig(12, 1)),
        ("replicate", NetworkConfig(8, 1, "replicate")),
    ):
        export_style(folder / name / f"{name}.onnx", make_network(config))
    return folder


def path(folder, name):
    return str(folder / name / f"{name}.onnx")


def blend(folder, one=1.0, other=3.0):
    return blend_styles({path(folder, "one"): one, path(folder, "other"): other})


def seal_again(model):
    return seal(model.SerializeToString())


def difference(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_a_blend_paints_as_the_network_of_mean_weights(folder):
    photo = draw(40, 50)
    blended = Stylizer(blend(folder), threads=1)(photo)
    assert difference(blended, Stylizer(path(folder, "middle"), threads=1)(photo)) <= 1
    for name in ("one", "other"):
        assert difference(blended, Stylizer(path(folder, name), threads=1)(photo)) > 20


def test_shares_are_divided_by_their_sum(folder):
    assert blend(folder, 0.25, 0.75).content == blend(folder).content


def test_a_blend_is_a_whole_file_with_a_card(folder, tmp_path):
    made = blend(folder)
    assert is_intact(made.content)
    (tmp_path / "mix.onnx").write_bytes(made.content)
    onnx.checker.check_model(onnx.load(tmp_path / "mix.onnx"), full_check=True)
    card = Stylizer(tmp_path / "mix.onnx", threads=1).card
    assert (card.style, card.license, card.held_out_loss) == ("one 0.25 + other 0.75", "CC0; MIT", None)
    assert card.training_config == 'blend: [["one", 0.25], ["other", 0.75]]\n'
    assert (str(made.path), made.title) == ("one-other.onnx", card.style)
    assert made.sources == (folder / "one" / "one.onnx", folder / "other" / "other.onnx")


def test_a_blend_is_cut_into_tiles_as_every_file_is(folder):
    photo = draw(90, 131)
    tiled = Stylizer(blend(folder), threads=1, tile=64)(photo)
    assert difference(tiled, Stylizer(blend(folder), threads=1)(photo)) <= 1


def test_weights_of_8_bits_are_restored_first(folder, tmp_path):
    small = onnx.load(path(folder, "other"))
    (tmp_path / "small.onnx").write_bytes(seal_again(to_weights8(small)))
    for shares in (
        {path(folder, "one"): 1, str(tmp_path / "small.onnx"): 3},
        {str(tmp_path / "small.onnx"): 3, path(folder, "one"): 1},
    ):
        blended = Stylizer(blend_styles(shares), threads=1)(draw(40, 50))
        assert np.abs(blended - Stylizer(blend(folder), threads=1)(draw(40, 50)).astype(int)).mean() < 3


def test_a_blend_takes_a_strength_if_one_of_its_styles_does(folder, tmp_path):
    strong = add_strength(make_network(CONFIG, 1, spread=0.3))
    export_style(tmp_path / "strong.onnx", strong, form=choose_form(None, None, strength=True))
    shares = {str(tmp_path / "strong.onnx"): 1, path(folder, "other"): 3}
    photo = draw(40, 50)
    for ordered in (shares, dict(reversed(shares.items()))):
        paint = Stylizer(blend_styles(ordered), threads=1)
        assert difference(paint(photo), Stylizer(path(folder, "middle"), threads=1)(photo)) <= 1
        np.testing.assert_array_equal(paint(photo, strength=0), photo)
        assert difference(paint(photo, strength=1.5), paint(photo)) > 1
        # The change of its norms counts as much as it does.
        weaker = onnx.load_from_string(blend_styles(ordered).content).graph.initializer
        changes = {
            one.name: numpy_helper.to_array(one) for one in onnx.load(tmp_path / "strong.onnx").graph.initializer
        }
        kept = [one for one in weaker if one.name.endswith((".below", ".above"))]
        assert len(kept) == sum(name.endswith((".below", ".above")) for name in changes) > 0
        for one in kept:
            np.testing.assert_allclose(numpy_helper.to_array(one), changes[one.name] / 4, rtol=1e-5, atol=1e-9)
    both = Stylizer(blend_styles({**shares, str(tmp_path / "strong.onnx"): 5}), threads=1)
    assert both.layout.strength
    deep = export_style(tmp_path / "deep" / "deep.onnx", make_network(NetworkConfig(8, 2)))
    replicate = path(folder, "replicate")
    for other, reason in ((deep, "other constants"), (replicate, "other layers")):
        with pytest.raises(ModelError, match=reason):
            blend_styles({str(tmp_path / "strong.onnx"): 1, str(other): 1})


def test_a_blend_tells_the_noise_that_it_adds(tmp_path):
    shares = {}
    for seed, (name, noise) in enumerate({"calm": 4.0, "grainy": 12.0}.items()):
        network = make_network(NetworkConfig(8, 1, noise=noise), seed)
        shares[str(export_style(tmp_path / f"{name}.onnx", network))] = 1 + 2 * seed
    assert Stylizer(blend_styles(shares), threads=1).card.network["noise"] == 10


def test_a_style_without_noise_is_no_part_of_a_blend_with_it(tmp_path):
    network = add_strength(make_network(NetworkConfig(8, 1)))
    strong = export_style(tmp_path / "strong.onnx", network, form=choose_form(None, None, strength=True))
    calm = export_style(tmp_path / "calm.onnx", make_network(NetworkConfig(8, 1, noise=0), 1))
    with pytest.raises(ModelError, match="noise"):
        blend_styles({str(strong): 1, str(calm): 1})


def test_a_ready_style_with_next_to_no_other_paints_as_it_does_alone():
    photo = draw(48, 40)
    blended = Stylizer(blend_styles({"wave": 1, "starry_night": 1e-9}), threads=1)(photo)
    assert difference(blended, Stylizer(find_style("wave"), threads=1)(photo)) <= 1


@pytest.mark.parametrize(
    ("name", "reason"), [("deep", "other constants"), ("replicate", "other layers"), ("wide", "which has no mean")]
)
def test_networks_that_differ_in_more_than_weights_are_refused(folder, name, reason):
    with pytest.raises(ModelError, match=reason) as caught:
        blend_styles({path(folder, "one"): 1, path(folder, name): 1})
    assert "\n" not in str(caught.value)


def test_files_that_are_no_float32_networks_are_refused(folder, tmp_path):
    model = onnx.load(path(folder, "one"))
    halves = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for half, name in zip(halves, ("one", "other"), strict=True):
        half.write_bytes(seal_again(to_float16(onnx.load(path(folder, name)))))
    with pytest.raises(ModelError, match="not of float32 or 8 bits"):
        blend_styles(dict.fromkeys(map(str, halves), 1.0))
    (tmp_path / "letter.onnx").write_text("Dear sir or madam")
    with pytest.raises(ModelError, match="not an ONNX file"):
        blend_styles({path(folder, "one"): 1, str(tmp_path / "letter.onnx"): 1})
    (tmp_path / "style.ort").write_bytes(b"\0\0\0\0ORTM")
    with pytest.raises(ModelError, match=r"is in ORT format.*name the one beside it"):
        blend_styles({path(folder, "one"): 1, str(tmp_path / "style.ort"): 1})
    del model.metadata_props[-1]
    onnx.save(model, tmp_path / "unsealed.onnx")
    with pytest.raises(ModelError, match="incomplete or was changed"):
        blend_styles({path(folder, "one"): 1, str(tmp_path / "unsealed.onnx"): 1})


def test_steps_that_do_not_fit_their_levels_are_refused(folder, tmp_path):
    small = to_weights8(onnx.load(path(folder, "other")))
    steps = next(constant for constant in small.graph.initializer if constant.name.endswith(".steps"))
    steps.CopyFrom(onnx.numpy_helper.from_array(np.ones((100_000, 1, 1, 1, 1), np.float32), steps.name))
    (tmp_path / "bomb.onnx").write_bytes(seal_again(small))
    with pytest.raises(ModelError, match="is not of float32 or 8 bits"):
        blend_styles({path(folder, "one"): 1, str(tmp_path / "bomb.onnx"): 1})


def test_foreign_files_are_blended_without_a_card(tmp_path):
    files = [str(write_foreign(tmp_path / name)) for name in ("a.onnx", "b.onnx")]
    assert Stylizer(blend_styles(dict.fromkeys(files, 1.0)), threads=1).card is None


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ({"wave": 1}, "name two or more"),
        ({"wave": 1, "the_scream": 0}, "must be a number above 0"),
        ({"wave": 1, "the_scream": float("nan")}, "must be a number above 0"),
        ({"wave": 1, "the_scream": float("inf")}, "must be a number above 0"),
    ],
)
def test_shares_that_give_no_mean_are_refused(shares, reason):
    with pytest.raises(ValueError, match=reason):
        blend_styles(shares)


def test_shares_that_are_no_mapping_are_refused():
    with pytest.raises(TypeError, match=r"the shares are str; pass a dict of styles and shares, such as \{'wave': 0.6"):
        blend_styles("wave:1,udnie:1")


def test_a_copy_of_a_blend_paints_the_same_picture(folder):
    paint = Stylizer(blend(folder), threads=1, tile=64)
    copied = pickle.loads(pickle.dumps(paint))
    np.testing.assert_array_equal(copied(draw(90, 131)), paint(draw(90, 131)))
    assert (copied.path, copied.card, copied.tile) == (paint.path, paint.card, 64)


def test_an_unknown_style_is_refused_with_those_that_exist():
    with pytest.raises(ExportError, match="choose one of calavera"):
        blend_styles({"wave": 1, "waves": 1})
