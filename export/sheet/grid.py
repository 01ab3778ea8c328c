"""A sheet of pictures in a grid: white ground, thin margins, centered labels on one baseline per row."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
from PIL import ImageDraw
from PIL.ImageFont import FreeTypeFont, load_default

from export.errors import ExportError

ASPECT = 1.6
"""Width of a sheet, as a multiple of its height, that the number of columns aims at: that of a screen or a page."""

INK = (51, 51, 51)
"""Color of the text, RGB."""

UNKNOWN = "\uffff"
"""A character that no font has, in whose place it draws what it draws for any that it lacks."""

SPELLINGS = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "þ": "th",
        "\u0131": "i",
        "\u2013": "-",
    }
)
"""How letters are written that are no letter with a mark, where a font lacks them."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place of the grid.

    Args:
        pictures: RGB, from top to bottom; every cell of a sheet has as many.
        label: What stands under them, on a line or several; empty for none.
    """

    pictures: Sequence[PIL.Image.Image]
    label: str = ""


def draw_sheet(cells: Sequence[Cell], size: int, columns: int | None = None, heading: str = "") -> PIL.Image.Image:
    """Lay cells out in rows, the last of which is centered where it is not full.

    The first pictures of a row stand on one line and the second ones hang from one, so that a photo and what became of
    it are as near to each other in every cell, whatever their heights.

    Args:
        cells: At least one, in reading order.
        size: Long side of the pictures in pixels, by which margins and text are measured.
        columns: Cells in a full row; None for the number that ``choose_columns`` prefers.
        heading: A line above all; empty for none.

    Returns:
        The sheet, RGB.

    Raises:
        ExportError: If Pillow was built without FreeType, which draws the text.
    """
    gap = max(4, round(size / 40))
    between = max(2, gap // 2)
    label_font, heading_font = _load_font(max(12, round(size / 18))), _load_font(max(16, round(size / 13)))
    line_height, lines = sum(label_font.getmetrics()), max(len(cell.label.splitlines()) for cell in cells)
    label_height = lines * line_height + between if lines else 0
    heading_height = sum(heading_font.getmetrics()) + 2 * gap if heading else 0
    width = max(picture.width for cell in cells for picture in cell.pictures)
    if columns is None:
        height = max(_stack_height([cell], between) for cell in cells) + label_height
        columns = choose_columns(len(cells), width + gap, height + 2 * gap)
    columns = min(columns, len(cells))
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    heights = [_stack_height(row, between) + label_height for row in rows]
    sheet_width = columns * (width + gap) + gap
    # Rows are twice as far apart as columns, so that a label belongs to what is above it.
    sheet_height = heading_height + sum(heights) + 2 * gap * (len(rows) - 1) + 2 * gap
    sheet = PIL.Image.new("RGB", (sheet_width, sheet_height), "white")
    pen = ImageDraw.Draw(sheet)
    top = gap
    if heading:
        baseline = top + gap // 2 + heading_font.getmetrics()[0]
        text = shorten(heading, heading_font, sheet_width - 2 * gap)
        pen.text((sheet_width / 2, baseline), text, INK, heading_font, anchor="ms")
        top += heading_height
    for row, row_height in zip(rows, heights, strict=True):
        left = (sheet_width - len(row) * (width + gap) + gap) // 2
        for column, cell in enumerate(row):
            center = left + column * (width + gap) + width // 2
            _paste_stack(sheet, cell, row, center, top, between)
            for number, line in enumerate(cell.label.splitlines()):
                baseline = top + row_height - label_font.getmetrics()[1] - (lines - 1 - number) * line_height
                pen.text((center, baseline), shorten(line, label_font, width), INK, label_font, anchor="ms")
        top += row_height + 2 * gap
    return sheet


def choose_columns(count: int, width: int, height: int) -> int:
    """Choose how many of ``count`` cells stand in a row.

    Args:
        count: Number of cells.
        width: Of a cell with its margin, in pixels.
        height: Of a cell with its margin, in pixels.

    Returns:
        The number by which the sheet comes nearest to 1.6 times its height in width, and the last row to a full one.
    """

    def fault(columns: int) -> float:
        rows = math.ceil(count / columns)
        aspect = columns * width / (rows * height)
        return abs(math.log(aspect / ASPECT)) + 0.5 * (rows * columns - count) / columns

    return min(range(1, count + 1), key=fault)


def shorten(text: str, font: FreeTypeFont, width: int) -> str:
    """Write a text as ``spell`` does; cut one that is wider than ``width`` pixels, and end it in three dots."""
    text = spell(text, font)
    if font.getlength(text) <= width:
        return text
    length = next((length for length in range(len(text), 0, -1) if font.getlength(f"{text[:length]}…") <= width), 0)
    return f"{text[:length].rstrip(' _')}…"


def spell(text: str, font: FreeTypeFont) -> str:
    """Write a text in the characters that a font has: Pillow's own has no letters with marks, and draws boxes for them.

    Args:
        text: A line.
        font: What it will be drawn with.

    Returns:
        The text, in which a letter that the font lacks has lost its mark (``u`` for ``ü``), or is ``?``.
    """
    unknown = _draw(UNKNOWN, font)

    def choose(character: str) -> str:
        if _draw(character, font) != unknown:
            return character
        plain = unicodedata.normalize("NFKD", character.translate(SPELLINGS))
        letters = [letter for letter in plain if not unicodedata.combining(letter)]
        return "".join("?" if _draw(letter, font) == unknown else letter for letter in letters)

    # Composed first: where the font has a letter with its mark, that is one character.
    return "".join(map(choose, unicodedata.normalize("NFC", text)))


def _draw(character: str, font: FreeTypeFont) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


def _stack_height(row: Sequence[Cell], between: int) -> int:
    bands = zip(*(cell.pictures for cell in row), strict=True)
    heights: list[int] = [max(picture.height for picture in band) for band in bands]
    return sum(heights) + between * (len(heights) - 1)


def _paste_stack(sheet: PIL.Image.Image, cell: Cell, row: Sequence[Cell], center: int, top: int, between: int) -> None:
    for index, picture in enumerate(cell.pictures):
        height = max(other.pictures[index].height for other in row)
        # The first stands on its line, those below hang from theirs.
        offset = height - picture.height if index == 0 else 0
        sheet.paste(picture, (center - picture.width // 2, top + offset))
        top += height + between


def _load_font(pixels: int) -> FreeTypeFont:
    try:
        font = load_default(pixels)
    except ImportError as error:
        raise ExportError(f"Pillow cannot draw text ({error}); install Pillow from PyPI, with FreeType") from error
    if not isinstance(font, FreeTypeFont):
        raise ExportError("Pillow cannot draw text of a chosen size; update it with pip install --upgrade pillow")
    return font
