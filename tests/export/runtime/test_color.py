"""A painting can keep the photo's colors: brightness of the one, hue of the other."""

import numpy as np
import pytest

from export.runtime import color
from export.runtime.color import keep_color, luma
from export.runtime.stylizer import Stylizer
from tests.export.small_export import draw, export_style, make_network
from tests.pictures import flat, noise, ramp


def test_luma_is_the_paintings_and_color_differences_are_the_photos():
    # Between 64 and 191 nothing is clamped.
    photo, painted = (64 + noise(40, 30, seed) // 4 for seed in (1, 2))
    kept = keep_color(painted, photo)
    np.testing.assert_allclose(luma(kept), luma(painted), atol=0.6)
    for channel in (0, 2):
        difference = [picture[..., channel] - luma(picture) for picture in (kept, photo)]
        np.testing.assert_allclose(*difference, atol=1.1)


def test_what_a_picture_cannot_hold_is_clamped():
    kept = keep_color(flat((255, 255, 255), 2, 2), flat((255, 0, 0), 2, 2))
    np.testing.assert_array_equal(kept, flat((255, 179, 179), 2, 2))


def test_a_picture_keeps_its_own_color_and_a_gray_one_gives_none():
    np.testing.assert_array_equal(keep_color(ramp(), ramp()), ramp())
    gray = keep_color(ramp(), flat((99, 99, 99)))
    assert np.ptp(gray, axis=2).max() == 0


def test_strips_show_no_border(monkeypatch):
    whole = keep_color(noise(37, 50, 1), noise(37, 50, 2))
    monkeypatch.setattr(color, "STRIP_PIXELS", 100)
    np.testing.assert_array_equal(keep_color(noise(37, 50, 1), noise(37, 50, 2)), whole)


@pytest.mark.parametrize("size", [(24, 33), (7, 90)])
def test_stylizer_keeps_color_when_asked(tmp_path, size):
    stylizer = Stylizer(export_style(tmp_path / "wave.onnx", make_network()), threads=1)
    photo = draw(*size)
    np.testing.assert_array_equal(stylizer(photo, preserve_color=True), keep_color(stylizer(photo), photo))
