"""The forms in which a network is written as a graph, and the form that each delegate needs; standard library only.

The form never changes what is computed: the plain graph and the rewritten one give the same pictures, and so do padding
and norms that are written in operators which more delegates support.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from export.contract import CELL, SMALLEST_SIDE, StrengthInput
from export.errors import ExportError

MOST_PIXELS = 4096 * 4096
"""Largest fixed shape: beyond the cameras of phones, and still compared with torch in a few gigabytes."""


@dataclass(frozen=True)
class Form:
    """How a network is written as a graph.

    Args:
        lean: Rewritten to take less time and memory (``export.graph.rewrites``); False for the plain layers.
        pads: ``operator`` for Pad; ``slices`` for slices and a concatenation, for delegates without reflection.
        norms: ``operator`` for InstanceNormalization; ``means`` for ReduceMean and arithmetic.
        size: Height and width of the one picture that the file takes, multiples of 4; None for every batch and size.
        strength: Whether the file takes a strength; the pictures at strength 1 are the same.
    """

    lean: bool = True
    pads: Literal["operator", "slices"] = "operator"
    norms: Literal["operator", "means"] = "operator"
    size: tuple[int, int] | None = None
    strength: StrengthInput = "none"


LEAN = Form()
PLAIN = Form(lean=False)


@dataclass(frozen=True)
class Target:
    """What a delegate needs of the graph.

    Args:
        form: How padding and norms are written.
        needs_size: Whether it takes fixed shapes only.
        strength: How a file takes a strength, if it is to take one. An optional input is a constant that may be
            replaced: some delegates compute with the constant all the same, and ONNX Runtime's bindings for JavaScript
            and Java take no input of that kind.
        computed_scales: Whether InstanceNormalization takes scales that are computed from a strength; else norms are
            written as means where there is a strength.
    """

    form: Form
    needs_size: bool
    strength: StrengthInput = "required"
    computed_scales: bool = True


TARGETS = {
    "cpu": Target(LEAN, needs_size=False, strength="optional"),
    # WebGPU and WebNN take the graph as it is.
    "web": Target(LEAN, needs_size=False),
    # The ML program has InstanceNormalization; reflection came with ONNX Runtime 1.26, slices serve all.
    "coreml": Target(Form(pads="slices"), needs_size=True, computed_scales=False),
    # NNAPI has neither the norm nor padding other than with zeros.
    "nnapi": Target(Form(pads="slices", norms="means"), needs_size=True),
    "qnn": Target(LEAN, needs_size=True),
}
"""The targets of ``--target``."""


def choose_form(target: str | None, size: tuple[int, int] | None, plain: bool = False, strength: bool = False) -> Form:
    """Choose how the graph is written.

    Args:
        target: One of ``TARGETS``; None for ``cpu``.
        size: Height and width in pixels; None for any.
        plain: Write the graph without rewrites.
        strength: Let the file take a strength.

    Raises:
        ExportError: If the size is not allowed, the target needs one and there is none, or ``target`` and ``plain`` are
            both given.
    """
    if size is not None and (min(size) < SMALLEST_SIDE or any(side % CELL for side in size)):
        raise ExportError(
            f"size {size[1]}x{size[0]} cannot be fixed; give multiples of {CELL} from {SMALLEST_SIDE} up, as in 512x512"
        )
    if size is not None and math.prod(size) > MOST_PIXELS:
        raise ExportError(
            f"size {size[1]}x{size[0]} cannot be fixed; give at most {MOST_PIXELS:,} pixels, as in 512x512"
        )
    found = TARGETS[target or "cpu"]
    if plain and target is not None:
        raise ExportError(f"--plain and --target {target} exclude each other; leave out one")
    if found.needs_size and size is None:
        raise ExportError(f"target {target} takes fixed shapes only; add --size 512x512, or the size that you need")
    form = replace(found.form, lean=not plain, size=size)
    if not strength:
        return form
    return replace(form, strength=found.strength, norms=form.norms if found.computed_scales else "means")
