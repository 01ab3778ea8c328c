"""The slow mode's command, on a small photo with the small network."""

from tests import ROOT
from train.slow.command import main

DRAWING = ROOT / "data" / "styles" / "stained_glass.jpg"


def slow(photo, name="out.png", **options):
    """Run six iterations at 48 pixels, or what the options say."""
    flags = {
        "content": photo,
        "style": DRAWING,
        "output": photo.parent / name,
        "size": 48,
        "iterations": 6,
        "perceptual": "vgg_small",
        "save_every": 3,
    } | options
    # A configuration comes first, for what follows it prevails.
    flags = {"config": flags.pop("config", None)} | flags
    return main([f"--{key}={value}" for key, value in flags.items() if value is not None])
