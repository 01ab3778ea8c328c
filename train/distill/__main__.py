"""Distill a small perceptual network: ``python -m train.distill --config configs/distill.yaml``."""

import sys

from train.distill.command import main

if __name__ == "__main__":
    sys.exit(main())
