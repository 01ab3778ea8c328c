"""Ready styles are written from style files, with 8-bit weights, and stale ones are removed."""

import numpy as np
import pytest

from export.contract import FILES
from export.errors import ExportError
from export.package import ready
from export.package.ready import VARIANT, main, write_ready_styles
from export.runtime.stylizer import Stylizer
from export.styles import list_styles
from models.style_file import StyleCard, save_style
from tests.export.small_export import add_strength, draw, make_network


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
    assert not Stylizer(folder / "brush.onnx").layout.strength


@pytest.mark.slow
def test_a_style_with_strength_becomes_a_file_that_takes_it(tmp_path):
    pytest.importorskip("skimage", reason="the sample photos come with scikit-image")
    save_style(tmp_path / "brush.safetensors", add_strength(make_network()), StyleCard("brush"))
    write_ready_styles([tmp_path / "brush.safetensors"], tmp_path / "onnx")
    paint = Stylizer(tmp_path / "onnx" / "brush.onnx")
    np.testing.assert_array_equal(paint(draw(), strength=0), draw())


def test_no_style_file_is_refused_and_nothing_is_removed(tmp_path):
    (tmp_path / "wave.onnx").touch()
    with pytest.raises(ExportError, match=r"no \.safetensors style file"):
        write_ready_styles([], tmp_path)
    assert list_styles(tmp_path) == ["wave"]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder of two kept styles, and earlier ready ones of three."""
    (tmp_path / "onnx").mkdir()
    for name in ("brush", "wave"):
        save_style(tmp_path / f"{name}.safetensors", make_network(), StyleCard(name))
    for name in ("brush", "gone", "wave"):
        (tmp_path / "onnx" / f"{name}.onnx").write_text(f"old {name}")
    monkeypatch.setattr(ready, "FOLDER", tmp_path / "onnx")
    return tmp_path / "onnx"


def read_all(folder):
    return {path.stem: path.read_text() for path in folder.iterdir()}


def test_the_command_writes_all_kept_styles_with_8_bit_weights_and_removes_stale_ones(kept, monkeypatch, capsys):
    def export(source, folder, request, say):
        assert request.variants == (VARIANT,)
        folder.mkdir()
        (folder / FILES[VARIANT]).write_text(f"new {source.stem}")

    monkeypatch.setattr("export.variants.export.export_variants", export)
    assert main([]) == 0
    assert read_all(kept) == {"brush": "new brush", "wave": "new wave"}
    assert capsys.readouterr().out == f"wrote 2 styles to '{kept}', 17 bytes\n"


def test_a_style_that_fails_its_check_keeps_its_earlier_file_and_stale_ones(kept, monkeypatch, one_error):
    def export(source, *_):
        raise ExportError(f"{source.stem} differs from torch")

    monkeypatch.setattr("export.variants.export.export_variants", export)
    assert main([]) == 2
    assert "brush differs from torch" in one_error()
    assert read_all(kept) == {name: f"old {name}" for name in ("brush", "gone", "wave")}
