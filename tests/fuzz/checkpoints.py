"""A run's checkpoint, mutated in its bytes, its archive and what it holds, and resumed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from tests.fuzz.mutations import NUMBERS, WORDS, mutate_bytes
from tests.fuzz.trial import Case
from tests.fuzz.weights import change_archive
from tests.train import small_run

RUN: dict[str, Any] = {"photos": 4, "model.network.residual_blocks": 0}


def write_inputs(sandbox: Path) -> None:
    """Train a run of one step."""
    from train.fit.command import main

    with contextlib.redirect_stdout(io.StringIO()):
        if main(small_run.arguments(sandbox, steps=1, runs=sandbox / "first", **RUN)):
            raise RuntimeError("the run could not be trained")


def read_inputs(sandbox: Path) -> Callable[[Random], Case]:
    """Return what writes a mutant of the run's checkpoint and gives the command that resumes it."""
    original = (sandbox / "first" / "small" / "last.ckpt").read_bytes()
    words = small_run.arguments(sandbox, steps=1, runs="runs", ckpt_path="mutant.ckpt", **RUN)

    def make(random: Random) -> Case:
        kind = random.randrange(4)
        if kind == 0:
            content = mutate_bytes(random, original)
        elif kind == 1:
            content = change_archive(random, original)
        else:
            content = change_state(random, original)
        (sandbox / "mutant.ckpt").write_bytes(content)
        return Case("train.fit.command", words, ("runs",))

    return make


def change_state(random: Random, content: bytes) -> bytes:
    """Change entries of a checkpoint, at any depth: their type, shape or name, or leave them out."""
    state = torch.load(io.BytesIO(content), weights_only=True)
    for _ in range(random.choice((1, 1, 2))):
        place, key = state, random.choice(list(state))
        while isinstance(place[key], dict | list) and place[key] and random.random() < 0.8:
            place = place[key]
            key = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        value = place[key]
        kind = random.randrange(4)
        if kind == 0:
            del place[key]
        elif kind == 1 and isinstance(value, torch.Tensor):
            shape = random.choice(((), (0,), (3, 3), (1, 3, 9, 9)))
            place[key] = random.choice((value.double(), value.flatten()[:1], torch.zeros(shape), -value.float()))
        elif kind == 2 and isinstance(place, dict):
            place[f"{key}x"] = place.pop(key)
        else:
            place[key] = random.choice((*NUMBERS, *WORDS, None, [], {}))
        if not state:
            break
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()
