"""The sheet puts all styles on one photo, or one style on many photos, on one sheet."""

import shutil

import numpy as np
import PIL.Image
import pytest

from data.images import from_array, to_array
from export import styles
from export.graph.targets import choose_form
from export.runtime.stylizer import Stylizer
from export.sheet import command
from export.sheet.command import Controls, main, show_photos, show_styles
from models.network import NetworkConfig
from models.style_file import StyleCard
from tests.export.small_export import add_strength, draw, export_style, make_network


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


def test_every_style_has_a_row_of_strokes_after_the_photo(models):
    pixels = draw(70, 96)
    controls = [Controls(stroke, preserve_color=True) for stroke in (0.5, 2)]
    cells = show_styles(from_array(pixels), models, threads=1, controls=controls)
    names = ["brush, stroke 0.5", "brush, stroke 2", "pencil, stroke 0.5", "pencil, stroke 2"]
    assert [cell.label for cell in cells] == ["photo", *names[:2], "photo", *names[2:]]
    expected = Stylizer(models[1], threads=1)(pixels, stroke=2, preserve_color=True)
    np.testing.assert_array_equal(to_array(cells[5].pictures[0]), expected)


def test_strengths_and_strokes_make_a_row(tmp_path):
    network = add_strength(make_network(NetworkConfig(4, 0)))
    model = export_style(tmp_path / "brush.onnx", network, form=choose_form(None, None, strength=True))
    photo = save_photo(tmp_path / "photo.png")
    for wishes in (["--strengths", 0, 0.5, 1], ["--strengths", 0.5, "--strokes", 1, 2, 4]):
        sheet = tmp_path / f"{len(wishes)}.png"
        assert run(photo, "--styles", model, *wishes, "--output", sheet, "--size", 64) == 0
        assert read(sheet).width == 4 * (64 + 4) + 4
    pixels = draw(70, 96)
    chosen = Controls(stroke=2, strength=0.5)
    (_, cell) = show_styles(from_array(pixels), [model], threads=1, controls=[chosen])
    assert cell.label == "brush, stroke 2, strength 0.5"
    expected = Stylizer(model, threads=1)(pixels, stroke=2, strength=0.5)
    np.testing.assert_array_equal(to_array(cell.pictures[0]), expected)


def test_a_style_without_strength_is_named(models, photo, tmp_path, one_error):
    assert run(photo, "--styles", models[0], "--strengths", 0.5, "--output", tmp_path / "sheet.png") == 2
    assert "--strength" in one_error()
    assert not (tmp_path / "sheet.png").exists()


def test_pictures_are_scaled_down_after_they_are_painted(models, photo, tmp_path):
    arguments = [photo, "--styles", models[0], "--size", 64, "--columns", 2]
    for name, wishes in (("small.png", []), ("large.png", ["--max-size", 90])):
        assert run(*arguments, *wishes, "--output", tmp_path / name) == 0
    small, large = (np.asarray(read(tmp_path / name)) for name in ("small.png", "large.png"))
    assert small.shape == large.shape
    assert not np.array_equal(small, large)
    cells = show_photos([from_array(draw(70, 96))], Stylizer(models[0], threads=1), size=64)
    assert [picture.size for picture in cells[0].pictures] == [(64, 47)] * 2


def test_named_styles_stand_on_one_sheet(models, photo, tmp_path, capsys):
    sheet = tmp_path / "sheet.jpg"
    assert run(photo, "--styles", *models, "--output", sheet, "--size", 64, "--columns", 3) == 0
    assert capsys.readouterr().out == f"wrote '{sheet}' (208 x 72 pixels): 2 styles on '{photo}'\n"
    image = read(sheet)
    assert (image.format, image.size) == ("JPEG", (208, 72))


def test_strokes_stand_side_by_side(models, photo, tmp_path):
    sheet = tmp_path / "sheet.png"
    assert run(photo, "--styles", *models, "--strokes", 1, 2, 4, "--output", sheet, "--size", 64) == 0
    assert read(sheet).width == 4 * (64 + 4) + 4


def test_sheet_of_one_photo_stands_beside_it(models, photo):
    assert run(photo, "--styles", models[0], "--size", 64) == 0
    assert read(photo.with_name("photo-sheet.jpg")).format == "JPEG"


@pytest.fixture
def ready(models, tmp_path, monkeypatch):
    """Make the two styles the ready ones."""
    (tmp_path / "ready").mkdir()
    for model in models:
        shutil.copy(model, tmp_path / "ready")
    monkeypatch.setattr(command, "choose_styles", lambda names: styles.choose_styles(names, tmp_path / "ready"))


