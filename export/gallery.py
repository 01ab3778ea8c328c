"""The former name of ``export.sheet``, kept so that command lines of earlier versions go on working."""

import sys

from export.sheet.command import main

if __name__ == "__main__":
    sys.exit(main())
