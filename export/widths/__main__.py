"""Compare folders of variants: ``python -m export.widths full/ half/``."""

import sys

from export.widths.table import main

if __name__ == "__main__":
    sys.exit(main())
