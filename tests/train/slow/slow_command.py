"""The slow mode's command, on a small photo with the small network."""

from data.images import encode, from_array
from tests.pictures import ramp
from tests.train.small_run import ROOT
from train.slow.command import main

DRAWING = ROOT / "data" / "styles" / "stained_glass.jpg"


def write_photo(folder):
    """Write a photo of 64 x 48 pixels."""
    encode(from_array(ramp(64, 48)), folder / "photo.png")
    return folder / "photo.png"


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
