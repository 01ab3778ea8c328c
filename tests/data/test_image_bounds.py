"""What a picture costs is bounded before it is decoded, in memory and in time; large photos are read as ever."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from data import heif, images
from data.images import ImageError, decode, to_array
from tests.pictures import announce_png, noise, png_chunk, ramp

ROOT = Path(__file__).resolve().parents[2]


def encoded(kind: str, mode: str = "RGB", side: int = 64, **options: object) -> bytes:
    file = io.BytesIO()
    picture = PIL.Image.fromarray(ramp(side, side))
    (PIL.Image.merge("LA", [picture.convert("L")] * 2) if mode == "LA" else picture.convert(mode)).save(
        file, kind, **options
    )
    return file.getvalue()


def jpeg_with_segments(kind: int, count: int, body: bytes = b"") -> bytes:
    whole = encoded("JPEG")
    return whole[:2] + (bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body) * count + whole[2:]


def png_with_texts(count: int) -> bytes:
    whole = encoded("PNG")
    return whole[:33] + png_chunk(b"tEXt", b"a\0b") * count + whole[33:]


def gif_with_comments(count: int) -> bytes:
    whole = encoded("GIF")
    start = 13 + 3 * (2 << (whole[10] & 7))
    return whole[:start] + b"!\xfe\x01a\x00" * count + whole[start:]


def run_length_bmp(width: int, height: int) -> bytes:
    data = (b"\x01\x07" * width + b"\x00\x00") * height
    palette = b"".join(bytes([index, index, index, 0]) for index in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 256)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + header + palette + data


def progressive_jpeg(further_scans: int) -> bytes:
    whole = encoded("JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * further_scans + whole[-2:]


def test_a_thread_of_pixels_is_refused(tmp_path: Path):
    with pytest.raises(ImageError, match="1 x 200000000 pixels, and sides of at most 1,000,000 accepted"):
        decode(announce_png(tmp_path / "x.png", 1, 200_000_000))


@pytest.mark.parametrize(("color", "mode", "size"), [(6, "RGBA", "2.55"), (4, "LA", "2.55")])
def test_a_mode_that_takes_more_memory_may_have_fewer_pixels(tmp_path: Path, color: int, mode: str, size: str):
    path = announce_png(tmp_path / "x.png", 14_000, 14_000, color)
    with pytest.raises(ImageError, match=f"of mode {mode} take {size} GB to decode, and at most 1.6 GB accepted"):
        decode(path)


@pytest.mark.parametrize("color", [0, 2, 3])
def test_a_picture_of_many_pixels_is_not_refused_for_its_size(tmp_path: Path, color: int):
    with pytest.raises(ImageError) as caught:
        decode(announce_png(tmp_path / "x.png", 200, 1_000_000, color))
    assert "accepted" not in str(caught.value)


def test_a_tile_that_is_larger_than_the_picture_counts(tmp_path: Path):
    tags = {256: 8, 257: 8, 258: 8, 259: 5, 262: 1, 277: 1, 322: 60_000, 323: 60_000, 324: 8, 325: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "x.tif").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4))
    with pytest.raises(ImageError, match=r"8 x 8 pixels of mode L take 3\.60 GB to decode"):
        decode(tmp_path / "x.tif")


# The peak that getrusage gives is also that of the process that started this one.
MEASURE = """
import sys
from pathlib import Path
from data.images import decode
def read_peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
decode(Path(sys.argv[1]))
held = read_peak()
decode(Path(sys.argv[2]))
print(read_peak() - held)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", {"progressive": True, "subsampling": 0}),
        ("PNG", "L", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("WEBP", "RGB", {"method": 0}),
        ("WEBP", "RGBA", {"method": 0}),
        ("GIF", "P", {}),
        ("TIFF", "F", {}),
        ("TIFF", "I", {}),
        ("TIFF", "LAB", {}),
        ("TIFF", "RGB", {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 3000}}),
        ("AVIF", "RGB", {"subsampling": "4:4:4", "speed": 10}),
        ("AVIF", "RGBA", {"subsampling": "4:4:4", "speed": 10}),
        ("HEIF", "RGB", {"chroma": 444, "enc_params": {"preset": "ultrafast"}}),
        ("HEIF", "RGBA", {"enc_params": {"preset": "ultrafast"}}),
    ],
)
def test_decoding_takes_no_more_memory_than_its_bound_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str, options: dict[str, object]
):
    if kind in {"AVIF", "HEIF"}:
        try:
            heif.require_codec(kind)
        except heif.CodecError as error:
            pytest.skip(str(error))
    (tmp_path / "small").write_bytes(encoded(kind, mode, 64, **options))
    (tmp_path / "large").write_bytes(encoded(kind, mode, 3000, **options))
    monkeypatch.setattr(images, "MAX_BYTES", 1)
    with pytest.raises(ImageError) as caught:
        decode(tmp_path / "large")
    bound = float(str(caught.value).split(" take ")[1].split(" GB")[0]) * 1e9
    arguments = [sys.executable, "-c", MEASURE, str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 1.1 * bound + 10e6 + (tmp_path / "large").stat().st_size


@pytest.mark.parametrize(
    "content",
    [png_with_texts(700), jpeg_with_segments(0xE5, 700), gif_with_comments(700), run_length_bmp(40, 40)],
    ids=["png", "jpeg", "gif", "bmp"],
)
def test_a_file_of_too_many_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes):
    (tmp_path / "x").write_bytes(content)
    assert decode(tmp_path / "x").mode == "RGB"
    monkeypatch.setattr(images, "MAX_READS", 1000)
    with pytest.raises(ImageError, match="too many parts, read in more than the 1,000 steps accepted"):
        decode(tmp_path / "x")


