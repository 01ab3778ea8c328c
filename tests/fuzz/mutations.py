"""Mutations of bytes, and words and numbers that programs stumble over."""

from __future__ import annotations

from random import Random

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1e308, float("inf"), float("nan"), 0.5)

WORDS = (
    "",
    " ",
    "0",
    "-1",
    "1e400",
    "nan",
    "-inf",
    "9" * 25,
    "9" * 400,
    "null",
    "[]",
    "{}",
    "[[[[",
    "{a: &a [*a]}",
    "x" * 300,
    "a/" * 200,
    "ä🎨",
    "a\nb",
    "\x1b[31mred",
    "true",
    "..",
    ".",
    "missing.png",
    "nowhere/x.png",
    "%s",
    "photo.png",
    "painting.png",
    "folder",
    "photos",
    "text.txt",
    "wave.onnx",
    "style.safetensors",
)
"""Values for any flag; files of these names are in the sandbox of the command lines."""


def mutate_bytes(random: Random, content: bytes, other: bytes = b"") -> bytes:
    """Change a few places of a file: bytes, numbers, blocks, its end."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        place = random.randrange(len(changed))
        kind = random.randrange(7)
        if kind == 0:
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[place] = random.randrange(256)
        elif kind == 2:
            length, order = random.choice((1, 2, 4)), random.choice(("big", "little"))
            changed[place : place + length] = (random.choice(EXTREMES) & (256**length - 1)).to_bytes(length, order)  # type: ignore[arg-type]
        elif kind == 3:
            del changed[place : place + random.choice((1, 2, 4, 64))]
        elif kind == 4:
            block = changed[place : place + random.choice((1, 4, 64, 512))]
            changed[place:place] = block * random.choice((1, 2, 100))
        elif kind == 5:
            del changed[place:]
        elif other:
            start = random.randrange(len(other))
            changed[place:place] = other[start : start + random.choice((16, 256, 4096))]
    return bytes(changed)


def nasty_json(random: Random) -> str:
    """Return JSON, or nearly, that readers of objects do not expect."""
    number = random.choice(("1" + "0" * 400, "9" * 5000, "-1", "1e999", "NaN", "0.5", "4000", "2000000"))
    return random.choice(
        (
            "",
            "{",
            "null",
            "[]",
            "7",
            '"text"',
            "[" * 100_000,
            '{"a":' * 100_000 + "1" + "}" * 100_000,
            f'{{"width": {number}, "residual_blocks": 1}}',
            f'{{"width": 4, "residual_blocks": {number}}}',
            f'{{"name": {number}, "steps": {number}}}',
            '{"name": "\\ud800"}',
            '{"name": ["wave"], "license": {}}',
            '{"width": "4", "residual_blocks": null, "padding": 3}',
        )
    )
