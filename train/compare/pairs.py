"""Blind pairs: ``python -m train.compare.pairs --ours folder --theirs folder --output pairs/``.

Writes pictures of two programs side by side, left and right at random, for people who judge without knowing which is
whose; ``--score`` counts their answers. The key is a file of its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

from data.files import make_folder, require_absent, write_whole
from data.images import Picture, contact_sheet, decode, encode_bytes, from_array, list_images, to_array
from export.cli import CommandParser, integer
from export.terminal import make_printable
from train.cli import run_command
from train.errors import TrainError
from train.flags import add_overwrite
from train.limits import SEEDS

SIDES = ("left", "right")

MARKS = ("painterly", "clean")
"""What judges give marks for."""

MARK_RANGE = (1, 10)

COLUMNS = ("pair", "better", *(f"{mark} {side}" for mark in MARKS for side in SIDES))
"""Columns of the answers."""

MOST_HEIGHT = 4096
"""Largest height in pixels of the pictures of a pair."""

GAP = 16
"""White pixels between pictures."""

INSTRUCTIONS = """\
Look at each pair-NN.png and fill in its row of answers.csv: `better` is left or right, whichever you would rather hang
on a wall; `painterly` (strokes and shapes of a painting, not a tinted photo) and `clean` (no speckle, grid, halo or
stain) are marks from 1 to 10 for each side. Leave the row of a pair that you did not judge empty. Do not read key.json.
"""


@dataclass(frozen=True)
class Pair:
    """A picture of ours and one of theirs.

    Args:
        ours: Our file.
        theirs: Their file.
        style: Name of the style, for the scores; may be empty.
        photo: The photo that both repaint; None where it is not shown.
    """

    ours: Path
    theirs: Path
    style: str
    photo: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What one judge said of one pair.

    Args:
        style: Of the pair.
        pair: Its name.
        prefers_ours: Whether ours is better.
        ours: Marks of ours, 1 to 10, by what they are for.
        theirs: Marks of theirs.
    """

    style: str
    pair: str
    prefers_ours: bool
    ours: dict[str, float]
    theirs: dict[str, float]


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        prog="python -m train.compare.pairs",
        description="Write pictures of two programs as blind pairs, or score the answers of those who judged them.",
        epilog="example: python -m train.compare.pairs --ours ours/ --theirs theirs/ --output pairs/; then "
        "python -m train.compare.pairs --score anna.csv ben.csv --key pairs/key.json",
    )
    add = parser.add_argument
    add("--ours", type=Path, help="folder of our pictures; a folder in it is the name of a style")
    add("--theirs", type=Path, help="folder of the other program's pictures, of the same names")
    add(
        "--mapping",
        type=Path,
        help="CSV file that pairs files of other names: ours, theirs, and if need be style, photo",
    )
    add("--photos", type=Path, help="folder of the photos, of the same names, to show above the pairs")
    add("--style", default="", help="name of the style of pictures that lie in no folder of a style")
    add("--output", type=Path, help="folder to write to")
    add(
        "--height",
        type=integer(1, MOST_HEIGHT),
        help=f"height of the pictures in pixels, at most {MOST_HEIGHT} (default: that of the lower one of each pair)",
    )
    add("--seed", type=integer(*SEEDS), help="of the order and the sides (default: a random one, which the key tells)")
    add("--key", type=Path, help="the key (default: key.json in --output)")
    add("--score", type=Path, nargs="+", metavar="ANSWERS", help="score these answers, one file for each judge")
    add_overwrite(parser, "earlier pairs")
    options = parser.parse_args(args)
    needed = ("key",) if options.score else ("ours", "theirs", "output")
    missing = [f"--{name}" for name in needed if getattr(options, name) is None]
    if missing:
        parser.error(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} needed")
    if options.score and any((options.ours, options.theirs, options.output)):
        parser.error("--score takes --key and neither --ours, --theirs nor --output")
    return options


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parse(args)
    if options.score:
        return run_command(lambda: print(score(options.key, options.score)))
    return run_command(lambda: write(options), "stopped; some of the pairs may be missing")