def test_a_jpeg_of_too_many_scans_is_refused(tmp_path: Path):
    (tmp_path / "few.jpg").write_bytes(progressive_jpeg(80))
    (tmp_path / "many.jpg").write_bytes(progressive_jpeg(100))
    assert decode(tmp_path / "few.jpg").size == (64, 64)
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode(tmp_path / "many.jpg")


def test_what_only_looks_like_scans_is_not_counted(tmp_path: Path):
    (tmp_path / "before.jpg").write_bytes(jpeg_with_segments(0xE5, 1, b"\xff\xda" * 200))
    (tmp_path / "after.jpg").write_bytes(encoded("JPEG") + b"\xff\xda" * 200)
    for name in ("before.jpg", "after.jpg"):
        assert decode(tmp_path / name).size == (64, 64)


@pytest.mark.parametrize("content", [b"P3 8 8 255 " + b"7 " * 192, run_length_bmp(8, 8)], ids=["ppm", "bmp"])
def test_what_pillow_decodes_in_python_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes):
    (tmp_path / "x").write_bytes(content)
    assert decode(tmp_path / "x").size == (8, 8)
    monkeypatch.setattr(images, "MAX_SLOW_PIXELS", 63)
    with pytest.raises(ImageError, match="8 x 8 pixels, 64 in all, and at most 63 accepted as"):
        decode(tmp_path / "x")


@pytest.mark.parametrize(("magic", "bands"), [("P6", 3), ("P5", 1)])
@pytest.mark.parametrize("white", [65535, 1023, 100, 1])
def test_a_ppm_of_any_depth_becomes_what_pillow_makes_of_it(tmp_path: Path, magic: str, bands: int, white: int):
    values = noise(20, 600).astype(int)[..., :bands] * white // 255
    levels = values.astype(">u2" if white > 255 else "u1").tobytes()
    (tmp_path / "x.ppm").write_bytes(f"{magic} 20 600 {white}\n".encode() + levels)
    expected = np.rint(values * (255 / white))
    np.testing.assert_allclose(
        to_array(decode(tmp_path / "x.ppm")).astype(int), np.broadcast_to(expected, (600, 20, 3)), atol=1
    )
    with PIL.Image.open(tmp_path / "x.ppm") as image:
        theirs = np.asarray(image).astype(float).reshape(600, 20, bands) / (257 if image.mode == "I" else 1)
    assert np.abs(theirs - to_array(decode(tmp_path / "x.ppm"))[..., :bands]).max() <= 1
    (tmp_path / "x.ppm").write_bytes((tmp_path / "x.ppm").read_bytes()[:-1])
    with pytest.raises(ImageError, match="truncated"):
        decode(tmp_path / "x.ppm")


def test_deep_gray_is_scaled_by_the_brightest_of_the_whole_picture(tmp_path: Path):
    values = np.linspace(0, 200, 700, dtype=np.float32)[:, None].repeat(5, 1)
    PIL.Image.fromarray(values).save(tmp_path / "x.tif")
    np.testing.assert_array_equal(to_array(decode(tmp_path / "x.tif"))[..., 0], np.rint(values))
