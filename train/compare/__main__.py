"""Fast against slow: ``python -m train.compare --model wave.onnx --style wave.jpg --photos folder``."""

import sys

from train.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
