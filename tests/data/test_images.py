"""Pictures come in upright and 8-bit whatever the file holds."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from data.images import (
    ImageError,
    as_rgb,
    decode,
    list_images,
    to_array,
    walk_images,
)
from tests.pictures import TURNS, flat, noise, ramp, write

SIDES = st.integers(1, 40)
shared_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40
)


def pixel(image: PIL.Image.Image) -> tuple[int, ...]:
    return tuple(to_array(image)[0, 0].tolist())


# Folders


def test_photos_are_found_at_any_depth_in_posix_order(tmp_path: Path):
    hidden = (".hidden.jpg", ".git/y.jpg", "@eaDir/y.jpg")
    for name in ("b.jpg", "a/z.PNG", "a/deep/er/x.webp", "a.JPEG", "notes.txt", "Z.tif", *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["Z.tif", "a.JPEG", "a/deep/er/x.webp", "a/z.PNG", "b.jpg"]


@pytest.mark.parametrize("ending", [".jfif", ".ppm"])
def test_photos_are_found_whatever_their_format_is_called(tmp_path: Path, ending: str):
    (tmp_path / f"photo{ending}").touch()
    assert list_images(tmp_path) == [tmp_path / f"photo{ending}"]


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


def test_photos_of_many_folders_are_listed_in_order(tmp_path: Path):
    names = [f"{i % 7}/{i:06}.jpg" for i in range(2000)]
    for folder in range(7):
        (tmp_path / str(folder)).mkdir()
    for name in names:
        os.close(os.open(tmp_path / name, os.O_CREAT))
    assert [str(path) for path in list_images(tmp_path)] == [f"{tmp_path}/{name}" for name in sorted(names)]


def test_photos_are_found_one_by_one_and_no_folder_is_read_before_its_turn(tmp_path: Path, monkeypatch):
    for name in ("b.jpg", "a.jpg", "deep/z.jpg", "deep/er/x.jpg", "deeper/c.jpg"):
        write(tmp_path / name, ramp())
    read = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(Path(path).name) or scan(path))
    found = walk_images(tmp_path)
    assert [next(found).name for _ in range(2)] == ["a.jpg", "b.jpg"]
    assert read == [tmp_path.name]
    assert next(found) == tmp_path / "deep/z.jpg"
    assert [path.name for path in found] == ["x.jpg", "c.jpg"]
    assert read == [tmp_path.name, "deep", "er", "deeper"]


def test_a_large_folder_is_sorted_in_parts_and_found_whole(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("data.images.SORTED_ENTRIES", 4)
    names = {f"{index}.jpg" for index in range(10)}
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in walk_images(tmp_path)]
    assert len(found) == 10
    assert set(found) == names
    assert all(part == sorted(part) for part in (found[:4], found[4:8], found[8:]))


def test_an_absent_or_empty_folder_says_what_to_do(tmp_path: Path):
    remedy = "set --data.photos to a folder of JPEG or PNG files"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, what in (("none", "does not exist"), ("file", "is a file"), ("empty", "holds no picture")):
        with pytest.raises(ImageError) as caught:
            next(walk_images(tmp_path / name, remedy))
        assert str(caught.value) == f"photo folder '{tmp_path / name}' {what}; {remedy}"
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
@given(SIDES, SIDES, st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]))
def test_every_mode_comes_in_as_pillow_shows_it(tmp_path: Path, width: int, height: int, mode: str):
    image = PIL.Image.fromarray(noise(width, height)).convert(mode)
    image.save(tmp_path / "x.tif")
    decoded = decode(tmp_path / "x.tif")
    assert (decoded.mode, decoded.size, decoded.info) == ("RGB", (width, height), {})
    np.testing.assert_allclose(to_array(decoded).astype(int), np.asarray(image.convert("RGB")).astype(int), atol=1)


def exchanged_profile() -> bytes:
    """Return a profile like that of sRGB, but with green for red and red for green."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in (
        (b"rXYZ", b"...."),
        (b"gXYZ", b"rXYZ"),
        (b"....", b"gXYZ"),
        (b"b\0u\0i\0l\0t", b"b\0o\0l\0l\0t"),
    ):
        assert one in content
        content = content.replace(one, other)
    return content


