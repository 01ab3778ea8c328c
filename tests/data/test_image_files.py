"""Broken files are refused by name; pictures are written whole, and arrays and sizes come out as asked."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import features

from data import images
from data.images import (
    ImageError,
    check_writable_format,
    contact_sheet,
    decode,
    encode,
    fit_within,
    from_array,
    round_to_bytes,
    scale_short_side,
    to_array,
    to_planes,
)
from tests import ROOT
from tests.pictures import announce_png, flat, noise, ramp, write

SIDES = st.integers(1, 40)
shared_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40
)


def pixel(image: PIL.Image.Image) -> tuple[int, ...]:
    return tuple(to_array(image)[0, 0].tolist())


# Broken files


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path):
    path = announce_png(tmp_path / "bomb.png", 30_000, 30_000)
    before = PIL.Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=r"30000 x 30000 pixels, 900,000,000 in all, and at most 200,000,000"):
            decode(path)
        # Pillow would warn about this one and refuse the next by itself.
        for side in (10_000, 14_000):
            with pytest.raises(ImageError, match="cannot be read"):
                decode(announce_png(path, side, side), max_pixels=10**6)
    assert before == PIL.Image.MAX_IMAGE_PIXELS


def test_a_gif_bomb_is_refused(tmp_path: Path):
    screen = b"\xff\xff\xff\xff\x00\x00\x00"
    dispose = b"!\xf9\x04\x08\x00\x00\x00\x00"
    frame = b",\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08"
    (tmp_path / "bomb.gif").write_bytes(b"GIF89a" + screen + dispose + frame + b"\x01\x00\x00;")
    with pytest.raises(ImageError, match="4294836225 pixels"):
        decode(tmp_path / "bomb.gif")


@pytest.mark.parametrize("ending", [".png", ".tif", ".jpg"])
def test_a_picture_that_pillow_warns_of_is_read_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
):
    path = write(tmp_path / f"x{ending}", ramp())
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(images, "_LARGE", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(path).size == (48, 32)
    assert PIL.Image.MAX_IMAGE_PIXELS == 1000


@settings(shared_folder, max_examples=150)
@given(st.data(), st.sampled_from(["jpg", "png", "webp", "gif", "tif", "bmp", "ppm"]))
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path: Path, data: st.DataObject, ending: str):
    path = tmp_path / f"x.{ending}"
    PIL.Image.fromarray(noise(24, 20)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        outcome = decode(path, max_pixels=10**6).mode
    except ImageError as error:
        outcome = str(error)
    assert outcome == "RGB" or outcome.startswith(f"picture '{path}' cannot be read (")
    assert "\n" not in outcome


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path):
    (tmp_path / "text.jpg").write_text("not a picture, whatever its name says")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    whole = write(tmp_path / "whole.jpg", noise()).read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    reasons = {
        "text.jpg": "it is not one of",
        "empty.png": "it is not one of",
        "folder.png": "is a folder",
        "pipe.png": "is a folder or a pipe",
        "half.jpg": "truncated",
        "none.jpg": "does not exist",
        "whole.jpg/x.png": "does not exist",
        "n" * 300 + ".jpg": "File name too long",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError) as caught:
            decode(tmp_path / name)
        assert reason in str(caught.value)
        assert str(caught.value).startswith(f"picture '{tmp_path / name}'")


@pytest.mark.parametrize("error", [MemoryError(), PermissionError(13, "Permission denied"), SystemError("a\nb")])
def test_no_other_error_leaves_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    path = write(tmp_path / "x.png", ramp())

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(PIL.Image, "open", fail)
    with pytest.raises(ImageError, match=r"x\.png' cannot be read \((MemoryError|Permission denied|a)\); "):
        decode(path)


def test_broken_metadata_does_not_cost_the_picture(tmp_path: Path):
    PIL.Image.fromarray(ramp()).save(tmp_path / "x.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff", quality=95)
    assert decode(tmp_path / "x.jpg").size == (48, 32)


# Encoding


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".jfif", ".png", ".webp", ".tif", ".tiff"])
def test_a_written_picture_reads_back(tmp_path: Path, ending: str):
    encode(from_array(ramp()), tmp_path / f"x{ending}")
    np.testing.assert_allclose(to_array(decode(tmp_path / f"x{ending}")).astype(int), ramp(), atol=8)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{ending}"]


def test_jpeg_keeps_the_full_resolution_of_colors(tmp_path: Path):
    stripes = np.tile(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8), (32, 16, 1))
    encode(from_array(stripes), tmp_path / "x.jpg")
    with PIL.Image.open(tmp_path / "x.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    assert np.abs(to_array(decode(tmp_path / "x.jpg")).astype(int) - stripes).mean() < 4


@pytest.mark.parametrize(("ending", "mode"), [(".png", "RGBA"), (".webp", "RGBA"), (".tif", "RGBA"), (".jpg", "RGB")])
def test_transparency_is_kept_where_the_format_has_it(tmp_path: Path, ending: str, mode: str):
    encode(PIL.Image.new("RGBA", (8, 8), (0, 0, 0, 0)), tmp_path / f"x{ending}")
    assert decode(tmp_path / f"x{ending}", keep_alpha=True).mode == mode
    assert pixel(decode(tmp_path / f"x{ending}")) == (255, 255, 255)


@pytest.mark.parametrize("name", ["x.gif", "x.docx", "x", ".png"])
def test_an_unknown_ending_is_refused_with_those_known(tmp_path: Path, name: str):
    for refuse in (check_writable_format, lambda path: encode(from_array(ramp()), path)):
        with pytest.raises(ImageError, match=r"one of \.jpg, \.jpeg, \.png, \.webp, \.tif, \.tiff"):
            refuse(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ending", "longest"), [(".jpg", 65_500), (".webp", 16_383), (".avif", 32_768)])
def test_a_side_that_the_format_cannot_have_is_named(
    tmp_path: Path, ending: str, longest: int, capfd: pytest.CaptureFixture[str]
):
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    encode(PIL.Image.new("RGB", (longest, 1)), tmp_path / f"long{ending}")
    assert decode(tmp_path / f"long{ending}").size == (longest, 1)
    with pytest.raises(ImageError, match=rf"{longest + 1} x 1 pixels, .* at most {longest}\); choose PNG"):
        encode(PIL.Image.new("RGB", (longest + 1, 1)), tmp_path / f"longer{ending}")
    assert capfd.readouterr().err == ""


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "x.png", ramp())
    old = path.read_bytes()

    def fill_the_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_the_disk)
    with pytest.raises(ImageError, match=r"x\.png' cannot be written \(No space left on device\)"):
        encode(from_array(noise()), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused_by_name(tmp_path: Path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for name in ("none/x.png", "folder.png", "file/x.png"):
        with pytest.raises(ImageError, match=f"{name}' cannot be written"):
            encode(from_array(ramp()), tmp_path / name)
    with pytest.raises(ImageError, match="quality is 0"):
        encode(from_array(ramp()), tmp_path / "x.jpg", quality=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


# Arrays


def test_bytes_survive_the_way_through_the_unit_range():
    pixels = noise()
    planes = to_planes(pixels)
    assert (planes.dtype, planes.shape, planes.min(), planes.max()) == (np.float32, (3, 32, 48), 0, 1)
    np.testing.assert_array_equal(round_to_bytes(planes.transpose(1, 2, 0) * 255), pixels)
    np.testing.assert_array_equal(to_array(from_array(pixels)), pixels)


def test_bytes_are_rounded_and_clamped():
    values = np.array([-1e9, -0.4, 0.6, 254.4, 254.6, 300, np.inf])
    assert round_to_bytes(values).tolist() == [0, 0, 1, 254, 255, 255, 255]
    with pytest.raises(ValueError, match="not a number"):
        round_to_bytes(np.array([np.nan]))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_only_rgb_bytes_become_a_picture(pixels: np.ndarray):
    with pytest.raises(ValueError, match="pass uint8 of shape"):
        from_array(pixels)


# Sizes


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=50)
def test_scaling_hits_the_side_and_keeps_the_aspect(width: int, height: int, side: int):
    image = from_array(flat((1, 2, 3), width, height))
    fitted = fit_within(image, side)
    assert max(fitted.size) == min(side, max(width, height))
    assert abs(fitted.width * height - fitted.height * width) <= max(width, height)
    scaled = scale_short_side(image, side)
    assert min(scaled.size) == side
    assert abs(scaled.width * height - scaled.height * width) <= max(width, height)


def test_a_thread_of_pixels_is_not_scaled_to_a_bomb():
    with pytest.raises(ImageError, match="would become 1000 x 10000000"):
        scale_short_side(PIL.Image.new("RGB", (1, 10_000)), 1000)


def test_a_contact_sheet_pads_with_white():
    red, tall = flat((255, 0, 0), 5, 3), flat((0, 0, 255), 2, 6)
    sheet = contact_sheet([[red, tall], [tall]], gap=1)
    assert sheet.shape == (6 + 1 + 6, 5 + 1 + 2, 3)
    np.testing.assert_array_equal(sheet[:3, :5], red)
    np.testing.assert_array_equal(sheet[:6, 6:], tall)
    np.testing.assert_array_equal(sheet[7:, :2], tall)
    painted = 15 + 12 + 12
    assert (sheet == 255).all(axis=2).sum() == 13 * 8 - painted


def test_pictures_come_in_without_torch():
    script = "import sys, data.images; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).resolve().parents[2])


def test_what_libtiff_prints_of_a_broken_file_is_not_shown(tmp_path, capfd):
    path = tmp_path / "broken.tif"
    PIL.Image.fromarray(noise(64, 48)).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    # Pillow alone, to know that there is something to be kept from being shown.
    with pytest.raises(OSError, match="decoder error"), PIL.Image.open(path) as picture:
        picture.load()
    assert "LZW" in capfd.readouterr().err
    with pytest.raises(ImageError, match="cannot be read"):
        decode(path)
    assert capfd.readouterr().err == ""
    os.write(2, b"after it\n")
    assert capfd.readouterr().err == "after it\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
def test_a_picture_without_room_for_it_is_refused_and_the_former_one_kept(tmp_path, ending):
    path = tmp_path / f"picture{ending}"
    encode(PIL.Image.fromarray(noise(200, 200)), path)
    former = path.read_bytes()
    # A limit on the size of files cuts a write short as a full disk does; here the end is missing.
    code = (
        "import pathlib, resource, signal, sys\n"
        "import numpy as np, PIL.Image\n"
        "from data.images import ImageError, encode\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (path.stat().st_size - 1000,))\n"
        "try:\n"
        "    encode(PIL.Image.fromarray(pixels), path)\n"
        "except ImageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"picture '{path}' cannot be written" in done.stdout
    assert path.read_bytes() == former
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