def test_all_ready_styles_are_shown_unless_some_are_named(ready, photo, tmp_path, capsys, one_error):
    assert run(photo, "--output", tmp_path / "all.png", "--size", 64) == 0
    assert "2 styles on" in capsys.readouterr().out
    assert run(photo, "--output", tmp_path / "one.png", "--size", 64, "--styles", "pencil") == 0
    assert "1 style on" in capsys.readouterr().out
    assert run(photo, "--output", tmp_path / "none.png", "--styles", "chalk") == 2
    assert "there is no ready style 'chalk'; choose one of brush, pencil" in one_error()


def test_one_style_is_shown_on_photos_and_on_folders_of_them(models, photo, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    for name in ("a.png", "b.jpg"):
        save_photo(tmp_path / "folder" / name, 90, 60)
    sheet = tmp_path / "sheet.png"
    assert run(photo, tmp_path / "folder", "--styles", models[1], "--output", sheet, "--size", 64, "--strokes", 2) == 0
    assert "'pencil' on 3 photos" in capsys.readouterr().out
    assert read(sheet).height > 2 * 64


def test_command_lines_of_earlier_versions_go_on_working(ready, models, photo, tmp_path):
    new, old = tmp_path / "new.png", tmp_path / "old.png"
    assert run(photo, "--styles", models[0], "pencil", "--output", new, "--size", 64) == 0
    # Styles on both sides of the flags.
    assert run(models[0], "--photo", photo, "pencil", "--output", old, "--size", 64) == 0
    assert new.read_bytes() == old.read_bytes()
    assert run(photo, photo, "--styles", "pencil", "--output", new, "--size", 64, "--overwrite") == 0
    assert run("--photos", photo, photo, "--style", "pencil", "--output", old, "--size", 64, "--overwrite") == 0
    assert new.read_bytes() == old.read_bytes()


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ([], "no photo is named; name one"),
        (["--styles", "wave", "p.png"], "no photo is named; name one, before --styles"),
        (["p.png", "--size", "20"], "'20' must be an integer between 64 and"),
        (["p.png", "--columns", "0"], "'0' must be a positive integer"),
        (["p.png", "--strokes", "9"], "'9' must be a number from 0.25 to 8"),
    ],
)
def test_flags_that_do_not_fit_are_one_sentence(wishes, sentence, one_error):
    with pytest.raises(SystemExit, match="2"):
        main([*wishes, "--output", "sheet.png"])
    assert sentence in one_error()


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        (["--styles", "wave", "wave"], "2 photos and 2 pictures of each are more than a sheet shows"),
        (["--styles", "wave", "--strokes", "1", "2", "4"], "2 photos and 3 pictures of each are more"),
    ],
)
def test_photos_and_styles_are_not_both_many(photo, tmp_path, wishes, sentence, one_error):
    assert run(photo, photo, *wishes, "--output", tmp_path / "sheet.png") == 2
    assert sentence in one_error()


def test_sheet_of_several_photos_needs_a_name(photo, one_error):
    assert run(photo, photo, "--styles", "wave") == 2
    assert "needs a name; name one with --output" in one_error()


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
    assert run(photo, "--output", tmp_path / output, "--styles", "wave") == 2
    assert sentence in one_error()
    assert (tmp_path / "old.png").read_text() == "old"


def test_a_photo_is_never_replaced(models, photo, tmp_path, one_error):
    before = photo.read_bytes()
    assert run(photo, "--output", photo, "--styles", models[0], "--overwrite") == 2
    assert "is a photo that is read" in one_error()
    assert photo.read_bytes() == before


def test_an_existing_sheet_is_replaced_when_asked(models, photo, tmp_path):
    (tmp_path / "old.png").write_text("old")
    assert run(photo, "--output", tmp_path / "old.png", "--styles", models[0], "--overwrite", "--size", 64) == 0
    assert read(tmp_path / "old.png").format == "PNG"


def test_absent_photos_and_styles_are_named(models, photo, tmp_path, one_error):
    for arguments, sentence in (
        ([tmp_path / "gone.png", "--styles", models[0]], "gone.png' does not exist"),
        ([photo, "--styles", tmp_path / "gone.onnx"], "gone.onnx' does not exist"),
        ([photo, tmp_path / "gone.png", "--styles", models[0]], "gone.png' does not exist"),
    ):
        assert run(*arguments, "--output", tmp_path / "sheet.png") == 2
        assert sentence in one_error()
    assert not (tmp_path / "sheet.png").exists()


def test_ctrl_c_writes_nothing(models, photo, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Controls, "paint", stop)
    assert run(photo, "--output", tmp_path / "sheet.png", "--styles", models[0]) == 130
    assert "no sheet was written" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()
