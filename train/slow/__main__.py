"""The slow mode: ``python -m train.slow --content photo.jpg --style painting.jpg --output out.png``."""

import sys

from train.slow.command import main

if __name__ == "__main__":
    sys.exit(main())
