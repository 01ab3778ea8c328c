"""Strokes come in other sizes: the network sees another scale, and the photo's edges come back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from export.errors import ModelError
from export.graph.convert import convert
from export.graph.targets import TARGETS, choose_form
from export.runtime import stroke as module
from export.runtime import stylizer as runtime
from export.runtime.stroke import enlarge, memory_around, scale_photo, scale_size, shrink
from export.runtime.stylizer import MemoryBudgetError, Stylizer
from models.network import NetworkConfig
from tests import ROOT
from tests.export.small_export import draw, export_style, make_network, write_foreign
from tests.pictures import flat, noise


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export_style(tmp_path_factory.mktemp("run") / "wave.onnx", make_network())


@pytest.fixture(scope="module")
def stylizer(model):
    return Stylizer(model, threads=1)


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A network that leaves every picture as it is."""
    return Stylizer(write_foreign(tmp_path_factory.mktemp("foreign") / "same.onnx"), threads=1)


def windows(values, radius):
    padded = np.pad(values, radius, mode="edge")
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side)).reshape(*values.shape, side * side)


def average(values, radius=2):
    return windows(values, radius).mean(-1)


def triangle(distance):
    return np.maximum(1 - distance, 0)


def lanczos(distance):
    return np.where(distance < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


def bicubic(distance):
    inner = 1.5 * distance**3 - 2.5 * distance**2 + 1
    outer = -0.5 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance < 1, inner, np.where(distance < 2, outer, 0))


def weigh(length, target, kernel):
    """Weights of a filter as wide as a pixel of the coarser side, from ``length`` pixels to ``target``."""
    step = length / target
    centers = (np.arange(target) + 0.5) * step
    weights = kernel(np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(step, 1))
    return weights / weights.sum(1, keepdims=True)


def scale(values, height, width, kernel=triangle):
    return weigh(values.shape[0], height, kernel) @ values @ weigh(values.shape[1], width, kernel).T


def luma(picture):
    return picture.astype(float) @ [0.299, 0.587, 0.114]


def enlarge_by_the_book(painted, scaled, photo):
    """Follow the formulas of ``enlarge``'s docstring in float64, one color after the other."""
    s, light, size = luma(scaled), luma(photo), photo.shape[:2]
    lost = scale(light**2, *s.shape) - scale(light, *s.shape) ** 2
    share = 1 / 3 + 2 / 3 * 100 / (100 + average(average(lost, 1), 1))
    channels = []
    for p in painted.astype(float).transpose(2, 0, 1):
        a = (average(s * p) - average(s) * average(p)) / (average(s**2) - average(s) ** 2 + 25)
        b = average(average(p) - a * average(s))
        a = average(a)
        firm = p + 2.5 * (p - average(p, 1))
        near = windows(p, 1)
        strokes = np.clip(*(scale(part, *size) for part in (firm, near.min(-1), near.max(-1)))) - scale(
            a * s + b, *size
        )
        channels.append(scale(a, *size) * light + scale(b, *size) + scale(share, *size) * strokes)
    return np.clip(np.stack(channels, axis=2), 0, 255)


@pytest.mark.parametrize(("height", "width", "stroke"), [(61, 80, 2), (40, 33, 1.3), (90, 77, 4), (50, 20, 8)])
def test_enlarging_does_what_its_docstring_says(height, width, stroke):
    photo = draw(height, width)
    scaled = scale_photo(photo, stroke)
    painted = np.roll(255 - scaled, 1, axis=1)
    expected = enlarge_by_the_book(painted, scaled, photo)
    assert np.abs(enlarge(painted, scaled, photo) - expected).max() < 0.6


@pytest.mark.parametrize("stroke", [0.25, 0.7, 1.4, 3, 8])
def test_blocks_show_no_border(monkeypatch, stroke):
    photo = draw(120, 97)
    scaled = scale_photo(photo, stroke)

    def paint():
        painted = np.roll(255 - scaled, 1, axis=1)
        return scale_photo(photo, stroke), enlarge(painted, scaled, photo) if stroke > 1 else shrink(painted, 120, 97)

    whole = paint()
    monkeypatch.setattr(module, "BLOCK", 41)
    for one, other in zip(whole, paint(), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize(
    ("stroke", "size"), [(1, (97, 131)), (2, (49, 66)), (0.25, (388, 524)), (8, (12, 16)), (1.5, (65, 87))]
)
def test_network_works_at_the_inverse_scale(stroke, size):
    assert scale_size(97, 131, stroke) == size
    assert scale_photo(draw(97, 131), stroke).shape == (*size, 3)
    assert scale_size(1, 3, stroke) >= (1, 1)


@pytest.mark.parametrize(("stroke", "kernel"), [(3, lanczos), (1.3, lanczos), (0.5, bicubic), (0.7, bicubic)])
def test_photo_is_scaled_by_the_filters_that_the_docstring_names(stroke, kernel):
    photo = draw(90, 121)
    scaled = scale_photo(photo, stroke)
    for channel in range(3):
        expected = np.clip(scale(photo[..., channel].astype(float), *scaled.shape[:2], kernel), 0, 255)
        assert np.abs(scaled[..., channel] - expected).max() < 0.51


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 90), (16, 16)])
@pytest.mark.parametrize("stroke", [0.25, 2, 8])
def test_pictures_of_every_size_keep_it(stylizer, size, stroke):
    assert stylizer(draw(48, 96)[: size[0], : size[1]], stroke=stroke).shape == (*size, 3)


