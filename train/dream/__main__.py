"""DeepDream: ``python -m train.dream --content photo.jpg --output dream.png``."""

import sys

from train.dream.command import main

if __name__ == "__main__":
    sys.exit(main())
