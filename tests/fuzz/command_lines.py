"""Command lines of every command: values that nobody means, flags twice or without a value, words left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from data.images import encode, from_array
from tests.fuzz.mutations import WORDS
from tests.fuzz.trial import Case
from tests.fuzz.weights import SLOW
from tests.perceptual_weights import write_weights
from tests.train import small_run

WEIGHTS = ["--perceptual-weights", "vgg.safetensors"]
DREAM = ["--content", "photo.png", "--output", "out.png", "--layers", "{relu2_1: 1}", "--size", "64", *WEIGHTS]
COMPARE = ["--model", "wave.onnx", "--style", "painting.png", "--photos", "photos", "--output", "report"]
FIT = (
    "--model.style --model.style_size --model.perceptual --model.perceptual_weights --model.content_layers --config "
    "--model.style_layers --model.network.width --model.network.residual_blocks --model.network.padding --name --runs "
    "--model.learning_rate --model.style_weight --data.photos --data.image_size --data.batch_size --data.held_out "
    "--data.workers --license --seed_everything --ckpt_path --preview.count --trainer.precision --trainer.accelerator "
    "--trainer.devices --model.start_from --minutes --overwrite --trainer.val_check_interval --guard.every_n_steps"
)

USUAL = (
    "0",
    "1",
    "2",
    "0.5",
    "32",
    "64",
    "true",
    "false",
    "cpu",
    "8",
    "zero",
    "adam",
    "layers",
    "out.jpg",
    "vgg_small",
)
"""Values that some flag takes."""

LENGTHS = ("--trainer.max_steps", "--iterations", "--runs")
"""Flags that stay as they are: with another number, or the default one, the work is meant to take long."""

# Each command: a line that works, or nearly, and flags that are added to it.
LINES: dict[str, tuple[list[str], str]] = {
    "export.stylize.command": (
        ["wave.onnx", "photo.png", "--output", "out.png", "--threads", "1"],
        "--max-size --tile --memory --threads --provider --quality --style --output --overwrite --resume --workers "
        "--stroke --blend --preserve-color --json --format",
    ),
    "export.video.command": (
        ["wave.onnx", "clip.mp4", "--output", "out.mp4", "--threads", "1"],
        "--style --output --max-size --start --duration --steady --no-steady --mute --fps --quality --threads "
        "--provider --overwrite",
    ),
    "export.__main__": (
        ["style.safetensors", "--output", "out.onnx"],
        "--size --target --variants --photos --output --plain --ort --overwrite",
    ),
    "export.benchmark.measure": (
        ["wave.onnx", "--sizes", "32", "--runs", "1", "--threads", "1"],
        "--sizes --threads --json --compare --tolerance --overwrite",
    ),
    "export.web.build": (["wave.onnx", "--output", "site"], "--output --runtime --overwrite"),
    "export.widths.table": (["wave.onnx"], "--variant"),
    "export.styles": ([], ""),
    "export.sheet.command": (
        ["photo.png", "--styles", "wave.onnx", "--output", "sheet.png", "--size", "64", "--threads", "1"],
        "--styles --strokes --size --max-size --columns --quality --output --overwrite --preserve-color --photo "
        "--photos",
    ),
    "export.blend.command": (["wave,starry_night", "--output", "mix.onnx"], "--output --overwrite"),
    "train.__main__": (["slow"], "--config --help"),
    "train.slow.command": (
        [*SLOW, *WEIGHTS],
        "--config --style-shares --size --style-scale --smallest-size --start --optimizer --learning-rate --perceptual "
        "--perceptual-weights --pooling --content-layers --style-layers --style-weight --tv-weight --style-norm "
        "--alpha-weight --palette-weight --preserve-color --precision --patience --save-every --seed --overwrite "
        "--output --content --starts",
    ),
    "train.slow.reconstruct": (
        ["--content", "photo.png", "--output", "kept", "--layers", "relu2_1", "--iterations", "1", *WEIGHTS],
        "--content --layers --size --tv-weight --alpha-weight --perceptual --perceptual-weights --seed --output "
        "--overwrite",
    ),
    "train.dream.command": (
        [*DREAM, "--iterations", "1", "--octaves", "1"],
        "--config --layers --size --octaves --step --jitter --perceptual --perceptual-weights --seed --overwrite "
        "--channel --smoothness --decay --zoom --frame-iterations",
    ),
    "train.features.command": (
        ["--photos", "folder", "--output", "seen", "--layers", "relu2_1", "--size", "32", *WEIGHTS],
        "--photos --layers --channels --strongest --perceptual --model --perceptual-weights --size --count --output "
        "--overwrite",
    ),
    "train.compare.command": (
        [*COMPARE, "--iterations", "1", "--size", "64", "--count", "1", *WEIGHTS],
        "--model --style --photos --output --size --precision --perceptual-weights --reference --reference-weights",
    ),
    "train.keep.command": (["style.safetensors", "kept.safetensors"], "--bits --photos --overwrite"),
    "train.fit.command": ([], FIT),
}


def write_inputs(sandbox: Path) -> None:
    """Write what the lines name."""
    from tests.export.small_export import draw, export_style, make_network, write_photos
    from tests.export.video.clips import draw_frames, write_clip

    for name in ("photo.png", "painting.png"):
        encode(from_array(draw(48, 40)), sandbox / name)
    export_style(sandbox / "wave.onnx", make_network())
    write_weights(sandbox / "vgg.safetensors")
    write_photos(sandbox / "folder", 1)
    write_clip(sandbox / "clip.mp4", draw_frames(2))
    (sandbox / "text.txt").write_text("no picture, no model, no weights\n")
    (sandbox / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (sandbox / "mine.json").write_text("{}")
    small_run.arguments(sandbox, photos=4)


def read_inputs(sandbox: Path) -> Callable[[Random], Case]:
    """Return what gives a line."""
    fit = small_run.arguments(sandbox, steps=1, runs="runs")

    def make(random: Random) -> Case:
        module = random.choice(sorted(LINES))
        words, flags = LINES[module]
        words = list(fit if module == "train.fit.command" else words)
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            words = change_line(random, words, flags.split())
        # No word may replace what is not in the sandbox.
        return Case(module, words, None)

    return make


def change_line(random: Random, words: list[str], flags: list[str]) -> list[str]:
    """Change one thing of a line."""
    value = random.choice(USUAL if random.random() < 0.4 else (*WORDS, "binary.yaml", "mine.json"))
    kind = random.randrange(6)
    if kind <= 2 and flags:
        flag = random.choice(flags)
        return [*words, random.choice((flag, f"{flag}={value}"))] if random.random() < 0.3 else [*words, flag, value]
    if not words:
        return [value]
    place = random.randrange(len(words))
    if any(word.partition("=")[0] in LENGTHS for word in words[max(0, place - 1) : place + 1]):
        return words
    if kind == 3:
        return words[:place] + words[place + 1 :]
    if kind == 4:
        return [*words[:place], value, *words[place:]]
    name, equals, _ = words[place].partition("=")
    return [*words[:place], f"{name}={value}" if equals else value, *words[place + 1 :]]
