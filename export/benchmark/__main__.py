"""Measure exported files: ``python -m export.benchmark wave/``."""

import sys

from export.benchmark.measure import main

if __name__ == "__main__":
    sys.exit(main())
