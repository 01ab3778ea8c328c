"""Keep a trained style in a quarter of the bytes: ``python -m train.keep runs/wave kept/wave.safetensors``."""

import sys

from train.keep.command import main

if __name__ == "__main__":
    sys.exit(main())
