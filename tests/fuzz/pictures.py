"""Pictures of every format, mutated in their bytes and in their structure, and repainted."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import PIL.Image

from data.heif import CodecError, require_codec
from tests.fuzz.mutations import EXTREMES, mutate_bytes
from tests.fuzz.trial import Case
from tests.pictures import png_chunk, ramp

SIDES = (0, 1, 3, 64, 5000, 14_000, 65_535, 1_000_000, 200_000_000, 2**31 - 1, 2**32 - 1)
REPEATS = (2, 50, 2000, 20_000)


def write_inputs(sandbox: Path) -> None:
    """Write the model, and pictures whose encoders start threads."""
    from tests.export.small_export import write_foreign

    write_foreign(sandbox / "wave.onnx")
    picture = PIL.Image.fromarray(ramp(40, 33))
    clear = picture.copy()
    clear.putalpha(picture.getchannel("G"))
    for ending, kind in ((".avif", "AVIF"), (".heic", "HEIF")):
        with contextlib.suppress(CodecError):
            require_codec(kind)
            for name, image in (("seed", picture), ("clear", clear)):
                image.save(sandbox / f"{name}{ending}", kind)


def read_inputs(sandbox: Path) -> Callable[[Random], Case]:
    """Return what writes a mutant and gives the command on it."""
    boxed = [path for ending in (".avif", ".heic") for path in sorted(sandbox.glob(f"*{ending}"))]
    seeds = [*_encode_seeds(), *((path.suffix, path.read_bytes()) for path in boxed)]

    def make(random: Random) -> Case:
        ending, content = random.choice(seeds)
        other = random.choice(seeds)[1]
        structure = STRUCTURES.get(ending)
        if structure is not None and random.random() < 0.5:
            content = structure(random, content)
        if random.random() < 0.6:
            content = mutate_bytes(random, content, other)
        (sandbox / f"mutant{ending}").write_bytes(content)
        output = random.choice(("out.png", "out.jpg"))
        words = ["wave.onnx", f"mutant{ending}", "--output", output, "--max-size", "64", "--threads", "1"]
        return Case("export.stylize.command", words, (output,))

    return make


def _encode_seeds() -> list[tuple[str, bytes]]:
    picture = PIL.Image.fromarray(ramp(40, 33))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    deep = picture.convert("L").convert("I").point(lambda value: value * 257)
    wishes: list[tuple[str, str, PIL.Image.Image, dict[str, object]]] = [
        (".jpg", "JPEG", picture, {"exif": exif}),
        (".jpg", "JPEG", picture, {"progressive": True}),
        (".jpg", "JPEG", picture.convert("CMYK"), {}),
        (".jpg", "JPEG", picture.convert("L"), {}),
        (".png", "PNG", picture, {"exif": exif}),
        (".png", "PNG", picture.convert("RGBA"), {}),
        (".png", "PNG", picture.convert("P"), {"transparency": 3}),
        (".png", "PNG", deep.convert("I;16"), {}),
        (".webp", "WEBP", picture, {}),
        (".webp", "WEBP", picture.convert("RGBA"), {"lossless": True, "exif": exif}),
        (".gif", "GIF", picture.convert("P"), {"comment": b"a", "transparency": 2}),
        (".bmp", "BMP", picture, {}),
        (".bmp", "BMP", picture.convert("P"), {}),
        (".tif", "TIFF", picture, {}),
        (".tif", "TIFF", picture, {"compression": "tiff_lzw"}),
        (".tif", "TIFF", picture.convert("RGBA"), {"compression": "tiff_adobe_deflate"}),
        (".tif", "TIFF", picture.convert("L").convert("F"), {}),
        (".tif", "TIFF", picture, {"compression": "jpeg"}),
        (".ppm", "PPM", picture, {}),
        (".ppm", "PPM", deep, {}),
    ]
    seeds = []
    for ending, kind, image, options in wishes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        seeds.append((ending, file.getvalue()))
    plain = b"P3\n# text\n5 4\n255\n" + b"200 10 0 " * 20
    return [*seeds, (".ppm", plain), (".ppm", b"P6 20 10 1023\n" + bytes(range(240)) * 5)]


def change_png(random: Random, content: bytes) -> bytes:
    """Change a PNG's chunks, each with a checksum that is right."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    kind = random.randrange(5)
    if kind == 0:
        width, height = random.choice(SIDES), random.choice(SIDES)
        depth, color = random.choice((1, 8, 16)), random.choice((0, 2, 3, 4, 6))
        chunks[0] = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, random.choice((0, 1))))
    elif kind == 1:
        name = random.choice((b"tEXt", b"zTXt", b"iTXt", b"IDAT", b"gAMA", b"tRNS", b"iCCP", b"eXIf", b"fcTL", b"PLTE"))
        body = random.choice((b"", b"a\0b", b"a\0\0" + bytes(40), bytes(random.randrange(800))))
        chunks[random.randrange(1, len(chunks) + 1) :] = [(name, body)] * random.choice(REPEATS) + chunks[1:]
    elif kind == 2:
        chunks.insert(random.randrange(len(chunks)), chunks[random.randrange(len(chunks))])
    elif kind == 3:
        random.shuffle(chunks)
    else:
        index = random.randrange(len(chunks))
        chunks[index] = (chunks[index][0], mutate_bytes(random, chunks[index][1]))
    return content[:8] + b"".join(png_chunk(*chunk) for chunk in chunks)


