"""All commands and their modules: what ``onestroke``, ``python -m train`` and ``python -m export`` list and run.

Standard library only, because the build hook reads it, too.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

# The four folders are top-level packages in a checkout, and lie inside onestroke once installed.
_ROOT = (__package__ or "").removesuffix("export")


@dataclass(frozen=True)
class Command:
    """One word after ``onestroke``.

    Args:
        module: The module that ``python -m`` runs in a checkout.
        purpose: What it does, for ``onestroke --help``.
        extra: The extra of the package that it needs; empty for none.
    """

    module: str
    purpose: str
    extra: str = ""


COMMANDS = {
    "stylize": Command("export.stylize", "repaint photos"),
    "video": Command("export.video", "repaint videos, GIFs and folders of frames"),
    "styles": Command("export.styles", "list the styles that are ready to use"),
    "sheet": Command("export.sheet", "show all styles on one photo, or one style on many photos"),
    "blend": Command("export.blend", "mix styles to one file"),
    "benchmark": Command("export.benchmark", "measure exported styles: latency, memory, load time"),
    "stability": Command("export.video.stability", "measure how much painted videos flicker"),
    "web": Command("export.web", "build a web page that repaints photos in the browser"),
    "widths": Command("export.widths", "compare folders of variants"),
    "train": Command("train", "train a style, and export it: onestroke train fit", "train"),
    "export": Command("export", "write a trained style as ONNX", "train"),
    "demo": Command("train.demo", "train, export and repaint without any download", "train"),
    "slow": Command("train.slow", "repaint one picture by optimizing its pixels", "train"),
    "reconstruct": Command("train.slow.reconstruct", "show what each layer of a network keeps of a photo", "train"),
    "dream": Command("train.dream", "amplify what a network's layers respond to in a photo (DeepDream)", "train"),
    "features": Command("train.features", "show what the layers of a network see in photos", "train"),
    "compare": Command("train.compare", "compare trained styles with the slow mode", "train"),
    "pairs": Command(
        "train.compare.pairs", "write pictures of two programs as blind pairs, or score the answers", "train"
    ),
    "distill": Command("train.distill", "distill a small perceptual network from VGG", "train"),
    "fidelity": Command(
        "train.distill.evaluate", "evaluate the small perceptual network against the large one", "train"
    ),
    "start": Command("train.start", "train the shared start of all styles on many paintings", "train"),
    "start-evaluate": Command(
        "train.start.evaluate", "measure how soon a training from the shared start is good", "train"
    ),
    "keep": Command("train.keep", "store a trained style in a quarter of the bytes", "train"),
    "bench": Command("train.bench", "measure the training step against the reference", "train"),
    "slow-bench": Command("train.slow.benchmark", "measure coarse to fine against plain L-BFGS", "train"),
}
"""By the word that is typed; those that need no extra come first."""

FORMER_NAMES = {"gallery": "sheet"}
"""Commands by names that earlier versions had."""


def list_folder(folder: str) -> dict[str, Command]:
    """Return the commands whose modules lie in a top-level folder, by the word after ``onestroke``."""
    return {word: command for word, command in COMMANDS.items() if command.module.partition(".")[0] == folder}


def spell(word: str) -> str:
    """Return what is typed for a command: ``python -m`` and its module in a checkout, ``onestroke sheet`` installed."""
    return f"onestroke {word}" if _ROOT else f"python -m {COMMANDS[word].module}"


def find_module(module: str) -> str:
    """Return the module whose ``main`` is a command: a folder's ``__main__``, or the module itself."""
    name = f"{_ROOT}{module}"
    spec = importlib.util.find_spec(name)
    return name if spec is None or spec.submodule_search_locations is None else f"{name}.__main__"
