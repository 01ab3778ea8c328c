"""What layers see: ``python -m train.features --photos folder --layers relu1_2 relu4_1 --output seen/``."""

import sys

from train.features.command import main

if __name__ == "__main__":
    sys.exit(main())
