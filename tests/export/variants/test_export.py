"""Every variant is the same picture in another form, and what is not is refused with its figure."""

import hashlib
import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export import __main__ as command
from export.contract import FILES, is_intact
from export.errors import ExportError
from export.graph.builder import PLAIN, Form
from export.graph.convert import draw_pictures, stylize_in_torch
from export.graph.network import build_graph
from export.runtime.stylizer import Stylizer
from export.variants import export as module
from export.variants.equalization import equalize, observe
from export.variants.export import Request, export_variants
from export.variants.float16 import quantize_weights, to_bytes, to_float16, to_weights8
from export.variants.int8 import SENSITIVE, choose_steps, to_integers
from export.variants.thresholds import GATES, Difference, compare_pictures, find_photos, split_photos
from models.network import NetworkConfig
from models.style_file import StyleCard, save_style
from tests.export import small_export
from tests.export.small_export import draw, write_judges

CARD = StyleCard("wave", "CC0", steps=7)


def make_network(padding="reflect", upsampling="nearest"):
    return small_export.make_network(NetworkConfig(8, 1, padding, upsampling), seed=2, spread=0.3)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_style(folder / "style.safetensors", make_network(), CARD)
    write_judges(folder / "photos")
    return folder / "style.safetensors"


@pytest.fixture(scope="module")
def exported(style, tmp_path_factory):
    output = tmp_path_factory.mktemp("all") / "wave"
    request = Request(photos=style.parent / "photos", sides=(32,), ort=True)
    return output, export_variants(style, output, request, announce=lambda _: None)


def open_session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def psnr(model, network, shape=(1, 45, 58)):
    pictures = draw_pictures(*shape)
    found = open_session(model).run(None, {"image": pictures})[0]
    return compare_pictures(found, stylize_in_torch(network, pictures)).psnr_db


