"""A sheet has rows and columns at equal distances, and each label in the middle under its picture."""

import numpy as np
import PIL.Image
import pytest
from PIL import ImageFont

from export.errors import ExportError
from export.sheet import grid as module
from export.sheet.grid import Cell, choose_columns, draw_sheet, shorten, spell

SIZE = 120


def fill(width=120, height=80, color=(200, 0, 0)):
    return PIL.Image.new("RGB", (width, height), color)


def find(sheet, color):
    """Return left, top, right and bottom of what has a color."""
    down, right = np.nonzero((np.asarray(sheet) == color).all(2))
    return right.min(), down.min(), right.max() + 1, down.max() + 1


def find_ink(sheet, left, top, right, bottom):
    """Return left, top, right and bottom of what is darker than the ground there."""
    down, across = np.nonzero(np.asarray(sheet)[top:bottom, left:right].max(2) < 160)
    return left + across.min(), top + down.min(), left + across.max() + 1, top + down.max() + 1


COLORS = [(40 * index, 10, 200) for index in range(6)]


def test_pictures_stand_in_reading_order_at_equal_distances():
    sheet = draw_sheet([Cell([fill(color=color)]) for color in COLORS], SIZE, columns=3)
    boxes = [find(sheet, color) for color in COLORS]
    assert [box[0] for box in boxes] == [4, 128, 252] * 2
    assert [box[1] for box in boxes] == [4] * 3 + [92] * 3
    assert all((right - left, bottom - top) == (120, 80) for left, top, right, bottom in boxes)
    assert sheet.size == (376, 176)
    assert sheet.getpixel((0, 0)) == sheet.getpixel((126, 50)) == (255, 255, 255)


def test_a_last_row_that_is_not_full_is_centered():
    sheet = draw_sheet([Cell([fill(color=color)]) for color in COLORS[:5]], SIZE, columns=3)
    left, right = find(sheet, COLORS[3])[0], find(sheet, COLORS[4])[2]
    assert left == sheet.width - right


def test_labels_are_centered_on_one_baseline_below_their_pictures():
    sheet = draw_sheet([Cell([fill(color=color)], "mmm") for color in COLORS[:2]], SIZE, columns=2)
    boxes = [find(sheet, color) for color in COLORS[:2]]
    inks = [find_ink(sheet, box[0], box[3], box[2], sheet.height) for box in boxes]
    for box, ink in zip(boxes, inks, strict=True):
        assert abs((ink[0] + ink[2]) - (box[0] + box[2])) <= 2
    assert inks[0][3] == inks[1][3]


def test_letters_below_the_baseline_do_not_move_it():
    bottoms = []
    for label in ("mm mm", "mmgmm"):
        sheet = draw_sheet([Cell([fill()], label)], SIZE)
        box = find(sheet, (200, 0, 0))
        middle = (box[0] + box[2]) // 2
        bottoms.append(find_ink(sheet, box[0], box[3], middle - 12, sheet.height)[3])
    assert bottoms[0] == bottoms[1]


def test_photo_and_picture_meet_at_one_line_whatever_their_heights():
    wide, tall = ([fill(w, h, (100, 0, c)), fill(w, h, (0, 100, c))] for w, h, c in ((120, 80, 1), (80, 120, 2)))
    sheet = draw_sheet([Cell(wide), Cell(tall)], SIZE, columns=2)
    above = [find(sheet, (100, 0, c))[3] for c in (1, 2)]
    below = [find(sheet, (0, 100, c))[1] for c in (1, 2)]
    assert above[0] == above[1] < below[0] == below[1]
    left, _, right, _ = find(sheet, (100, 0, 2))
    assert left - 128 == 248 - right


def test_heading_is_centered_above_the_pictures():
    plain, headed = (draw_sheet([Cell([fill()])], SIZE, heading=heading) for heading in ("", "mmm"))
    assert headed.width == plain.width
    top = find(headed, (200, 0, 0))[1]
    left, _, right, bottom = find_ink(headed, 0, 0, headed.width, top)
    assert abs(left + right - headed.width) <= 2
    assert bottom < top


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (5, 3), (6, 3), (13, 5)])
def test_landscape_pictures_make_a_sheet_that_is_wider_than_high(count, columns):
    assert choose_columns(count, 369, 280) == columns


def test_portraits_get_more_columns_than_landscapes():
    assert choose_columns(12, 250, 400) > choose_columns(12, 370, 280)


def test_more_columns_than_cells_leave_no_empty_place():
    assert draw_sheet([Cell([fill()])], SIZE, columns=9).width == 128


def test_a_name_that_is_too_long_ends_in_dots():
    font = ImageFont.load_default(14)
    assert shorten("wave", font, 200) == "wave"
    short = shorten("a name of very many letters", font, 100)
    assert short.startswith("a name")
    assert short.endswith("…")
    assert font.getlength(short) <= 100


def test_lines_of_a_label_stand_below_each_other():
    one, two = (draw_sheet([Cell([fill()], label)], SIZE) for label in ("mmm", "mmm\nmmm"))
    box = find(two, (200, 0, 0))
    ink = find_ink(two, box[0], box[3], box[2], two.height)
    line = two.height - one.height
    assert line > 10
    first, second = (np.asarray(two)[ink[1] + down : ink[1] + down + line // 2] for down in (0, line))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Grün", "Grun"),
        ("Gru\u0308n", "Grun"),
        ("naïve Straße", "naive Strasse"),
        ("œuvre", "oeuvre"),
        ("wave_2", "wave_2"),
    ],
)
def test_letters_that_pillows_font_lacks_lose_their_marks(text, written):
    font = ImageFont.load_default(14)
    assert spell(text, font) == written
    assert shorten(text, font, 200) == written


def test_what_has_no_letter_is_a_question_mark():
    assert spell("北斎 wave", ImageFont.load_default(14)) == "?? wave"


def test_a_pillow_without_freetype_is_named(monkeypatch):
    def fail(size):
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr(module, "load_default", fail)
    with pytest.raises(ExportError, match="Pillow cannot draw text"):
        draw_sheet([Cell([fill()], "wave")], SIZE)
