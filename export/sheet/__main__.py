"""One sheet of all styles on a photo: ``python -m export.sheet photo.jpg``."""

import sys

from export.sheet.command import main

if __name__ == "__main__":
    sys.exit(main())
