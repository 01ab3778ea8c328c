"""Repaint a video: ``python -m export.video --style wave clip.mp4 --output painted.mp4``."""

import sys

from export.video.command import main

if __name__ == "__main__":
    sys.exit(main())
