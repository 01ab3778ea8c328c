"""Blend styles: ``python -m export.blend wave:0.6,starry_night:0.4 --output mix.onnx``."""

import sys

from export.blend.command import main

if __name__ == "__main__":
    sys.exit(main())
