"""Train the shared start: ``python -m train.start --config configs/start.yaml``."""

import sys

from train.start.command import main

if __name__ == "__main__":
    sys.exit(main())
