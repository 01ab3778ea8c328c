"""The runtime repaints any picture without torch, and refuses what it cannot trust or afford in one sentence."""

import copy
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export.contract import FORMAT, PREFIX, seal
from export.errors import ModelError
from export.graph.convert import convert, stylize_in_torch
from export.graph.network import build_graph
from export.graph.targets import LEAN, PLAIN
from export.runtime import stylizer as runtime
from export.runtime.memory import bytes_per_pixel
from export.runtime.stylizer import MemoryBudgetError, Stylizer
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, load_style
from tests import ROOT
from tests.export.small_export import draw, export_style, make_network, write_foreign

CARD = StyleCard("wave", "CC0", "torchvision", "seed: 1\n", "0.1.0", 7)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    return export_style(tmp_path_factory.mktemp("run") / "wave.onnx", make_network(), CARD).with_name(
        "style.safetensors"
    )


@pytest.fixture(scope="module")
def model(style):
    return style.with_name("wave.onnx")


@pytest.fixture(scope="module")
def stylizer(model):
    return Stylizer(model, threads=1)


def one_sentence(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_network_goes_by_its_file_but_by_its_style_where_all_runs_name_their_file_alike(model, tmp_path):
    assert Stylizer(model, threads=1).name == "wave"
    for name, told in (("mine.onnx", "mine"), ("style.onnx", "wave"), ("style.u8.onnx", "wave")):
        shutil.copy(model, tmp_path / name)
        assert Stylizer(tmp_path / name, threads=1).name == told
    assert Stylizer(write_foreign(tmp_path / "style.onnx"), threads=1).name == "style"


def test_runtime_and_command_leave_torch_out():
    code = (
        "import sys, export.runtime, export.stylize.command; "
        "print([name for name in ('torch', 'torchvision', 'onnx', 'safetensors', 'pytorch_lightning') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


@pytest.mark.parametrize("size", [(97, 131), (16, 16), (17, 40), (33, 18)])
def test_stylizer_gives_torchs_picture_rounded_to_the_nearest(style, stylizer, size):
    network, _ = load_style(style)
    picture = draw(*size)
    expected = stylize_in_torch(network, picture.transpose(2, 0, 1)[None].astype(np.float32))[0].transpose(1, 2, 0)
    stylized = stylizer(picture)
    assert stylized.dtype == np.uint8
    assert stylized.shape == picture.shape
    assert np.abs(stylized - expected).max() <= 0.505
    assert abs(float((stylized - expected).mean())) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 16), (40, 3), (7, 9)])
def test_pictures_under_16_pixels_are_continued_by_their_border(stylizer, size):
    picture = draw(48, 48)[: size[0], : size[1]]
    stylized = stylizer(picture)
    assert stylized.shape == picture.shape
    height, width = max(16, size[0]), max(16, size[1])
    whole = np.pad(picture, ((0, height - size[0]), (0, width - size[1]), (0, 0)), mode="edge")
    np.testing.assert_array_equal(stylized, stylizer(whole)[: size[0], : size[1]])


def test_views_and_read_only_arrays_are_taken_and_left_alone(stylizer):
    picture = draw(20, 30)
    flipped = picture[::-1, ::-1]
    flipped.flags.writeable = False
    before = flipped.copy()
    np.testing.assert_array_equal(stylizer(flipped), stylizer(before))
    np.testing.assert_array_equal(flipped, before)


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (np.zeros((20, 20, 3), np.float32), TypeError),
        ([[[0, 0, 0]]], TypeError),
        (np.zeros((20, 20), np.uint8), ValueError),
        (np.zeros((20, 20, 4), np.uint8), ValueError),
        (np.zeros((1, 20, 20, 3), np.uint8), ValueError),
        (np.zeros((0, 20, 3), np.uint8), ValueError),
    ],
)
def test_arrays_that_are_no_picture_are_refused(stylizer, picture, error):
    with pytest.raises(error, match="pass"):
        stylizer(picture)


