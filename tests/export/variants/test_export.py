"""Every variant is the same picture in another form, and what is not is refused with its figure."""

import errno
import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

from data.images import to_planes
from export import __main__ as command
from export.contract import FILES, is_intact, read_manifest
from export.errors import ExportError
from export.graph.convert import draw_pictures, stylize_in_torch
from export.graph.network import build_graph
from export.graph.targets import PLAIN, Form
from export.runtime.session import create_session
from export.runtime.stylizer import Stylizer
from export.variants import export as module
from export.variants.equalization import equalize, observe
from export.variants.export import Request, export_variants
from export.variants.float16 import to_float16
from export.variants.int8 import SENSITIVE, to_int8
from export.variants.photos import find_photos, split_photos
from export.variants.thresholds import THRESHOLDS, Difference, compare_pictures
from export.variants.uint8 import to_uint8
from export.variants.weights8 import to_weights8
from models.network import NetworkConfig
from models.style_file import StyleCard, load_style, save_style
from tests.export import small_export
from tests.export.small_export import draw, write_photos
from tests.pictures import noise, write

CARD = StyleCard("wave", "CC0", steps=7)


def make_network(padding="reflect", upsampling="nearest"):
    return small_export.make_network(NetworkConfig(8, 1, padding, upsampling), seed=2, spread=0.3)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_style(folder / "style.safetensors", make_network(), CARD)
    write_photos(folder / "photos")
    return folder / "style.safetensors"


@pytest.fixture(scope="module")
def exported(style, tmp_path_factory):
    output = tmp_path_factory.mktemp("all") / "wave"
    request = Request(photos=style.parent / "photos", sizes=(32,), ort=True)
    export_variants(style, output, request, announce=lambda _: None)
    return output, read_manifest(output)


def open_session(model):
    return create_session(model.SerializeToString(), threads=1)


def psnr(model, network, shape=(1, 45, 58)):
    pictures = draw_pictures(*shape)
    found = open_session(model).run(None, {"image": pictures})[0]
    return compare_pictures(found, stylize_in_torch(network, pictures)).psnr_db


def count_bytes(model):
    """Count the bytes of a network's weights; its noise has 8 bits in every variant."""
    return sum(len(c.raw_data) for c in model.graph.initializer if not c.name.startswith("noise"))


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
        assert count_bytes(found) < size * count_bytes(model)
    for value in (half.graph.input[0], half.graph.output[0]):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("form", FORMS)
def test_uint8_is_torchs_picture_rounded(form):
    network = make_network()
    pixels = draw_pictures(1, 33, 47).astype(np.uint8)
    session = open_session(to_uint8(build_graph(network, form)))
    found = session.run(None, {"image": pixels.transpose(0, 2, 3, 1)})[0]
    assert found.dtype == np.uint8
    assert found.shape == (1, 33, 47, 3)
    expected = stylize_in_torch(network, pixels.astype(np.float32))[0].transpose(1, 2, 0)
    assert np.abs(found[0] - expected).max() <= 0.51


def test_w8_of_a_style_kept_in_8_bits_has_the_very_levels_of_its_file(tmp_path):
    save_style(tmp_path / "kept.safetensors", make_network(), StyleCard("wave"), torch.int8)
    kept = load_file(tmp_path / "kept.safetensors")
    model = to_weights8(build_graph(load_style(tmp_path / "kept.safetensors")[0]))
    exported = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    compared = 0
    for name, levels in kept.items():
        found = exported.get(f"{name}.levels")
        # The rest are rearranged for the graph: sums of kernels before the upsampling, and four phases of the last.
        if levels.dtype == torch.int8 and found is not None and found.shape == levels.shape:
            np.testing.assert_array_equal(found, levels.numpy(), name)
            compared += 1
    assert compared == 5
    last = exported["conv4.weight.levels"]
    assert {*np.unique(last)} == {0, *np.unique(kept["conv4.weight"])}


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


@pytest.fixture(scope="module")
def equalized():
    """A network ready for 8 bits, and the photos that it was equalized with."""
    network, photos = make_network(upsampling="pixel_shuffle"), [draw(48, 60), draw(60, 48), draw(50, 50)]
    return equalize(network, observe(network, [torch.from_numpy(to_planes(photo))[None] for photo in photos])), photos


@pytest.mark.parametrize("form", FORMS)
def test_int8_quantizes_all_but_the_sensitive_convolutions(equalized, form):
    network, photos = equalized
    model = to_int8(build_graph(network, form), photos)
    onnx.checker.check_model(model, full_check=True)
    assert psnr(model, network) > 22
    constants = {constant.name for constant in model.graph.initializer}
    floats = {node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants}
    assert floats == set(SENSITIVE)


