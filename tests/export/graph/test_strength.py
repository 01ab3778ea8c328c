"""A file with strength gives torch's pictures at every strength; without it, files are what they were."""

import numpy as np
import onnx
import onnxruntime
import pytest

from export import __main__ as command
from export.contract import CONTRACT, MOST_STRENGTH, contract_of
from export.errors import ExportError
from export.graph.convert import convert, draw_pictures, stylize_in_onnxruntime, stylize_in_torch
from export.graph.mobile import count_partitions
from export.graph.network import build_graph
from export.graph.targets import Form, choose_form
from models import strength as models_strength
from models.network import NetworkConfig
from models.style_file import StyleCard, save_style
from tests.export.small_export import add_strength, make_network

SIZE = (32, 48)
STRENGTHS = (0.0, 0.3, 1.0, MOST_STRENGTH)
FORMS = {
    "lean": choose_form(None, None, strength=True),
    "plain": choose_form(None, None, plain=True, strength=True),
    "fixed": choose_form(None, SIZE, strength=True),
    "web": choose_form("web", None, strength=True),
    **{target: choose_form(target, SIZE, strength=True) for target in ("coreml", "nnapi", "qnn")},
}


@pytest.fixture(scope="module")
def style():
    return make_network(NetworkConfig(8, 2), spread=0.3)


@pytest.fixture(scope="module")
def adjustable(style):
    return add_strength(style)


@pytest.fixture(scope="module")
def folder(style, adjustable, tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    save_style(folder / "style.safetensors", style, StyleCard("wave"))
    save_style(folder / "adjustable.safetensors", adjustable, StyleCard("wave"))
    return folder


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_torchs_picture_at_every_strength(adjustable, name):
    form = FORMS[name]
    content = build_graph(adjustable, form).SerializeToString()
    pictures = draw_pictures(1, *SIZE) if form.size else draw_pictures(2, 33, 45)
    for strength in STRENGTHS:
        (found,) = stylize_in_onnxruntime(content, [pictures], strength)
        np.testing.assert_allclose(found, stylize_in_torch(adjustable, pictures, strength), atol=0.05)


@pytest.mark.parametrize(("size", "norms"), [(None, "operator"), (SIZE, "operator"), (SIZE, "means")])
def test_strength_1_is_bit_for_bit_the_file_without_strength(style, adjustable, size, norms):
    pictures = draw_pictures(1, *SIZE)
    (before,) = stylize_in_onnxruntime(build_graph(style, Form(norms=norms, size=size)).SerializeToString(), [pictures])
    form = Form(norms=norms, size=size, strength="optional")
    (after,) = stylize_in_onnxruntime(build_graph(adjustable, form).SerializeToString(), [pictures])
    if norms == "operator":
        np.testing.assert_array_equal(after, before)
    else:
        # Where ONNX Runtime knew the scales beforehand, it may have multiplied in another order.
        np.testing.assert_allclose(after, before, atol=1e-3)


def test_strength_0_is_the_photo(adjustable):
    pictures = draw_pictures(1, 33, 45)
    (found,) = stylize_in_onnxruntime(build_graph(adjustable, FORMS["lean"]).SerializeToString(), [pictures], 0)
    np.testing.assert_array_equal(np.rint(found), pictures)


def test_strength_may_be_left_out_where_the_target_allows_it(adjustable):
    pictures = draw_pictures(1, *SIZE)
    for name, form in FORMS.items():
        model = build_graph(adjustable, form)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        optional = [value.name for value in session.get_overridable_initializers()]
        required = [value.name for value in session.get_inputs()]
        expected = (["strength"], ["image"]) if name in {"lean", "plain", "fixed"} else ([], ["image", "strength"])
        assert (optional, required) == expected
        if optional:
            (found,) = stylize_in_onnxruntime(model.SerializeToString(), [pictures])
            np.testing.assert_allclose(found, stylize_in_torch(adjustable, pictures), atol=0.05)


@pytest.mark.parametrize("target", ["coreml", "nnapi"])
def test_phones_delegates_take_their_graph_with_strength_in_one_piece(adjustable, tmp_path, target):
    model = build_graph(adjustable, FORMS[target])
    # Core ML's norm takes constants only, which the checker does not know.
    constants = {constant.name for constant in model.graph.initializer}
    norms = [node for node in model.graph.node if node.op_type == "InstanceNormalization"]
    assert all(set(norm.input[1:]) <= constants for norm in norms)
    onnx.save(model, tmp_path / "part.onnx")
    found = count_partitions(tmp_path / "part.onnx")[target]
    assert found["partitions"] == 1
    assert found["nodes"] == found["of"]


def test_without_the_flag_a_file_is_byte_for_byte_that_of_the_style_before_it_learned_strength(folder, tmp_path):
    for name in ("style", "adjustable"):
        convert(folder / f"{name}.safetensors", tmp_path / f"{name}.onnx")
    assert (tmp_path / "adjustable.onnx").read_bytes() == (tmp_path / "style.onnx").read_bytes()


def test_export_compares_at_several_strengths(folder, tmp_path, capsys):
    arguments = [str(folder / "adjustable.safetensors"), "--output", str(tmp_path / "a.onnx")]
    assert command.main([*arguments, "--strength"]) == 0
    assert "on 25 pictures" in capsys.readouterr().out
    assert command.main([*arguments, "--overwrite"]) == 0
    assert "on 5 pictures" in capsys.readouterr().out


def test_a_file_that_differs_at_one_strength_alone_is_not_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(models_strength, "photo_share", lambda strength: (1 - strength).relu())
    with pytest.raises(ExportError, match="differ from torch"):
        convert(folder / "adjustable.safetensors", tmp_path / "a.onnx", form=FORMS["lean"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variants", [[], ["--variants", "float32"]])
def test_a_style_without_strength_is_refused_with_what_to_type(folder, tmp_path, variants, one_error, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = "out" if variants else "out.onnx"
    assert command.main([str(folder / "style.safetensors"), "--output", output, "--strength", *variants]) == 2
    assert "--model.network.strength true" in one_error()
    assert not list(tmp_path.iterdir())


def test_contract_tells_the_strength_where_there_is_one():
    assert contract_of() == CONTRACT
    assert contract_of(strength="required")["strength"] == {"dtype": "float32", "shape": [], "range": [0, 1.5]}
    assert contract_of(strength="optional")["strength"]["default"] == 1
    assert MOST_STRENGTH == models_strength.MOST_STRENGTH
