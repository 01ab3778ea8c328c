"""``python -m export.blend`` writes one file, and ``stylize --blend`` paints with it."""

import numpy as np
import pytest

from export import styles
from export.blend.command import main
from export.runtime import blend as runtime
from export.runtime.blend import blend_styles
from export.runtime.stylizer import Stylizer
from export.stylize.command import main as stylize
from models.network import NetworkConfig
from tests.export.small_export import draw, export_style, make_network
from tests.export.stylize.stylize_command import read, save_photo


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder, the current one, with two ready styles elsewhere."""
    ready = tmp_path / "ready"
    for seed, name in enumerate(("wave", "brush")):
        export_style(ready / f"{name}.onnx", make_network(NetworkConfig(4, 0), seed))
    monkeypatch.setattr(runtime, "choose_styles", lambda names: styles.choose_styles(names, ready))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_a_blend_is_written_under_the_names_of_its_styles(here, capsys):
    assert main(["wave:3,brush"]) == 0
    assert capsys.readouterr().out == "wrote 'wave-brush.onnx' (0.1 MB): wave 0.75 + brush 0.25\n"
    assert (here / "wave-brush.onnx").read_bytes() == blend_styles({"wave": 3, "brush": 1}).content


def test_nothing_is_replaced_unasked_and_no_source_ever(here, one_error):
    (here / "mix.onnx").write_text("mine")
    assert main(["wave,brush", "--output", "mix.onnx"]) == 2
    assert "--overwrite" in one_error()
    for output in (here.parent / "ready" / "wave.onnx", here.parent / "ready" / "brush.onnx"):
        assert main(["wave,brush", "--output", str(output), "--overwrite"]) == 2
        assert "is also an input" in one_error()
    assert main(["wave,brush", "--output", "mix.txt"]) == 2
    assert "must end in .onnx" in one_error()
    assert (here / "mix.onnx").read_text() == "mine"
    assert main(["wave,brush", "--output", "mix.onnx", "--overwrite"]) == 0
    assert Stylizer(here / "mix.onnx", threads=1).card.style == "wave 0.5 + brush 0.5"


def test_photos_are_painted_with_a_blend(here, capsys):
    save_photo(here / "photo.png")
    assert stylize(["--blend", "wave:0.6,brush:0.4", "photo.png", "--threads", "1"]) == 0
    assert "photo-wave-brush.png" in capsys.readouterr().out
    expected = Stylizer(blend_styles({"wave": 0.6, "brush": 0.4}), threads=1)(draw())
    np.testing.assert_array_equal(np.asarray(read(here / "photo-wave-brush.png")), expected)


def test_a_blended_file_is_not_replaced_by_a_picture(here, one_error):
    save_photo(here / "photo.png")
    (here / "own.png").write_bytes((here.parent / "ready" / "wave.onnx").read_bytes())
    assert stylize(["--blend", "./own.png:1,brush:1", "photo.png", "--output", "own.png", "--overwrite"]) == 2
    assert "is also an input" in one_error()


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ("wave", "must be two or more styles, such as wave:0.6,starry_night:0.4"),
        ("wave:0.6,", "'' must be a style and its share"),
        ("wave:0.6,brush:0", "'brush:0' must be a style and its share"),
        ("wave:0.6,brush:nan", "'brush:nan' must be a style and its share"),
        ("wave:0.6,brush:1e400", "'brush:1e400' must be a style and its share"),
        ("wave:0.6,brush:much", "'brush:much' must be a style and its share"),
        ("wave:1,wave:2", "'wave' is named twice"),
        (":1,wave:2", "':1' must be a style and its share"),
    ],
)
def test_shares_that_cannot_be_read_are_one_sentence(shares, sentence, one_error):
    with pytest.raises(SystemExit, match="2"):
        main([shares])
    assert sentence in one_error()


def test_a_style_and_a_blend_exclude_each_other(here, one_error):
    with pytest.raises(SystemExit, match="2"):
        stylize(["--style", "wave", "--blend", "wave,brush", "photo.png"])
    assert "not allowed with argument" in one_error()
