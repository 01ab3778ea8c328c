"""Show what the program does, in seconds: ``make demo``.

Exports a style that is kept in the repository, repaints a sample photo with it, and writes the two side by side.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from data.images import ImageError, contact_sheet, decode, encode, from_array, to_array
from data.samples import SAMPLES, sample_photo
from export.convert import ExportError, convert
from export.runtime import ModelError, Stylizer
from models.weights import StyleFileError

PRETRAINED = Path(__file__).resolve().parent.parent / "models" / "pretrained"


def main(args: list[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.demo", description="Repaint a photo with a kept style.")
    parser.add_argument("--style", type=Path, default=PRETRAINED / "wave.safetensors", help="trained style")
    parser.add_argument("--photo", type=Path, help="your own photo in place of the sample")
    parser.add_argument("--sample", choices=SAMPLES, default="chelsea", help="sample photo (default: chelsea)")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write to (default: demo)")
    options = parser.parse_args(args)
    try:
        photo = options.photo or sample_photo(options.sample)
        picture = decode(photo)
        options.output.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        model = options.output / f"{options.style.stem}.onnx"
        report = convert(options.style, model, overwrite=True)
        exported = time.perf_counter()
        before = to_array(picture)
        stylizer = Stylizer(model)
        loaded = time.perf_counter()
        after = stylizer(before)
        painted = time.perf_counter()
        encode(from_array(after), options.output / "painted.jpg")
        encode(from_array(contact_sheet([[before, after]])), options.output / "before-after.png")
    except (ImageError, StyleFileError, ExportError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    height, width = before.shape[:2]
    print(f"exported in {exported - start:.1f} s: {report}")
    print(f"repainted {width} x {height} pixels in {painted - loaded:.2f} s")
    print(f"the picture: {options.output / 'before-after.png'}")
    if options.photo is None:
        print(f"the photo is '{options.sample}' of scikit-image's samples ({SAMPLES[options.sample]})")
    print("next, your own photo:  .venv/bin/python -m export.stylize " + f"{model} photo.jpg --output painted.jpg")
    print("and your own style:    .venv/bin/python -m train fit --model.style painting.jpg --data.photos FOLDER")
    return 0


if __name__ == "__main__":
    sys.exit(main())
