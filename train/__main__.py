"""Train a style: ``python -m train fit --config configs/wave.yaml``."""

import sys

from train.fit.command import main

if __name__ == "__main__":
    sys.exit(main())