FORMS = [Form(), PLAIN, Form(pads="slices", norms="means")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("upsampling", ["nearest", "pixel_shuffle"])
def test_float16_and_8_bit_weights_are_near_in_every_form(form, upsampling):
    network = make_network(upsampling=upsampling)
    model = build_graph(network, form)
    half, eighth = to_float16(model), to_weights8(model)
    for found, size, least in [(half, 0.55, 60), (eighth, 0.45, 40)]:
        onnx.checker.check_model(found, full_check=True)
        assert psnr(found, network) > least
        assert sum(len(c.raw_data) for c in found.graph.initializer) < size * sum(
            len(c.raw_data) for c in model.graph.initializer
        )
    for value in (half.graph.input[0], half.graph.output[0]):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("form", FORMS)
def test_bytes_are_torchs_picture_rounded(form):
    network = make_network()
    pixels = draw_pictures(1, 33, 47).astype(np.uint8)
    session = open_session(to_bytes(build_graph(network, form)))
    found = session.run(None, {"image": pixels.transpose(0, 2, 3, 1)})[0]
    assert found.dtype == np.uint8
    assert found.shape == (1, 33, 47, 3)
    expected = stylize_in_torch(network, pixels.astype(np.float32))[0].transpose(1, 2, 0)
    assert np.abs(found[0] - expected).max() <= 0.51


def test_weights_are_rounded_to_the_nearest_of_at_most_255_levels():
    weights = np.random.default_rng(0).standard_normal((5, 4, 3, 3)).astype(np.float32) * np.array(
        [1, 10, 0.1, 0, 1e-3], np.float32
    ).reshape(5, 1, 1, 1)
    levels, steps = quantize_weights(weights)
    assert levels.dtype == np.int8
    assert levels.min() >= -127
    restored = levels * steps[:, None, None, None]
    peaks = np.abs(weights).max((1, 2, 3))
    rows = np.square(restored - weights).mean((1, 2, 3)) ** 0.5
    # A uniform error over one step of the peak's 127th part has a deviation of a root of twelve.
    assert (rows <= peaks / 127 / 12**0.5 * 1.25).all()
    assert not levels[3].any()


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("upsampling", ["nearest", "pixel_shuffle"])
def test_equalized_network_is_the_same_function_with_even_channels(padding, upsampling):
    network = make_network(padding, upsampling)
    photos = [torch.from_numpy(draw_pictures(1, 48, 60)) / 255]
    seen = observe(network, photos)
    even = equalize(network, seen)
    pictures = draw_pictures(1, 45, 58)
    np.testing.assert_allclose(stylize_in_torch(even, pictures), stylize_in_torch(network, pictures), atol=0.5)

    def spread(found):
        ranges = np.quantile(np.abs(found["residual.0.conv2"].before), 0.9999, axis=1)
        return ranges.max() / ranges.min()

    assert spread(observe(even, photos)) < 1.1 < spread(seen)


def test_steps_hold_zero_and_cut_lone_peaks():
    values = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
    steps = choose_steps(values)
    assert steps.step * 255 == pytest.approx(8, rel=0.25)
    assert choose_steps(np.maximum(values, 0)).zero == 0
    assert choose_steps(np.append(values, 30)).step < 20 / 255
    assert choose_steps(np.zeros(9, np.float32)).step > 0


@pytest.mark.parametrize("form", FORMS)
def test_integer_graph_rounds_all_but_the_sensitive_convolutions(form):
    network = make_network(upsampling="pixel_shuffle")
    photos = [torch.from_numpy(draw_pictures(1, 48, 60)) / 255]
    network = equalize(network, observe(network, photos))
    model = to_integers(build_graph(network, form), observe(network, photos))
    onnx.checker.check_model(model, full_check=True)
    assert psnr(model, network) > 22
    constants = {constant.name: constant for constant in model.graph.initializer}
    floats = {node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants}
    assert floats == set(SENSITIVE)


def test_folder_holds_what_its_manifest_says(exported):
    output, manifest = exported
    assert json.loads((output / "manifest.json").read_text()) == manifest
    named = [*manifest["files"], *manifest["ort"]]
    assert {path.name for path in output.iterdir()} == {entry["file"] for entry in named} | {
        "manifest.json",
        "README.md",
    }
    for entry in named:
        content = (output / entry["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert (manifest["style"], manifest["license"]) == ("wave", "CC0")
    assert {entry["precision"] for entry in manifest["files"]} >= {"float32", "fp16", "u8", "w8"}
    kept = {entry["precision"] for entry in manifest["files"]}
    assert kept | {entry["variant"] for entry in manifest["refused"]} == set(FILES)


def test_every_file_is_sealed_passes_its_gate_and_tells_its_contract(exported):
    output, manifest = exported
    for entry in manifest["files"]:
        assert is_intact((output / entry["file"]).read_bytes())
        assert GATES[entry["precision"]].refusal(Difference(**entry["difference_from_torch"])) is None
        is_bytes = entry["precision"] == "u8"
        for side in ("input", "output"):
            assert entry[side]["type"] == ("uint8" if is_bytes else "float32")
            assert entry[side]["layout"] == ("NHWC" if is_bytes else "NCHW")
            assert entry[side]["range"] == [0, 255]
        assert [found["side"] for found in entry["measurements"]] == [32]
        assert entry["measurements"][0]["latency_ms"] > 0
        assert entry["mobile_checker"]["nnapi"]["of"] > 20
    sizes = {entry["precision"]: entry["bytes"] for entry in manifest["files"]}
    assert sizes["w8"] < sizes["fp16"] < sizes["float32"]


def test_runtime_takes_every_variant(exported):
    output, manifest = exported
    photo = draw(37, 52)
    expected = Stylizer(output / "style.onnx", threads=1)(photo)
    for entry in manifest["files"]:
        found = Stylizer(output / entry["file"], threads=1)(photo)
        assert found.shape == photo.shape
        limit = {"float32": 0, "u8": 1, "fp16": 2, "w8": 30}.get(entry["precision"], 255)
        assert np.abs(found.astype(int) - expected).max() <= limit
        assert Stylizer(output / entry["file"], threads=1)(photo[:5, :9]).shape == (5, 9, 3)


def test_same_weights_and_photos_give_the_same_bytes(style, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "measure_model", lambda *_: [])
    request = Request(photos=style.parent / "photos")
    manifest = export_variants(style, tmp_path / "again", request, announce=lambda _: None)
    digests = [{entry["file"]: entry["sha256"] for entry in found["files"]} for found in (manifest, exported[1])]
    assert digests[0] == digests[1]


def test_variant_below_its_gate_is_refused_with_its_figure(style, tmp_path, monkeypatch):
    monkeypatch.setitem(module._CHANGES, "w8", shift_last_bias)
    said = []
    request = Request(("u8", "w8"), style.parent / "photos", Form(size=(32, 32)), sides=(32,))
    manifest = export_variants(style, tmp_path / "wave", request, said.append)
    assert sorted(path.name for path in (tmp_path / "wave").iterdir()) == [
        "README.md",
        "manifest.json",
        "style.u8.onnx",
    ]
    (refused,) = manifest["refused"]
    assert re.search(r"PSNR of \d+\.\d dB where 40 dB are needed", refused["reason"])
    assert refused["reason"] in (tmp_path / "wave" / "README.md").read_text()
    assert any(line.startswith("refused style.w8.onnx") for line in said)
    assert manifest["files"][0]["input"]["shape"] == [1, 32, 32, 3]


def shift_last_bias(model):
    bias = next(constant for constant in model.graph.initializer if constant.name == "conv4.bias")
    bias.raw_data = (onnx.numpy_helper.to_array(bias) + np.float32(0.3)).tobytes()
    return model


def test_folder_without_any_passing_variant_is_not_written(style, tmp_path, monkeypatch):
    monkeypatch.setitem(module._CHANGES, "w8", shift_last_bias)
    with pytest.raises(ExportError, match="no variant passed"):
        export_variants(style, tmp_path / "wave", Request(("w8",), style.parent / "photos"), lambda _: None)
    assert not list(tmp_path.iterdir())


def test_gates_are_the_projects():
    gates = {name: (gate.max_levels, gate.psnr_db, gate.ssim) for name, gate in GATES.items()}
    assert gates["float32"] == (0.05, 0, 0)
    assert gates["u8"][0] == 1
    assert (gates["fp16"][1], gates["w8"][1], gates["int8"][1:]) == (55, 40, (30, 0.9))
    nan = Difference(float("nan"), float("nan"), float("nan"))
    assert all(gate.refusal(nan) for gate in GATES.values())


def test_differences_are_those_of_the_worst_picture():
    plain = np.full((3, 20, 20), 100.0)
    assert compare_pictures([plain], [plain]) == Difference(0, 99, 1)
    found = compare_pictures([plain, plain + 2.55], [plain, plain])
    assert found.max_levels == pytest.approx(2.55)
    assert found.psnr_db == pytest.approx(40)
    assert found.ssim < 1


def test_photos_that_judge_do_not_calibrate(style):
    paths = find_photos(style.parent / "photos")
    judges, others = split_photos(paths)
    assert (len(judges), len(others)) == (3, 2)
    assert judges[0].shape == (50, 67, 3)
    assert [photo.shape for photo in split_photos(paths[:1], (32, 48))[0]] == [(32, 48, 3)]


@pytest.mark.parametrize(
    ("output", "sentence"), [("wave.onnx", "need a folder"), ("no/wave", "does not exist"), ("photos", "--overwrite")]
)
def test_impossible_folder_is_refused_before_the_work(style, output, sentence, capsys, monkeypatch):
    monkeypatch.setattr(module, "load_style", None)
    arguments = [str(style), "--output", str(style.parent / output), "--variants", "u8"]
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_only_a_folder_of_variants_is_replaced(style, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "measure_model", lambda *_: [])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    flags = ["--variants", "u8", "--photos", str(style.parent / "photos"), "--overwrite"]
    assert command.main([str(style), "--output", str(tmp_path / "mine"), *flags]) == 2
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear"
    (tmp_path / "mine" / "diary.txt").unlink()
    for _ in range(2):
        assert command.main([str(style), "--output", str(tmp_path / "mine"), *flags]) == 0
    assert (tmp_path / "mine" / "style.u8.onnx").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
