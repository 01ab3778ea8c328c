"""Run an exported style: ONNX Runtime, NumPy and Pillow, no torch."""

from export.errors import ModelError
from export.runtime.stylizer import Stylizer

__all__ = ["ModelError", "Stylizer"]
