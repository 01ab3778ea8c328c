"""Keep a trained style in half the bytes: ``python -m train.keep runs/wave models/pretrained/wave.safetensors``."""

import sys

from train.keep.command import main

if __name__ == "__main__":
    sys.exit(main())
