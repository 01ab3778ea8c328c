"""The gallery puts all styles on one photo, or one style on many photos, on one sheet."""

import shutil

import numpy as np
import PIL.Image
import pytest

from data.images import from_array, to_array
from export import styles
from export.gallery import command
from export.gallery.command import main, show_photos, show_styles
from export.runtime.stylizer import Stylizer
from models.network import NetworkConfig
from models.style_file import StyleCard
from tests.export.small_export import draw, export_style, make_network


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two exported styles, one of them with a name of its own."""
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for seed, name in enumerate(("brush", "pencil")):
        network = make_network(NetworkConfig(4, 0), seed=seed)
        paths.append(export_style(folder / name / f"{name}.onnx", network, StyleCard(f"card of {name}")))
    return paths


@pytest.fixture
def photo(tmp_path):
    return save_photo(tmp_path / "photo.png")


def save_photo(path, height=70, width=96):
    PIL.Image.fromarray(draw(height, width)).save(path)
    return path


def read(path):
    with PIL.Image.open(path) as image:
        image.load()
        return image


def run(*arguments):
    return main([*map(str, arguments), "--threads", "1"])


def test_photo_comes_first_and_every_style_has_its_name(models):
    pixels = draw(70, 96)
    cells = show_styles(from_array(pixels), models, threads=1)
    assert [cell.label for cell in cells] == ["photo", "brush", "pencil"]
    expected = [pixels, *(Stylizer(model, threads=1)(pixels) for model in models)]
    for cell, picture in zip(cells, expected, strict=True):
        np.testing.assert_array_equal(to_array(cell.pictures[0]), picture)


def test_a_file_out_of_a_folder_of_variants_goes_by_its_card(models, tmp_path):
    shutil.copy(models[0], tmp_path / "style.onnx")
    cells = show_styles(from_array(draw()), [tmp_path / "style.onnx"], threads=1)
    assert cells[1].label == "card of brush"


def test_each_photo_stands_above_its_picture(models):
    photos, stylizer = [draw(30, 40), draw(40, 30)], Stylizer(models[0], threads=1)
    cells = show_photos([from_array(photo) for photo in photos], stylizer)
    for cell, photo in zip(cells, photos, strict=True):
        np.testing.assert_array_equal(to_array(cell.pictures[0]), photo)
        np.testing.assert_array_equal(to_array(cell.pictures[1]), stylizer(photo))


def test_named_styles_stand_on_one_sheet(models, photo, tmp_path, capsys):
    sheet = tmp_path / "sheet.jpg"
    # Styles on both sides of the flags.
    assert run(models[0], "--photo", photo, models[1], "--output", sheet, "--size", 64, "--columns", 3) == 0
    assert capsys.readouterr().out == f"wrote '{sheet}' (208 x 72 pixels): 2 styles on '{photo}'\n"
    image = read(sheet)
    assert (image.format, image.size) == ("JPEG", (208, 72))


def test_all_ready_styles_are_shown_unless_some_are_named(models, photo, tmp_path, monkeypatch, capsys, one_error):
    (tmp_path / "ready").mkdir()
    for model in models:
        shutil.copy(model, tmp_path / "ready")
    monkeypatch.setattr(command, "choose_styles", lambda names: styles.choose_styles(names, tmp_path / "ready"))
    assert run("--photo", photo, "--output", tmp_path / "all.png", "--size", 64) == 0
    assert "2 styles on" in capsys.readouterr().out
    assert run("--photo", photo, "--output", tmp_path / "one.png", "--size", 64, "pencil") == 0
    assert "1 style on" in capsys.readouterr().out
    assert run("--photo", photo, "--output", tmp_path / "none.png", "chalk") == 2
    assert "there is no ready style 'chalk'; choose one of brush, pencil" in one_error()


def test_one_style_is_shown_on_photos_and_on_folders_of_them(models, photo, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    for name in ("a.png", "b.jpg"):
        save_photo(tmp_path / "folder" / name, 90, 60)
    sheet = tmp_path / "sheet.png"
    assert run("--photos", photo, tmp_path / "folder", "--style", models[1], "--output", sheet, "--size", 64) == 0
    assert "'pencil' on 3 photos" in capsys.readouterr().out
    assert read(sheet).height > 2 * 64


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ([], "one of the arguments --photo --photos is required"),
        (["--photo", "p.png", "--photos", "p.png"], "not allowed with argument"),
        (["--photo", "p.png", "--style", "wave"], "--style goes with --photos"),
        (["--photos", "p.png"], "--photos needs a style; add --style NAME"),
        (["wave", "--photos", "p.png"], "add --style wave"),
        (["--photo", "p.png", "--size", "20"], "'20' must be an integer between 64 and"),
        (["--photo", "p.png", "--columns", "0"], "'0' must be a positive integer"),
    ],
)
def test_flags_that_do_not_fit_are_one_sentence(wishes, sentence, one_error):
    with pytest.raises(SystemExit, match="2"):
        main([*wishes, "--output", "sheet.png"])
    assert sentence in one_error()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("sheet.gif", "let its name end in one of"),
        ("absent/sheet.png", "absent' does not exist; create it"),
        ("folder.png", "is a folder; name a file in it"),
        ("old.png", "exists; choose another --output, or pass --overwrite"),
    ],
)
def test_a_sheet_that_may_not_be_written_is_refused_before_the_work(photo, tmp_path, output, sentence, one_error):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "old.png").write_text("old")
    assert run("--photo", photo, "--output", tmp_path / output, "absent.onnx") == 2
    assert sentence in one_error()
    assert (tmp_path / "old.png").read_text() == "old"


def test_a_photo_is_never_replaced(models, photo, tmp_path, one_error):
    before = photo.read_bytes()
    assert run("--photo", photo, "--output", photo, models[0], "--overwrite") == 2
    assert "is a photo that is read" in one_error()
    assert photo.read_bytes() == before


def test_an_existing_sheet_is_replaced_when_asked(models, photo, tmp_path):
    (tmp_path / "old.png").write_text("old")
    assert run("--photo", photo, "--output", tmp_path / "old.png", models[0], "--overwrite", "--size", 64) == 0
    assert read(tmp_path / "old.png").format == "PNG"


def test_absent_photos_and_styles_are_named(models, photo, tmp_path, one_error):
    for arguments, sentence in (
        (["--photo", tmp_path / "gone.png", models[0]], "gone.png' does not exist"),
        (["--photo", photo, tmp_path / "gone.onnx"], "gone.onnx' does not exist"),
        (["--photos", tmp_path / "gone.png", "--style", models[0]], "gone.png' does not exist"),
    ):
        assert run(*arguments, "--output", tmp_path / "sheet.png") == 2
        assert sentence in one_error()
    assert not (tmp_path / "sheet.png").exists()


def test_ctrl_c_writes_nothing(models, photo, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_repaint", stop)
    assert run("--photo", photo, "--output", tmp_path / "sheet.png", models[0]) == 130
    assert "sheet.png' was not written" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()