def change_jpeg(random: Random, content: bytes) -> bytes:
    """Change a JPEG's size, or repeat one of its segments or scans."""
    kind = random.randrange(3)
    if kind == 0:
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            place = content.find(marker)
            if place >= 0:
                size = struct.pack(">HH", random.choice(SIDES) & 0xFFFF, random.choice(SIDES) & 0xFFFF)
                return content[: place + 5] + size + content[place + 9 :]
    if kind == 1:
        scan = content.rindex(b"\xff\xda")
        return content[:-2] + content[scan:-2] * random.choice(REPEATS) + content[-2:]
    name = random.choice((0xE0, 0xE1, 0xE2, 0xED, 0xFE, 0xC4, 0xDB, 0xDD))
    body = random.choice(
        (b"", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"ICC_PROFILE\0\x01\xff", bytes(random.randrange(300)))
    )
    segment = bytes([0xFF, name]) + struct.pack(">H", len(body) + 2) + body
    return content[:2] + segment * random.choice(REPEATS) + content[2:]


def change_tiff(random: Random, content: bytes) -> bytes:
    """Change entries of a TIFF's directory: tag, type, count, value."""
    changed = bytearray(content)
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack(f"{order}I", content[4:8])
    (count,) = struct.unpack(f"{order}H", content[start : start + 2])
    for _ in range(random.choice((1, 1, 2, 3))):
        entry = start + 2 + 12 * random.randrange(count)
        place, kind = random.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
        value = random.choice((*EXTREMES, *SIDES, 256, 257, 258, 259, 277, 278, 322, 323, 339, 34712))
        struct.pack_into(f"{order}{kind}", changed, entry + place, value & (0xFFFF if kind == "H" else 0xFFFFFFFF))
    return bytes(changed)


def change_numbers(random: Random, content: bytes) -> bytes:
    """Change numbers of a header of fixed layout, that of GIF, BMP and WebP."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 2))):
        length = random.choice((2, 4))
        value = random.choice((*EXTREMES, *SIDES)) & (256**length - 1)
        place = random.randrange(2, min(56, len(content) - 4))
        changed[place : place + length] = value.to_bytes(length, "little")
    return bytes(changed)


def change_boxes(random: Random, content: bytes) -> bytes:
    """Change numbers in the boxes before the pixels of an AVIF or HEIC file, or repeat one of its boxes."""
    changed = bytearray(content)
    end = content.index(b"mdat")
    if random.random() < 0.3:
        kind = random.choice((b"ispe", b"ipco", b"ipma", b"iloc", b"iinf", b"iprp", b"infe", b"pixi"))
        place = content.find(kind) - 4
        if place >= 0:
            length = int.from_bytes(content[place : place + 4], "big")
            return (
                content[: place + length] + content[place : place + length] * random.choice(REPEATS) + content[place:]
            )
    for _ in range(random.choice((1, 1, 2, 3))):
        kind = random.choice((b"ispe", b"iloc", b"ipma", b"iinf", b"clap", b"irot", b"pitm", b""))
        place = content.find(kind) + random.randrange(4, 20) if kind in content and kind else random.randrange(4, end)
        length = random.choice((1, 2, 4))
        value = random.choice((*EXTREMES, *SIDES)) & (256**length - 1)
        changed[place : place + length] = value.to_bytes(length, "big")
    return bytes(changed)


def change_ppm(random: Random, content: bytes) -> bytes:
    """Write a header of other numbers before a PPM's pixels."""
    magic = random.choice((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf"))
    numbers = (random.choice(SIDES), random.choice(SIDES), random.choice((1, 100, 255, 1023, 65_535, 0)))
    return magic + b" %d %d %d\n" % numbers + content[10:]


STRUCTURES: dict[str, Callable[[Random, bytes], bytes]] = {
    ".png": change_png,
    ".jpg": change_jpeg,
    ".tif": change_tiff,
    ".gif": change_numbers,
    ".bmp": change_numbers,
    ".webp": change_numbers,
    ".ppm": change_ppm,
    ".avif": change_boxes,
    ".heic": change_boxes,
}