def test_int8_is_the_same_for_the_same_photos_and_leaves_the_model_alone(equalized):
    network, photos = equalized
    model = build_graph(network)
    before = model.SerializeToString(deterministic=True)
    first, second = (to_int8(model, photos).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert model.SerializeToString(deterministic=True) == before
    assert to_int8(model, photos[:1]).SerializeToString(deterministic=True) != first


def test_int8_of_one_size_is_calibrated_at_that_size(equalized):
    network, _ = equalized
    model = to_int8(build_graph(network, Form(size=(32, 48))), [draw(32, 48)])
    assert psnr(model, network, (1, 32, 48)) > 22


def test_folder_holds_what_its_manifest_says(exported):
    output, manifest = exported
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


def test_every_file_is_sealed_passes_its_threshold_and_tells_its_contract(exported):
    output, manifest = exported
    for entry in manifest["files"]:
        assert is_intact((output / entry["file"]).read_bytes())
        assert THRESHOLDS[entry["precision"]].refusal(Difference(**entry["difference_from_torch"])) is None
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
    export_variants(style, tmp_path / "again", request, announce=lambda _: None)
    manifest = read_manifest(tmp_path / "again")
    digests = [{entry["file"]: entry["sha256"] for entry in found["files"]} for found in (manifest, exported[1])]
    assert digests[0] == digests[1]


def test_variant_below_its_threshold_is_refused_with_its_figure(style, tmp_path, monkeypatch):
    monkeypatch.setitem(module._TRANSFORMS, "w8", shift_last_bias)
    said = []
    request = Request(("u8", "w8"), style.parent / "photos", Form(size=(32, 32)), sizes=(32,))
    export_variants(style, tmp_path / "wave", request, said.append)
    manifest = read_manifest(tmp_path / "wave")
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
    monkeypatch.setitem(module._TRANSFORMS, "w8", shift_last_bias)
    with pytest.raises(ExportError, match="no variant passed"):
        export_variants(style, tmp_path / "wave", Request(("w8",), style.parent / "photos"), lambda _: None)
    assert not list(tmp_path.iterdir())


def test_not_a_number_reaches_no_threshold():
    nan = Difference(float("nan"), float("nan"), float("nan"))
    assert all(threshold.refusal(nan) for threshold in THRESHOLDS.values())


def test_differences_are_those_of_the_worst_picture():
    plain = np.full((3, 20, 20), 100.0)
    assert compare_pictures([plain], [plain]) == Difference(0, 99, 1)
    found = compare_pictures([plain, plain + 2.55], [plain, plain])
    assert found.max_levels == pytest.approx(2.55)
    assert found.psnr_db == pytest.approx(40)
    assert found.ssim < 1
    assert np.isnan(compare_pictures([plain * np.nan], [plain]).psnr_db)


def test_photos_to_test_on_do_not_calibrate(style):
    paths = find_photos(style.parent / "photos")
    photos = split_photos(paths)
    assert [len(photos.test), len(photos.equalization), len(photos.calibration)] == [3, 2, 2]
    assert photos.test[0].shape == (50, 67, 3)
    assert photos.calibration[0].shape == (256, 256, 3)
    # Scaled down to 320 pixels, a panorama would be 4 pixels high; a thumbnail is too small as it is.
    write(style.parent / "odd" / "panorama.png", noise(1600, 20))
    write(style.parent / "odd" / "thumbnail.png", noise(8, 6))
    odd = split_photos(find_photos(style.parent / "odd"))
    assert sorted(photo.shape for photo in odd.test) == [(16, 16, 3), (16, 320, 3)]
    fixed = split_photos(paths[:1], (32, 48))
    assert [photo.shape for photo in (*fixed.test, *fixed.calibration)] == [(32, 48, 3)] * 2


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


def test_only_what_keeps_its_types_is_converted_to_ort_format(style, tmp_path, capsys):
    arguments = [str(style), "--output", str(tmp_path / "wave"), "--photos", str(style.parent / "photos"), "--ort"]
    assert command.main([*arguments, "--variants", "fp16,w8"]) == 2
    assert "--ort converts float32, int8, u8, and --variants names fp16, w8 alone" in capsys.readouterr().err
    request = Request(("w8", "u8"), style.parent / "photos", sizes=(32,), ort=True)
    said = []
    export_variants(style, tmp_path / "wave", request, announce=said.append)
    assert [path.name for path in (tmp_path / "wave").glob("*.ort")] == ["style.u8.ort"]
    assert any(line.startswith("not in ORT format: style.w8.onnx") for line in said)


@pytest.mark.parametrize("variants", [[], ["--variants", "u8,int8"]])
def test_full_disk_in_the_middle_is_one_sentence_and_leaves_nothing(style, tmp_path, capsys, monkeypatch, variants):
    write = Path.write_bytes

    def fill(path, content):
        if tmp_path in path.parents:
            write(path, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    output = tmp_path / ("wave" if variants else "wave.onnx")
    photos = ["--photos", str(style.parent / "photos")] if variants else []
    assert command.main([str(style), "--output", str(output), *variants, *photos]) == 2
    error = capsys.readouterr().err
    assert f"'{output}' cannot be written (No space left on device); make room" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_nothing(style, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "measure_model", interrupt)
    arguments = [str(style), "--variants", "u8", "--photos", str(style.parent / "photos")]
    assert command.main([*arguments, "--output", str(tmp_path / "wave")]) == 130
    assert capsys.readouterr().err == f"stopped: '{tmp_path / 'wave'}' was not written\n"
    assert list(tmp_path.iterdir()) == []


def interrupt(*_):
    raise KeyboardInterrupt


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
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    assert command.main([str(style), "--output", str(tmp_path / "mine"), *flags]) == 2
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