def write(options: argparse.Namespace) -> None:
    """Write pairs, answers to fill in, instructions and the key, as the command line asks.

    Raises:
        TrainError: If no pictures match, a mapping or a photo is wrong, or the key is a folder.
        ImageError: If a picture cannot be read.
        OutputError: If a file exists, or cannot be written.
    """
    output: Path = options.output
    key_path: Path = options.key or output / "key.json"
    if key_path.is_dir():
        raise TrainError(f"'{key_path}' is a folder; name a file with --key, such as '{key_path / 'key.json'}'")
    if options.mapping is None:
        pairs = match_names(options.ours, options.theirs, options.photos, options.style)
    else:
        pairs = read_mapping(options.mapping, options.ours, options.theirs, options.photos, options.style)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    draw = random.Random(seed)
    draw.shuffle(pairs)
    digits = max(2, len(str(len(pairs))))
    names = [f"pair-{number:0{digits}}" for number in range(1, len(pairs) + 1)]
    answers, instructions = output / "answers.csv", output / "README.md"
    earlier = [path for path in sorted(output.glob("pair-*.png")) if re.fullmatch("pair-[0-9]{2,}", path.stem)]
    read = [options.mapping, *(path for pair in pairs for path in (pair.ours, pair.theirs, pair.photo))]
    require_absent([key_path, answers, instructions, *earlier], options.overwrite, inputs=read)
    make_folder(output)
    make_folder(key_path.parent, "--key")
    key = {}
    pictures: dict[Path, memoryview] = {}
    for name, pair in zip(names, pairs, strict=True):
        ours_left = draw.random() < 0.5
        left, right = (pair.ours, pair.theirs) if ours_left else (pair.theirs, pair.ours)
        picture = from_array(lay_out(left, right, pair.photo, options.height))
        pictures[output / f"{name}.png"] = encode_bytes(picture, "PNG", name=f"pair of '{left}' and '{right}'")
        files = {field: value and str(value) for field, value in asdict(pair).items()}
        key[name] = dict(zip(SIDES, ("ours", "theirs") if ours_left else ("theirs", "ours"), strict=True)) | files
    # The earlier key first, and the new one last: no key may stand beside pairs or answers that are not its own.
    for path in (key_path, answers, *earlier):
        path.unlink(missing_ok=True)
    for path, content in pictures.items():
        write_whole(path, content)
    rows = [",".join([name, *[""] * (len(COLUMNS) - 1)]) for name in names]
    write_whole(answers, "\n".join([",".join(COLUMNS), *rows]) + "\n")
    write_whole(instructions, INSTRUCTIONS)
    # In ASCII, because the names of files need not be UTF-8.
    write_whole(key_path, json.dumps({"seed": seed, "pairs": key}, indent=1) + "\n")
    print(f"wrote {len(pairs)} pairs to '{output}', answers to fill in to '{answers}', the key to '{key_path}'")


def lay_out(left: Path, right: Path, photo: Path | None, height: int | None) -> Picture:
    """Lay two picture files side by side in one height, and the photo in the middle above them.

    Args:
        left: One picture.
        right: The other.
        photo: The photo; None for none.
        height: Of each in pixels; that of the lower one of both if None.
    """
    images = [decode(path) for path in (left, right)]
    height = height or min(image.height for image in images)
    pair = contact_sheet([[_scale(image, height) for image in images]], GAP)
    if photo is None:
        return pair
    above = _scale(decode(photo), height)
    margin = max(0, pair.shape[1] - above.shape[1]) // 2
    above = np.pad(above, ((0, 0), (margin, 0), (0, 0)), constant_values=255)
    return contact_sheet([[above], [pair]], GAP)


