"""Tests of the whole project, in the folders of what they test; run by ``python -m pytest``."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
