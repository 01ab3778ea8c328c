"""Style files and perceptual weights, mutated in their bytes, headers and archives, and read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style
from tests.fuzz.mutations import NUMBERS, WORDS, mutate_bytes, nasty_json
from tests.fuzz.trial import Case
from tests.perceptual_weights import random_state, write_weights
from tests.pictures import ramp, write

SLOW = [
    "--content", "photo.png", "--style", "painting.png", "--output", "out.png", "--size", "32", "--iterations", "1",
    "--content-layers", "{relu2_1: 1}", "--style-layers", "{relu1_1: 1}", "--save-every", "0",
]  # fmt: skip


def write_inputs(sandbox: Path) -> None:
    """Write weights of every kind, and pictures."""
    write(sandbox / "photo.png", ramp(40, 36))
    write(sandbox / "painting.png", ramp(36, 40))
    for name, config, dtype in (
        ("whole", NetworkConfig(4, 1), torch.float32),
        ("half", NetworkConfig(4, 0, "zero", "pixel_shuffle"), torch.float16),
        ("small", NetworkConfig(4, 1), torch.int8),
    ):
        save_style(sandbox / f"{name}.safetensors", StyleNetwork(config), StyleCard("wave", "CC0"), dtype)
    write_weights(sandbox / "vgg.safetensors")
    torch.save(random_state(), sandbox / "vgg.pth")


def read_inputs(sandbox: Path) -> Callable[[Random], Case]:
    """Return what writes a mutant and gives the command on it."""
    styles = [(sandbox / f"{name}.safetensors").read_bytes() for name in ("whole", "half", "small")]
    tensors, archive = (sandbox / "vgg.safetensors").read_bytes(), (sandbox / "vgg.pth").read_bytes()

    def make(random: Random) -> Case:
        kind = random.randrange(4)
        if kind == 3:
            content = change_archive(random, archive) if random.random() < 0.6 else mutate_bytes(random, archive)
            return slow_on("mutant.pth", content)
        content = tensors if kind == 2 else random.choice(styles)
        if random.random() < 0.7:
            content = change_header(random, content)
        else:
            content = mutate_bytes(random, content, random.choice(styles))
        if kind == 2:
            return slow_on("mutant.safetensors", content)
        (sandbox / "mutant.safetensors").write_bytes(content)
        return Case("export.__main__", ["mutant.safetensors", "--output", "out.onnx"], ("out.onnx",))

    def slow_on(name: str, content: bytes) -> Case:
        (sandbox / name).write_bytes(content)
        outputs = ("out.png", "out-curve.csv", "out-curve.png", "out.html")
        return Case("train.slow.command", [*SLOW, "--perceptual-weights", name], outputs)

    return make


def change_header(random: Random, content: bytes) -> bytes:
    """Change the JSON header of a ``.safetensors`` file: metadata, or a tensor's type, shape or place."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    for _ in range(random.choice((1, 1, 2))):
        metadata = header.get("__metadata__", {})
        if metadata and random.random() < 0.6:
            key = random.choice(sorted(metadata))
            if random.random() < 0.5:
                metadata[key] = nasty_json(random)
            elif metadata[key].startswith("{"):
                entries = json.loads(metadata[key])
                entries[random.choice(sorted(entries))] = random.choice((*NUMBERS, *WORDS, None, [], {}))
                metadata[key] = json.dumps(entries)
            continue
        tensor = header[random.choice(sorted(header.keys() - {"__metadata__"}))]
        kind = random.randrange(3)
        if kind == 0:
            tensor["dtype"] = random.choice(("F64", "F32", "F16", "BF16", "I8", "I64", "BOOL", "F8_E4M3", "C64", "X"))
        elif kind == 1 and tensor["shape"]:
            tensor["shape"][random.randrange(len(tensor["shape"]))] = random.choice((0, 1, 4, 2**31, 2**62, -1))
        else:
            tensor["data_offsets"][random.randrange(2)] = random.choice((0, 4, 2**40, -1))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def change_archive(random: Random, content: bytes) -> bytes:
    """Write a ``.pth`` archive anew: compressed, larger, with parts mutated, missing or beside others."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as whole,
        zipfile.ZipFile(file, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as other,
    ):
        for name in whole.namelist():
            part = whole.read(name)
            kind = random.randrange(8)
            if kind == 0:
                continue
            if kind == 1 or (kind == 2 and name.endswith("data.pkl")):
                part = mutate_bytes(random, part)
            if kind == 3 and "/data/" in name:
                part = bytes(random.choice((0, 100, 50_000_000)))
            other.writestr(name, part)
        if random.random() < 0.2:
            other.writestr("vgg/constants.pkl", b"\x80\x02).")
    return file.getvalue()
