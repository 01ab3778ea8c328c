"""Repaint photos: ``python -m export.stylize wave.onnx photo.jpg``."""

import sys

from export.stylize.command import main

if __name__ == "__main__":
    sys.exit(main())