@pytest.mark.parametrize("at_least", [None, 2])
@pytest.mark.parametrize(("ending", "alpha"), [("png", 255), ("png", 100), ("jpg", 255), ("webp", 255), ("tif", 100)])
def test_colors_of_an_embedded_profile_become_those_of_srgb(
    tmp_path: Path, ending: str, alpha: int, at_least: int | None
):
    mode, color = ("RGB", (200, 0, 0)) if alpha == 255 else ("RGBA", (200, 0, 0, alpha))
    path = tmp_path / f"red.{ending}"
    options = {"lossless": True} if ending == "webp" else {}
    PIL.Image.new(mode, (8, 6), color).save(path, icc_profile=exchanged_profile(), **options)
    found = decode(path, keep_alpha=True, at_least=at_least)
    assert found.info == {}
    assert np.abs(np.asarray(found, dtype=int)[0, 0] - [0, 200, 0, *color[3:]]).max() <= 2


def ink_profile() -> bytes:
    """Return a profile of inks that print the same gray, and all four of them black (ICC.1:2001-04, 6.1 and 6.5.8)."""
    ramp, white, gray, black = bytes(range(256)), b"\xff\x80\x80", b"\x80\x80\x80", b"\0\x80\x80"
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int).ravel()))
    table = b"mft1" + bytes([0, 0, 0, 0, 4, 3, 2, 0]) + matrix + 4 * ramp + white + 14 * gray + black + 3 * ramp
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    light = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(">I4xI12s12x4s28x12s48x", 144 + len(table), 0x02400000, b"prtrCMYKLab ", b"acsp", light)
    return head + tags + table


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_inks_become_the_colors_that_their_profile_prints(tmp_path: Path, ending: str):
    sheet = PIL.Image.new("CMYK", (16, 8))
    sheet.paste((255, 0, 0, 0), (8, 0, 16, 8))
    for profile, printed in ((ink_profile(), (119, 119, 119)), (ink_profile()[:200], (0, 255, 255))):
        sheet.save(tmp_path / f"x.{ending}", icc_profile=profile)
        found = to_array(decode(tmp_path / f"x.{ending}")).astype(int)
        assert np.abs(found[4, [1, 14]] - [(255, 255, 255), printed]).max() <= 2


def test_a_profile_that_is_broken_or_of_inks_or_grays_changes_nothing(tmp_path: Path):
    path = tmp_path / "red.png"
    inks = exchanged_profile().replace(b"RGB ", b"CMYK", 1)
    for profile in (b"no profile", exchanged_profile()[:200], inks):
        PIL.Image.new("RGB", (3, 2), (200, 0, 0)).save(path, icc_profile=profile)
        assert decode(path).getpixel((1, 1)) == (200, 0, 0)


@pytest.mark.parametrize(
    ("dtype", "ending"), [("<u2", ".png"), ("<u2", ".tif"), ("<u2", ".pgm"), (">u2", ".png"), (">u2", ".tif")]
)
def test_sixteen_bit_gray_keeps_its_brightness(tmp_path: Path, dtype: str, ending: str):
    values = np.array([[0, 256, 32896, 65535]])
    PIL.Image.fromarray(values.astype(dtype)).save(tmp_path / f"x{ending}")
    assert to_array(decode(tmp_path / f"x{ending}"))[0].tolist() == [[v] * 3 for v in (0, 1, 128, 255)]


def test_dark_sixteen_bit_gray_stays_dark(tmp_path: Path):
    PIL.Image.fromarray(np.full((2, 2), 200, np.uint16)).save(tmp_path / "x.png")
    assert pixel(decode(tmp_path / "x.png")) == (1, 1, 1)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_gray_keeps_its_brightness(white: int):
    values = np.array([[-1, 0, white / 5, white]], np.float32)
    assert to_array(PIL.Image.fromarray(values))[0, :, 0].tolist() == [0, 0, 51, 255]


@pytest.mark.parametrize("value", [70_000.0, np.nan, np.inf])
def test_gray_of_unknown_white_is_refused(tmp_path: Path, value: float):
    PIL.Image.fromarray(np.full((2, 2), value, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=r"x\.tif' cannot be read \(gray values up to"):
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
def test_a_transparent_color_becomes_white(tmp_path: Path, mode: str):
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
    frames = [PIL.Image.fromarray(flat(color)) for color in ((250, 0, 0), (0, 0, 250))]
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
