"""One sheet of all styles on a photo: ``python -m export.gallery --photo photo.jpg --output sheet.jpg``."""

import sys

from export.gallery.command import main

if __name__ == "__main__":
    sys.exit(main())
