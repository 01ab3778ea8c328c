"""Build a web page: ``python -m export.web wave/ --output site/``."""

import sys

from export.web.build import main

if __name__ == "__main__":
    sys.exit(main())