def test_stroke_of_one_is_the_style_as_trained(stylizer):
    np.testing.assert_array_equal(stylizer(draw(), stroke=1.0), stylizer(draw()))


def test_edges_come_back_from_the_photo(identity):
    photo = np.concatenate([flat((40, 60, 80), 33, 64), flat((200, 180, 90), 31, 64)], axis=1)
    scaled = scale_photo(photo, 4)
    plain = np.asarray(PIL.Image.fromarray(scaled).resize((64, 64), PIL.Image.Resampling.BICUBIC))
    lost, kept = (np.abs(picture.astype(int) - photo).max() for picture in (plain, identity(photo, stroke=4)))
    assert lost > 60
    assert kept < lost / 3


def test_strokes_on_a_flat_photo_are_firmer_than_those_scaled_plainly():
    photo, painted = flat((120, 120, 120), 64, 64), noise(16, 16)
    plain = np.asarray(PIL.Image.fromarray(painted).resize((64, 64), PIL.Image.Resampling.BICUBIC))
    enlarged = enlarge(painted, scale_photo(photo, 4), photo)
    slopes = [np.abs(np.diff(picture.astype(int), axis=1)).max() for picture in (plain, enlarged)]
    assert slopes[1] > 1.2 * slopes[0]
    assert enlarged.min() >= painted.min()
    assert enlarged.max() <= painted.max()


@pytest.mark.parametrize("stroke", [0, 0.2, 8.1, -1, float("nan"), float("inf")])
def test_strokes_out_of_range_are_refused(stylizer, stroke):
    with pytest.raises(ValueError, match=r"must be from 0\.25 to 8"):
        stylizer(draw(), stroke=stroke)


def test_color_is_kept_in_the_photos_own_resolution(stylizer):
    photo = draw(60, 80)
    painted = stylizer(photo, stroke=2)
    np.testing.assert_array_equal(stylizer(photo, stroke=2, preserve_color=True), runtime.keep_color(painted, photo))


@pytest.mark.parametrize("stroke", [0.5, 3])
def test_tiles_are_those_of_the_scaled_photo(tmp_path, stroke):
    model = export_style(tmp_path / "wave.onnx", make_network(NetworkConfig(4, 1), spread=0.25))
    photo, plans = draw(190, 230), []
    height, width = scale_size(190, 230, stroke)
    tiled = Stylizer(model, threads=1, tile=64)(photo, lambda plan, _: plans.append(plan), stroke=stroke)
    assert (plans[0].height, plans[0].width, plans[0].side) == (height, width, 64)
    assert plans[0].count > 1
    if height * width < 16 * 128**2:
        assert np.abs(tiled.astype(int) - Stylizer(model, threads=1)(photo, stroke=stroke)).max() <= 2


@pytest.mark.parametrize("stroke", [0.5, 2])
def test_picture_that_does_not_fit_is_refused_with_a_size_that_does(model, monkeypatch, stroke):
    monkeypatch.setattr(runtime, "available_memory", lambda: 4_000_000)
    stylizer = Stylizer(model, threads=1)
    with pytest.raises(MemoryBudgetError, match="200 x 150 pixels needs about") as caught:
        stylizer(np.zeros((150, 200, 3), np.uint8), stroke=stroke)
    side = int(str(caught.value).rsplit("--max-size ", 1)[1])
    assert stylizer(draw(round(side * 0.75), side), stroke=stroke).shape == (round(side * 0.75), side, 3)
    assert side < 200


def test_memory_of_a_stroke_is_that_of_the_smaller_picture_and_what_is_around_it(stylizer):
    around = memory_around(3000, 4000, 2)
    assert stylizer.estimate_memory(3000, 4000, 2) == stylizer.estimate_memory(1500, 2000) + around
    assert 100e6 < around < 200e6
    assert memory_around(3000, 4000, 1) == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("stroke", [0.5, 1.2, 4])
def test_estimate_bounds_the_measured_peak(model, stroke):
    code = f"""
import numpy
from export.runtime.stylizer import Stylizer

def read(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

stylizer = Stylizer({str(model)!r}, threads=1)
photo = numpy.random.default_rng(0).integers(0, 256, (500, 801, 3), dtype=numpy.uint8)
stylizer(photo[:16, :16], stroke={stroke})
held = read("VmRSS")
stylizer(photo, stroke={stroke})
print((read("VmHWM") - held) / stylizer.estimate_memory(500, 801, {stroke}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.2 < float(done.stdout) < 1.1


def test_file_of_one_size_takes_no_stroke(tmp_path):
    export_style(tmp_path / "wave.onnx", make_network())
    form = choose_form(next(iter(TARGETS)), (32, 48), plain=False)
    convert(tmp_path / "style.safetensors", tmp_path / "fixed.onnx", form=form)
    with pytest.raises(ModelError, match="of one size only; leave out --stroke"):
        Stylizer(tmp_path / "fixed.onnx", threads=1)(draw(32, 48), stroke=2)
