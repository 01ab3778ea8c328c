"""Clips of every kind of file, mutated in their bytes, and repainted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.mutations import mutate_bytes
from tests.fuzz.trial import Case

SOUNDS = {".mp4": "aac", ".mkv": "flac", ".webm": "libopus", ".ts": "aac"}
"""The encoder of the sound, by the ending of the file."""


def write_inputs(sandbox: Path) -> None:
    """Write the model, and clips to mutate."""
    import PIL.Image

    from tests.export.small_export import write_foreign
    from tests.export.video.clips import draw_frames, write_clip

    write_foreign(sandbox / "wave.onnx")
    for ending, sound in SOUNDS.items():
        write_clip(sandbox / f"clip{ending}", draw_frames(8), sound=sound, rotation=90 if ending == ".mp4" else 0)
    frames = [PIL.Image.fromarray(frame) for frame in draw_frames(5)]
    frames[0].save(sandbox / "clip.gif", save_all=True, append_images=frames[1:], duration=80)


def read_inputs(sandbox: Path) -> Callable[[Random], Case]:
    """Return what writes a mutant and gives the command on it."""
    seeds = [(path.suffix, path.read_bytes()) for path in sorted(sandbox.glob("clip.*"))]

    def make(random: Random) -> Case:
        ending, content = random.choice(seeds)
        (sandbox / f"mutant{ending}").write_bytes(mutate_bytes(random, content, random.choice(seeds)[1]))
        output = random.choice(("out.mp4", "out.mkv", "out.gif", "frames"))
        part = random.choice(([], [], ["--start", "0.1"], ["--duration", "0.2"]))
        words = ["wave.onnx", f"mutant{ending}", "--output", output, "--max-size", "64", "--threads", "1", *part]
        return Case("export.video.command", words, (output,))

    return make