def test_card_says_what_the_file_is(stylizer):
    card = stylizer.card
    assert (card.style, card.license, card.training_config, card.steps) == ("wave", "CC0", "seed: 1\n", 7)
    assert card.network == NetworkConfig(8, 1).to_dict()
    assert card.bytes_per_pixel == bytes_per_pixel(8)


def test_truncated_file_is_refused_wherever_it_ends(model, tmp_path):
    content = model.read_bytes()
    path = tmp_path / "cut.onnx"
    metadata = content.index(b"onestroke.format")
    for length in [
        0,
        1,
        100,
        len(content) // 2,
        metadata - 5,
        metadata - 4,
        metadata,
        len(content) - 90,
        len(content) - 1,
    ]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"cut\.onnx"):
            Stylizer(path)


def test_tampered_file_is_refused_wherever_it_was_changed(model, tmp_path):
    content = model.read_bytes()
    path = tmp_path / "changed.onnx"
    for position in [len(content) // 3, len(content) // 2, content.index(b"CC0"), len(content) - 70, len(content) - 1]:
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(ModelError) as caught:
            Stylizer(path)
        assert "changed" in one_sentence(caught)


def test_file_without_its_seal_is_refused(model, tmp_path):
    edited = onnx.load(model)
    del edited.metadata_props[-1]
    onnx.save(edited, tmp_path / "unsealed.onnx")
    with pytest.raises(ModelError, match="incomplete or was changed"):
        Stylizer(tmp_path / "unsealed.onnx")


@pytest.mark.parametrize(("key", "value"), [("format", "onestroke-onnx-9"), ("steps", "many"), ("network", "{")])
def test_sealed_file_with_strange_metadata_is_refused(model, tmp_path, key, value):
    edited = onnx.load(model)
    next(entry for entry in edited.metadata_props if entry.key == PREFIX + key).value = value
    (tmp_path / "strange.onnx").write_bytes(seal(edited.SerializeToString()))
    with pytest.raises(ModelError, match="export it again") as caught:
        Stylizer(tmp_path / "strange.onnx")
    assert key != "format" or FORMAT in one_sentence(caught)


@pytest.mark.parametrize("content", [b"Dear sir or madam,\n" * 20, b"", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_onnx_is_refused(tmp_path, content):
    (tmp_path / "letter.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="not an ONNX file that runs here") as caught:
        Stylizer(tmp_path / "letter.onnx")
    one_sentence(caught)


def test_absent_file_and_folder_are_refused(tmp_path):
    for path in [tmp_path / "absent.onnx", tmp_path]:
        with pytest.raises(ModelError, match="cannot be read"):
            Stylizer(path)


def test_foreign_file_of_the_same_contract_runs_without_a_card(tmp_path):
    stylizer = Stylizer(write_foreign(tmp_path / "foreign.onnx"))
    assert stylizer.card is None
    picture = draw(20, 30)
    np.testing.assert_array_equal(stylizer(picture), picture)


@pytest.mark.parametrize(
    "difference",
    [
        {"name": "input1"},
        {"kind": onnx.TensorProto.FLOAT16},
        {"shape": ("n", 1, "h", "w")},
        {"shape": (2, 3, 224, 224)},
        {"shape": (1, 3, 224, "w")},
        {"kind": onnx.TensorProto.UINT8},
        {"kind": onnx.TensorProto.UINT8, "shape": ("n", "h", "w", 3)},
        {"shape": ("n", 3, "l")},
    ],
)
def test_foreign_file_of_another_contract_is_refused_by_what_was_found(tmp_path, difference):
    with pytest.raises(ModelError, match="must map image to stylized") as caught:
        Stylizer(write_foreign(tmp_path / "foreign.onnx", **difference))
    assert "foreign.onnx" in one_sentence(caught)


def test_network_that_gives_no_numbers_is_reported(tmp_path):
    stylizer = Stylizer(write_foreign(tmp_path / "acos.onnx", operator="Acos"))
    with pytest.raises(ModelError, match="not a number"):
        stylizer(np.full((16, 16, 3), 9, np.uint8))


def test_network_that_gives_another_size_is_reported(tmp_path):
    stylizer = Stylizer(write_foreign(tmp_path / "turned.onnx", operator="Transpose", perm=[0, 1, 3, 2]))
    with pytest.raises(ModelError, match="must keep the shape"):
        stylizer(draw(16, 20))


def test_unknown_provider_is_refused_with_those_at_hand(model):
    with pytest.raises(ModelError, match=r"'warp' is not in this ONNX Runtime; choose one of .*cpu"):
        Stylizer(model, provider="warp")


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider"])
def test_provider_is_named_short_or_long(model, name):
    assert Stylizer(model, provider=name).provider == "CPUExecutionProvider"
    assert set(onnxruntime.get_available_providers()) >= {runtime.find_provider(name)}


def test_threads_do_not_change_the_picture(model, stylizer):
    picture = draw(40, 50)
    np.testing.assert_allclose(Stylizer(model, threads=2)(picture), stylizer(picture), atol=1)
    with pytest.raises(ValueError, match="at least 1"):
        Stylizer(model, threads=0)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"threads": 1.5}, TypeError, r"threads is 1\.5; pass an integer"),
        ({"tile": 128.0}, TypeError, r"tile is 128\.0; pass an integer"),
        ({"memory_limit": "1GB"}, TypeError, "memory_limit is '1GB'; pass a number of bytes"),
        ({"memory_limit": -5}, ValueError, "memory_limit is -5; it must be 0 bytes or more"),
        ({"memory_limit": float("nan")}, ValueError, "memory_limit is nan; it must be 0 bytes or more"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused_when_a_file_is_opened(model, arguments, error, reason):
    with pytest.raises(error, match=reason):
        Stylizer(model, **arguments)


def test_numbers_of_numpy_are_taken(model):
    stylizer = Stylizer(model, threads=np.int64(1), tile=np.int32(64), memory_limit=np.float32(1e9))
    assert stylizer(draw(20, 30)).shape == (20, 30, 3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda stylizer: pickle.loads(pickle.dumps(stylizer))])
def test_a_copy_paints_the_same_picture_with_the_same_settings_in_any_folder(model, tmp_path, monkeypatch, copied):
    monkeypatch.chdir(model.parent)
    stylizer = Stylizer(model.name, threads=1, provider="cpu", memory_limit=10**9, tile=64)
    monkeypatch.chdir(tmp_path)
    found = copied(stylizer)
    np.testing.assert_array_equal(found(draw(90, 131)), stylizer(draw(90, 131)))
    for name in ("provider", "memory_limit", "tile", "card"):
        assert getattr(found, name) == getattr(stylizer, name)
    assert found._runner.threads == 1


def test_a_name_of_a_ready_style_in_place_of_a_file_names_what_loads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"'wave' is not a file; name .* by load\('wave'\)"):
        Stylizer("wave")
    with pytest.raises(ModelError, match="cannot be read"):
        Stylizer("waves")


def test_picture_that_does_not_fit_is_refused_with_a_size_that_does(model, monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda: 2_000_000)
    stylizer = Stylizer(model, threads=1)
    with pytest.raises(MemoryBudgetError) as caught:
        stylizer(np.zeros((150, 200, 3), np.uint8))
    message = one_sentence(caught)
    assert "200 x 150 pixels needs about 10 MB" in message
    assert "may take 2 MB here" in message
    side = int(message.rsplit("--max-size ", 1)[1])
    assert 80 <= side < 110
    assert stylizer(draw(round(side * 0.75), side)).shape == (round(side * 0.75), side, 3)
    with pytest.raises(MemoryBudgetError):
        stylizer(np.zeros((round((side + 9) * 0.75), side + 9, 3), np.uint8))


def test_memory_limit_overrules_what_is_free(model, monkeypatch):
    monkeypatch.setattr(runtime, "available_memory", lambda: 0)
    assert Stylizer(model, memory_limit=10**9)(draw(16, 16)).shape == (16, 16, 3)
    with pytest.raises(MemoryBudgetError, match="free some memory first"):
        Stylizer(model, memory_limit=1000)(draw(16, 16))


def test_twelve_megapixels_need_more_than_seven_gigabytes_at_full_width(stylizer, monkeypatch):
    monkeypatch.setattr(stylizer, "_bytes_per_pixel", bytes_per_pixel(32))
    assert 7e9 < stylizer.estimate_memory(3000, 4000) < 8.2e9
    assert stylizer.estimate_memory(1024, 1024) == pytest.approx(0.70e9, rel=0.02)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("form", [LEAN, PLAIN])
def test_estimate_bounds_the_measured_peak(style, tmp_path, form):
    model = tmp_path / "wave.onnx"
    convert(style, model, form=form)
    code = f"""
import numpy
from export.runtime.stylizer import Stylizer

def read(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

stylizer = Stylizer({str(model)!r}, threads=1)
held = read("VmRSS")
for _ in range(2):
    stylizer(numpy.zeros((400, 401, 3), numpy.uint8))
print((read("VmHWM") - held) / stylizer.estimate_memory(400, 401))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.3 < float(done.stdout) < 1.1


def test_rewritten_graph_takes_less_memory_than_the_plain_one():
    plain = [bytes_per_pixel(32, upsampling, lean=False) for upsampling in ("nearest", "pixel_shuffle")]
    assert bytes_per_pixel(32) < plain[1] < plain[0]


def test_contract_of_the_graph_is_what_the_runtime_asks_for(tmp_path):
    model = build_graph(StyleNetwork(NetworkConfig(8, 0)))
    model.ClearField("producer_name")
    onnx.save(model, tmp_path / "plain.onnx")
    assert Stylizer(tmp_path / "plain.onnx").card is None


def reseal(model, path, **entries):
    """Write a copy of a model with other metadata and a seal that is valid; bytes need not be text."""
    edited = onnx.load(model)
    for key, value in entries.items():
        found = next(entry for entry in edited.metadata_props if entry.key == PREFIX + key)
        found.value = "PLACEHOLDER" if isinstance(value, bytes) else value
    content = edited.SerializeToString()
    for value in entries.values():
        if isinstance(value, bytes):
            content = content.replace(b"PLACEHOLDER", value)
    path.write_bytes(seal(content))
    return path


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"style": b"\xff" * 11}, "holds text that is not UTF-8"),
        ({"network": "[" * 100_000 + "]" * 100_000}, "broken metadata"),
        ({"network": '{"a":' * 100_000 + "1" + "}" * 100_000}, "broken metadata"),
        ({"network": "[1, 2]"}, "not a JSON object"),
        ({"network": '{"residual_blocks": 1' + "0" * 400 + "}"}, r"residual_blocks 1000"),
        ({"network": '{"residual_blocks": 1e400}'}, "residual_blocks inf"),
        ({"network": '{"residual_blocks": "five"}'}, "residual_blocks five"),
        ({"bytes_per_pixel": "9" * 400}, "bytes_per_pixel are 9999"),
        ({"bytes_per_pixel": "9" * 5000}, "broken metadata"),
        ({"bytes_per_pixel": "0"}, "bytes_per_pixel are 0"),
        ({"bytes_per_pixel": "-7"}, "bytes_per_pixel are -7"),
        ({"steps": "1" * 5000}, "broken metadata"),
        ({"held_out_loss": "much"}, "broken metadata"),
    ],
)
def test_metadata_that_cannot_be_meant_is_refused_though_its_seal_is_valid(tmp_path, entry, reason):
    measured = StyleCard("wave", held_out_loss=0.5)
    whole = export_style(tmp_path / "whole" / "wave.onnx", make_network(), measured)
    with pytest.raises(ModelError, match=reason) as caught:
        Stylizer(reseal(whole, tmp_path / "wave.onnx", **entry))
    assert len(one_sentence(caught)) < 400


def test_metadata_of_other_value_is_read(model, tmp_path):
    assert Stylizer(reseal(model, tmp_path / "wave.onnx", steps="8")).card.steps == 8