def match_names(ours: Path, theirs: Path, photos: Path | None, style: str = "") -> list[Pair]:
    """Match the pictures of two folders by their names without endings, folders within included.

    Args:
        ours: Our pictures, as ``chicago.png`` or, in a folder of a style, ``wave/chicago.png``.
        theirs: Those of the other program.
        photos: Photos of the same names, in folders of styles or not; None to show none.
        style: Of pictures that lie in no folder.

    Raises:
        TrainError: If no names match, two files have one name, or a photo is missing.
        ImageError: If a folder holds no picture.
    """
    mine, others = _index(ours), _index(theirs)
    shared = sorted(mine.keys() & others.keys())
    if not shared:
        raise TrainError(
            f"no picture of '{ours}' has the name of one of '{theirs}' ('{min(mine)}' and '{min(others)}', for "
            "example); rename them, or pair them with --mapping"
        )
    for folder, alone in ((ours, mine.keys() - others.keys()), (theirs, others.keys() - mine.keys())):
        if alone:
            left_out = f"left out, because the other folder has none: {', '.join(sorted(alone))} of '{folder}'"
            print(make_printable(left_out), file=sys.stderr)
    shown = {} if photos is None else _index(photos)
    pairs = []
    for name in shared:
        photo = shown.get(name, shown.get(name.rpartition("/")[2]))
        if photos is not None and photo is None:
            raise TrainError(f"'{photos}' holds no photo named '{name}'; add it, or leave --photos out")
        pairs.append(Pair(mine[name], others[name], name.rpartition("/")[0] or style, photo))
    return pairs


def read_mapping(path: Path, ours: Path, theirs: Path, photos: Path | None, style: str = "") -> list[Pair]:
    """Read pairs from a CSV file with the columns ``ours``, ``theirs`` and, if need be, ``style`` and ``photo``.

    Args:
        path: The file; its names are relative to the folders.
        ours: Folder of our pictures.
        theirs: Folder of the other program's.
        photos: Folder of the photos; None to show none.
        style: Of rows that name none.

    Raises:
        TrainError: If the file or a picture is absent, a column is missing, or a photo is named and no folder of them.
    """
    pairs = []
    for line, row in _read_rows(path, ("ours", "theirs", *(["photo"] if photos else []))):
        if row.get("photo") and photos is None:
            raise TrainError(
                f"'{path}', line {line} names the photo '{row['photo']}'; name its folder with --photos, or leave the "
                "column out"
            )
        files = [ours / row["ours"], theirs / row["theirs"], *([photos / row["photo"]] if photos else [])]
        for file in files:
            if not file.is_file():
                raise TrainError(f"'{path}', line {line}: '{file}' does not exist; name a file of that folder")
        pairs.append(Pair(files[0], files[1], row.get("style") or style, files[2] if photos else None))
    if not pairs:
        raise TrainError(f"'{path}' names no pair; add rows with a file of --ours and one of --theirs")
    return pairs


def score(key_path: Path, files: Iterable[Path]) -> str:
    """Count how often ours was preferred, and average the marks, over all pairs and for each style.

    Args:
        key_path: The key that was written with the pairs.
        files: Answers, a file for each judge.

    Returns:
        A table for the terminal.

    Raises:
        TrainError: If the key or an answer cannot be read, or nothing was answered.
    """
    key = _read_key(key_path)
    judges = {file: read_answers(file, key) for file in files}
    silent = next((file for file, found in judges.items() if not found), None)
    if silent is not None:
        raise TrainError(f"'{silent}' holds no answer; fill it in, or leave it out")
    answers = [answer for found in judges.values() for answer in found]
    styles = sorted({answer.style for answer in answers})
    width = max(len(style) for style in [*styles, "all"]) + 2
    lines = [
        f"{'':<{width}}judges  pairs  answers  ours preferred  {'painterly':<17}clean",
        f"{'':<{width}}                                        ours    theirs   ours    theirs",
    ]
    for title, chosen in (("all", set(styles)), *((style or "-", {style}) for style in styles if len(styles) > 1)):
        found = [answer for answer in answers if answer.style in chosen]
        counted = sum(any(answer.style in chosen for answer in one) for one in judges.values())
        preferred = sum(answer.prefers_ours for answer in found)
        marks = [mean(getattr(answer, side)[mark] for answer in found) for mark in MARKS for side in ("ours", "theirs")]
        share = f"{preferred} ({preferred / len(found):.0%})"
        lines.append(
            f"{title:<{width}}{counted:<8}{len({answer.pair for answer in found}):<7}{len(found):<9}{share:<16}"
            + "".join(f"{value:<{size}.1f}" for value, size in zip(marks, (8, 9, 8, 6), strict=True)).rstrip()
        )
    expected = len(key) * len(judges)
    if len(answers) < expected:
        lines.append(f"{expected - len(answers)} of {expected} rows were left empty and are not counted")
    return "\n".join(lines)


