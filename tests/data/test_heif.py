"""Pictures of phones: HEIC and AVIF are read and written as every other kind, or the sentence names what is missing."""

import struct

import numpy as np
import PIL.Image
import pytest
from PIL import features

from data import heif, images
from data.heif import find_kind
from data.images import ImageError, check_writable_format, decode, encode, from_array, list_images, to_array
from tests.pictures import TURNS, ramp

KINDS = [
    pytest.param("avif", "AVIF", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF")),
    pytest.param("heic", "HEIF", id="heic"),
]


@pytest.fixture(autouse=True)
def readers():
    pytest.importorskip("pillow_heif", reason='install it with pip install "onestroke[heif]"')
    heif.require_codec("HEIF")


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int)).mean()


@pytest.mark.parametrize(("ending", "kind"), KINDS)
def test_a_picture_comes_back_as_it_was_written(tmp_path, ending, kind):
    path = tmp_path / f"x.{ending}"
    encode(from_array(ramp()), path)
    picture = decode(path)
    assert (picture.format, picture.mode, picture.info) == (kind, "RGB", {})
    assert difference(to_array(picture), ramp()) < 3
    assert difference(to_array(decode(path.read_bytes())), ramp()) < 3
    assert list_images(tmp_path) == [path]


@pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_upright_however_the_camera_was_held(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(TURNS[orientation](ramp()))
    PIL.Image.fromarray(stored).save(tmp_path / "x", "AVIF", exif=exif, quality=95)
    assert difference(to_array(decode(tmp_path / "x")), ramp()) < 4


def turn(content, quarters):
    """Add a property to a HEIC file's picture that turns it by quarters anticlockwise, as phones do (box irot)."""
    # The box of what each picture has (ipma) follows that of all properties (ipco), within iprp, within meta.
    place = content.index(b"ipma") - 4
    end = place + struct.unpack_from(">I", content, place)[0]
    box = bytearray(content[place:end])
    box[18] += 1
    changed = bytearray(content[:place])
    changed += struct.pack(">I4sB", 9, b"irot", quarters) + box + bytes([0x80 | box[18]])
    changed += content[end:]
    for kind, offset, by in (
        (b"ipco", -4, 9),
        (b"ipma", -4, 1),
        (b"iprp", -4, 10),
        (b"meta", -4, 10),
        (b"iloc", 16, 10),
    ):
        # The length of a box, and in iloc where the picture's data begins.
        number = changed.index(kind) + offset
        struct.pack_into(">I", changed, number, struct.unpack_from(">I", changed, number)[0] + by)
    return bytes(changed)


@pytest.mark.parametrize("quarters", range(4))
def test_heic_is_upright_however_the_phone_was_held(tmp_path, quarters):
    encode(from_array(np.ascontiguousarray(np.rot90(ramp(64, 64), -quarters))), tmp_path / "x.heic")
    upright = decode(turn((tmp_path / "x.heic").read_bytes(), quarters))
    assert difference(to_array(upright), ramp(64, 64)) < 4


@pytest.mark.parametrize(("ending", "kind"), KINDS)
def test_transparency_is_kept_when_asked(tmp_path, ending, kind):
    picture = from_array(ramp())
    picture.putalpha(picture.getchannel("R"))
    encode(picture, tmp_path / f"x.{ending}")
    kept = decode(tmp_path / f"x.{ending}", keep_alpha=True)
    assert kept.mode == "RGBA"
    assert difference(np.asarray(kept)[..., 3], ramp()[..., 0]) < 2
    assert decode(tmp_path / f"x.{ending}").mode == "RGB"


@pytest.mark.parametrize(("ending", "kind"), KINDS)
def test_the_cost_is_bounded_before_decoding(tmp_path, monkeypatch, ending, kind):
    path = tmp_path / f"x.{ending}"
    encode(from_array(ramp()), path)
    monkeypatch.setattr(PIL.Image.Image, "load", None)
    with pytest.raises(ImageError, match="48 x 32 pixels, 1,536 in all, and at most 1,000 accepted"):
        decode(path, max_pixels=1000)
    with monkeypatch.context() as patch:
        patch.setattr(images, "MAX_BYTES", 1000)
        with pytest.raises(ImageError, match=r"48 x 32 pixels of mode RGB take 0\.00 GB to decode"):
            decode(path)
    monkeypatch.setattr(heif, "MAX_CONTENT", 100)
    with pytest.raises(ImageError, match=rf"bytes of {kind}, and at most 100 accepted"):
        decode(path)


@pytest.mark.parametrize(("ending", "kind"), KINDS)
def test_broken_files_are_one_sentence(tmp_path, ending, kind):
    path = tmp_path / f"x.{ending}"
    encode(from_array(ramp()), path)
    whole = path.read_bytes()
    for content in (whole[:40], whole[: len(whole) // 2], whole[:-40]):
        path.write_bytes(content)
        with pytest.raises(ImageError) as caught:
            decode(path)
        assert "\n" not in str(caught.value)


def test_a_missing_reader_is_named_with_its_extra(tmp_path, monkeypatch):
    encode(from_array(ramp()), tmp_path / "x.heic")
    monkeypatch.delitem(PIL.Image.OPEN, "HEIF")
    monkeypatch.setattr(heif.importlib.util, "find_spec", lambda name: None)
    reason = r'HEIC needs pillow-heif, which is not installed; run pip install "onestroke\[heif\]"'
    with pytest.raises(ImageError, match=rf"x\.heic' cannot be read: {reason}"):
        decode(tmp_path / "x.heic")
    with pytest.raises(ImageError, match=rf"y\.heic' cannot be written: {reason}"):
        check_writable_format(tmp_path / "y.heic")
    with pytest.raises(ImageError, match=reason):
        images.encode_bytes(from_array(ramp()), "HEIF")


def test_a_pillow_without_avif_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.avif").write_bytes(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif")
    monkeypatch.setattr(heif.features, "check", lambda name: False)
    with pytest.raises(ImageError, match=r"has no AVIF; run pip install --upgrade pillow, version 11\.3 or later"):
        decode(tmp_path / "x.avif")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypavis\0\0\0\0mif1avif", "AVIF"),
        # What follows the box is no brand.
        (b"\0\0\0\x14ftypheic\0\0\0\0mif1avif", "HEIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41isom", None),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", None),
        (b"", None),
    ],
)
def test_kinds_are_told_by_their_brands(head, kind):
    assert find_kind(head) == kind
