"""Ready styles are written from style files, with 8-bit weights, and stale ones are removed."""

import pytest

from export.errors import ExportError
from export.package.ready import write_ready_styles
from export.runtime.stylizer import Stylizer
from export.styles import list_styles
from models.style_file import StyleCard, save_style
from tests.export.small_export import make_network


@pytest.mark.slow
def test_each_style_file_becomes_an_onnx_file_of_its_name(tmp_path):
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    folder = tmp_path / "onnx"
    folder.mkdir()
    (folder / "gone.onnx").touch()
    save_style(tmp_path / "brush.safetensors", make_network(), StyleCard("brush", steps=7))
    assert write_ready_styles([tmp_path / "brush.safetensors"], folder) == [folder / "brush.onnx"]
    assert list_styles(folder) == ["brush"]
    assert Stylizer(folder / "brush.onnx").card.steps == 7
    assert (folder / "brush.onnx").stat().st_size < (tmp_path / "brush.safetensors").stat().st_size


def test_no_style_file_is_refused_and_nothing_is_removed(tmp_path):
    (tmp_path / "wave.onnx").touch()
    with pytest.raises(ExportError, match=r"no \.safetensors style file"):
        write_ready_styles([], tmp_path)
    assert list_styles(tmp_path) == ["wave"]