def read_answers(path: Path, key: Mapping[str, Mapping[str, str]]) -> list[Answer]:
    """Read one judge's answers.

    Args:
        path: CSV with ``COLUMNS``; a row without any answer is skipped.
        key: Pairs by name.

    Raises:
        TrainError: If the file is absent, an answer is incomplete or none that can be given, a pair is answered twice
            or not in the key.
    """
    answers: list[Answer] = []
    for line, row in _read_rows(path, COLUMNS):
        if not any(row[column] for column in COLUMNS[1:]):
            continue
        place = f"'{path}', line {line}"
        if row["pair"] not in key:
            raise TrainError(
                f"{place}: '{row['pair']}' is not in the key; pass the key that was written with these pairs"
            )
        if any(answer.pair == row["pair"] for answer in answers):
            raise TrainError(f"{place}: {row['pair']} is answered twice; remove one of the rows")
        pair, better = key[row["pair"]], row["better"].lower()
        if better not in SIDES:
            raise TrainError(f"{place}: better is '{row['better']}'; it must be left or right")
        marks: dict[str, dict[str, float]] = {"ours": {}, "theirs": {}}
        for mark in MARKS:
            for side in SIDES:
                marks[pair[side]][mark] = _read_mark(row[f"{mark} {side}"], f"{place}: {mark} {side}")
        answers.append(Answer(pair["style"], row["pair"], pair[better] == "ours", **marks))
    return answers


def _read_mark(text: str, place: str) -> float:
    lowest, highest = MARK_RANGE
    try:
        mark = float(text)
    except ValueError:
        mark = float("nan")
    if not lowest <= mark <= highest:
        raise TrainError(f"{place} is '{text}'; it must be a number from {lowest} to {highest}")
    return mark


def _read_key(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        raise TrainError(f"key '{path}' does not exist; pass the key.json that was written with the pairs")
    try:
        key: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["pairs"]
        complete = all(
            {pair[side] for side in SIDES} == {"ours", "theirs"} and "style" in pair for pair in key.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise TrainError(f"'{path}' is not a key of pairs; pass the key.json that was written with the pairs")
    return key


def _read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV file by their numbers in it; spreadsheets of some countries write semicolons."""
    if not path.is_file():
        raise TrainError(f"'{path}' does not exist; name a CSV file with the columns {', '.join(columns)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainError(f"'{path}' is not text in UTF-8; save it as CSV in UTF-8") from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
    missing = [column for column in columns if column not in (reader.fieldnames or [])]
    if missing:
        raise TrainError(f"'{path}' has no column {', '.join(missing)}; its first line must name {', '.join(columns)}")
    rows = [(reader.line_num, row) for row in reader]
    for line, row in rows:
        # A comma within a value, such as that of 7,5, would shift those that follow to columns of other names.
        if any(value.strip() for value in row.pop(None, [])):
            raise TrainError(
                f"'{path}', line {line} has more values than there are columns; put a value that holds a separator in "
                "quotation marks, or write 7.5 in place of 7,5"
            )
    return [(line, {name: (value or "").strip() for name, value in row.items()}) for line, row in rows]


def _index(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder, "name a folder of pictures"):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise TrainError(f"'{found[name]}' and '{path}' have one name; rename or remove one of them")
        found[name] = path
    return found


def _scale(image: Image.Image, height: int) -> Picture:
    width = max(1, round(image.width * height / image.height))
    return to_array(image if image.height == height else image.resize((width, height), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    sys.exit(main())
