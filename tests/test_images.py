"""Pictures come in upright and 8-bit whatever the file holds, and go out whole or not at all."""

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

from data import images
from data.images import (
    ImageError,
    as_rgb,
    check_writable_format,
    contact_sheet,
    decode,
    encode,
    fit_within,
    from_array,
    list_images,
    round_to_bytes,
    scale_short_side,
    to_array,
    to_planes,
)
from tests.pictures import TURNS, announce_png, flat, noise, ramp, write

SIDES = st.integers(1, 40)
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def pixel(image: PIL.Image.Image) -> tuple[int, ...]:
    return tuple(to_array(image)[0, 0].tolist())


# Folders


def test_photos_are_found_at_any_depth_in_posix_order(tmp_path: Path):
    for name in ("b.jpg", "a/z.PNG", "a/deep/er/x.webp", "a.JPEG", "notes.txt", ".hidden.jpg", ".git/y.jpg", "Z.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["Z.tif", "a.JPEG", "a/deep/er/x.webp", "a/z.PNG", "b.jpg"]


def test_linked_folders_are_read_once_and_loops_end(tmp_path: Path):
    outside = tmp_path / "outside"
    photos = tmp_path / "photos"
    for path in (outside / "far.jpg", photos / "real" / "near.jpg"):
        path.parent.mkdir(parents=True)
        path.touch()
    (photos / "a_loop").symlink_to(photos, target_is_directory=True)
    (photos / "a_copy").symlink_to(photos / "real", target_is_directory=True)
    (photos / "link").symlink_to(outside, target_is_directory=True)
    (photos / "self.jpg").symlink_to(photos / "self.jpg")
    (photos / "gone.jpg").symlink_to(photos / "nothing.jpg")
    (photos / "linked.jpg").symlink_to(outside / "far.jpg")
    found = [path.relative_to(photos).as_posix() for path in list_images(photos)]
    assert found == ["link/far.jpg", "linked.jpg", "real/near.jpg"]


def test_a_folder_with_a_picture_ending_is_a_folder(tmp_path: Path):
    write(tmp_path / "album.jpg" / "x.png", ramp())
    assert list_images(tmp_path) == [tmp_path / "album.jpg" / "x.png"]


def test_twenty_thousand_photos_are_listed_in_order(tmp_path: Path):
    names = [f"{i % 7}/{i:06}.jpg" for i in range(20_000)]
    for folder in range(7):
        (tmp_path / str(folder)).mkdir()
    for name in names:
        os.close(os.open(tmp_path / name, os.O_CREAT))
    assert [str(path) for path in list_images(tmp_path)] == [f"{tmp_path}/{name}" for name in sorted(names)]


def test_an_absent_or_empty_folder_says_what_to_do(tmp_path: Path):
    remedy = "set --data.photos to a folder of JPEG or PNG files"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, what in (("none", "does not exist"), ("file", "is a file"), ("empty", "holds no picture")):
        with pytest.raises(ImageError) as caught:
            list_images(tmp_path / name, remedy)
        assert str(caught.value) == f"photo folder '{tmp_path / name}' {what}; {remedy}"


# Decoding


@shared_folder
@given(SIDES, SIDES, st.sampled_from(sorted(TURNS)), st.sampled_from([".png", ".webp", ".tif"]))
def test_a_picture_comes_in_upright(tmp_path: Path, width: int, height: int, orientation: int, ending: str):
    pixels = noise(width, height)
    image = decode(write(tmp_path / f"x{ending}", pixels, orientation))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(to_array(image), pixels)


@pytest.mark.parametrize("orientation", sorted(TURNS))
def test_a_photo_comes_in_upright_even_when_reduced(tmp_path: Path, orientation: int):
    path = write(tmp_path / "x.jpg", ramp(160, 96), orientation)
    np.testing.assert_allclose(to_array(decode(path)).astype(int), ramp(160, 96), atol=6)
    np.testing.assert_allclose(to_array(decode(path, at_least=24)).astype(int), ramp(40, 24), atol=12)


@shared_folder
@given(SIDES, SIDES, st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"]))
def test_every_mode_comes_in_as_pillow_shows_it(tmp_path: Path, width: int, height: int, mode: str):
    image = PIL.Image.fromarray(noise(width, height)).convert(mode)
    image.save(tmp_path / "x.tif")
    decoded = decode(tmp_path / "x.tif")
    assert (decoded.mode, decoded.size, decoded.info) == ("RGB", (width, height), {})
    np.testing.assert_allclose(to_array(decoded).astype(int), np.asarray(image.convert("RGB")).astype(int), atol=1)


@pytest.mark.parametrize(
    ("dtype", "ending"), [("<u2", ".png"), ("<u2", ".tif"), ("<u2", ".pgm"), (">u2", ".png"), (">u2", ".tif")]
)
def test_sixteen_bit_grey_keeps_its_brightness(tmp_path: Path, dtype: str, ending: str):
    values = np.array([[0, 256, 32896, 65535]])
    PIL.Image.fromarray(values.astype(dtype)).save(tmp_path / f"x{ending}")
    assert to_array(decode(tmp_path / f"x{ending}"))[0].tolist() == [[v] * 3 for v in (0, 1, 128, 255)]


def test_dark_sixteen_bit_grey_stays_dark(tmp_path: Path):
    PIL.Image.fromarray(np.full((2, 2), 200, np.uint16)).save(tmp_path / "x.png")
    assert pixel(decode(tmp_path / "x.png")) == (1, 1, 1)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_grey_keeps_its_brightness(white: int):
    values = np.array([[-1, 0, white / 5, white]], np.float32)
    assert to_array(PIL.Image.fromarray(values))[0, :, 0].tolist() == [0, 0, 51, 255]


@pytest.mark.parametrize("value", [70_000.0, np.nan, np.inf])
def test_grey_of_unknown_white_is_refused(tmp_path: Path, value: float):
    PIL.Image.fromarray(np.full((2, 2), value, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=r"x\.tif' cannot be read \(grey values up to"):
        decode(tmp_path / "x.tif")


def test_lab_white_is_white(tmp_path: Path):
    PIL.Image.new("LAB", (4, 4), (255, 128, 128)).save(tmp_path / "x.tif")
    assert min(pixel(decode(tmp_path / "x.tif"))) >= 254


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa", "PA"])
def test_what_is_transparent_becomes_white(mode: str):
    if mode == "PA":
        image = PIL.Image.new("PA", (2, 1), (1, 255))
        image.putpalette([0, 0, 0, 10, 10, 10])
        image.putpixel((0, 0), (0, 0))
    else:
        image = PIL.Image.new("RGBA", (2, 1), (10, 10, 10, 255))
        image.putpixel((0, 0), (0, 0, 0, 0))
        image = image.convert("LA") if mode in {"LA", "La"} else image
        image = image if image.mode == mode else image.convert(mode)
    assert to_array(image)[0].tolist() == [[255] * 3, [10] * 3]
    assert as_rgb(image, keep_alpha=True).getpixel((0, 0))[3] == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_transparent_colour_becomes_white(tmp_path: Path, mode: str):
    black, light = {"RGB": ((0, 0, 0), (200,) * 3), "P": (0, 1), "I;16": (0, 51400), "1": (0, 1)}.get(mode, (0, 200))
    image = PIL.Image.new(mode, (2, 1), black)
    if mode == "P":
        image.putpalette([0, 0, 0, 200, 200, 200])
    image.putpixel((1, 0), light)
    image.save(tmp_path / "x.png", transparency=black)
    expected = 255 if mode == "1" else 200
    assert to_array(decode(tmp_path / "x.png"))[0].tolist() == [[255] * 3, [expected] * 3]
    kept = decode(tmp_path / "x.png", keep_alpha=True)
    assert np.asarray(kept)[0].tolist() == [[0, 0, 0, 0], [expected] * 3 + [255]]


def test_alpha_that_hides_nothing_is_dropped(tmp_path: Path):
    PIL.Image.new("RGBA", (3, 3), (1, 2, 3, 255)).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", keep_alpha=True).mode == "RGB"


def test_a_printers_jpeg_is_not_inverted(tmp_path: Path):
    PIL.Image.fromarray(flat((200, 40, 90))).convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    np.testing.assert_allclose(pixel(decode(tmp_path / "x.jpg")), (200, 40, 90), atol=6)


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_an_animation_shows_its_first_frame(tmp_path: Path, ending: str):
    frames = [PIL.Image.fromarray(flat(colour)) for colour in ((250, 0, 0), (0, 0, 250))]
    frames[0].save(tmp_path / f"x.{ending}", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(pixel(decode(tmp_path / f"x.{ending}")), (250, 0, 0), atol=6)


@shared_folder
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 80), st.sampled_from([".jpg", ".png"]))
def test_reduced_pictures_suffice(tmp_path: Path, width: int, height: int, at_least: int, ending: str):
    path = write(tmp_path / f"x{ending}", flat((9, 99, 199), width, height))
    short = min(decode(path, at_least=at_least).size)
    assert min(at_least, width, height) <= short <= max(2 * at_least, min(width, height) if short < at_least else 0)


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(tmp_path: Path):
    path = write(tmp_path / "x.jpg", ramp(800, 640))
    assert decode(path, at_least=80).size == (100, 80)


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
        "text.jpg": "it is none of",
        "empty.png": "it is none of",
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


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".png", ".webp", ".tif", ".tiff"])
def test_a_written_picture_reads_back(tmp_path: Path, ending: str):
    encode(from_array(ramp()), tmp_path / f"x{ending}")
    np.testing.assert_allclose(to_array(decode(tmp_path / f"x{ending}")).astype(int), ramp(), atol=8)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{ending}"]


def test_jpeg_keeps_the_full_resolution_of_colours(tmp_path: Path):
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


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "x.png", ramp())
    old = path.read_bytes()

    def fill_the_disk(self: PIL.Image.Image, target: Path, *_: object, **__: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PIL.Image.Image, "save", fill_the_disk)
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
@settings(deadline=None, max_examples=50)
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
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])
