"""Train a style, export it, and repaint a photo with it: ``python -m train.demo`` (``make demo``)."""

import sys

from train.demo.command import main

if __name__ == "__main__":
    sys.exit(main())
