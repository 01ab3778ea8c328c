"""What ``from onestroke import ...`` offers, and that a name loads a ready style."""

import numpy as np
import pytest

import export.package as onestroke
from data.images import ImageError
from export.errors import ExportError, ModelError
from export.runtime.stylizer import Stylizer
from tests.pictures import ramp


def test_the_public_names_are_these():
    assert onestroke.__all__ == [
        "ExportError",
        "ImageError",
        "MemoryBudgetError",
        "ModelCard",
        "ModelError",
        "Stylizer",
        "__version__",
        "blend",
        "list_styles",
        "load",
    ]
    assert all(hasattr(onestroke, name) for name in onestroke.__all__)
    assert onestroke.Stylizer is Stylizer
    assert onestroke.ImageError is ImageError
    assert issubclass(onestroke.ModelError, ExportError)
    assert onestroke.ModelError is ModelError


def test_a_ready_style_is_loaded_by_its_name():
    stylizer = onestroke.load("wave", threads=1, tile=64)
    assert stylizer.card.style == "wave"
    assert stylizer.tile == 64
    picture = stylizer(ramp(33, 24))
    assert picture.shape == (24, 33, 3)
    assert picture.dtype == np.uint8


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ExportError, match=r"there is no ready style 'waves'; choose one of .*wave"):
        onestroke.load("waves")
