"""Blind pairs: what is left and right only the key tells, and the scores give every answer to whom it belongs."""

import csv
import json

import numpy as np
import pytest

from data.images import decode, encode, from_array, to_array
from data.scenes import draw_scene
from tests.pictures import NAMES_OF_BYTES, flat
from train.compare.pairs import COLUMNS, GAP, main

RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture
def given(tmp_path):
    """Ours are red and theirs are blue; the photos are drawn."""
    for name in ("a", "b", "c", "d", "e", "f"):
        for folder, color in (("ours", RED), ("theirs", BLUE)):
            (tmp_path / folder / "wave").mkdir(parents=True, exist_ok=True)
            size = (40, 30) if folder == "ours" else (80, 60)
            encode(from_array(flat(color, *size)), tmp_path / folder / "wave" / f"{name}.png")
        (tmp_path / "photos").mkdir(exist_ok=True)
        encode(from_array(draw_scene(60, 1)), tmp_path / "photos" / f"{name}.jpg")
    return tmp_path


def write(given, *more, output="pairs"):
    return main([f"--{name}={given / name}" for name in ("ours", "theirs")] + [f"--output={given / output}", *more])


def read_key(given, output="pairs"):
    return json.loads((given / output / "key.json").read_text())["pairs"]


def sides(picture):
    """Tell whose picture stands left and whose right by their colors."""
    height, width = picture.shape[:2]
    colors = [tuple(picture[height - 5, column]) for column in (5, width - 5)]
    return ["ours" if color == RED else "theirs" for color in colors]


def answer(path, key, prefers, ours=(8, 9), theirs=(3, 4), **changes):
    """Fill in answers: ``prefers`` tells for each pair who is better, None for a pair that is not judged."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for (name, pair), better in zip(key.items(), prefers, strict=True):
            marks = {"ours": ours, "theirs": theirs}
            left, right = marks[pair["left"]], marks[pair["right"]]
            side = "left" if pair["left"] == better else "right"
            row = dict(zip(COLUMNS, [name, side, left[0], right[0], left[1], right[1]], strict=True)) | changes
            table.writerow(row.values() if better else [name, "", "", "", "", ""])
    return path


def test_pairs_stand_side_by_side_as_the_key_says(given):
    assert write(given) == 0
    key = read_key(given)
    assert list(key) == [f"pair-{number:02}" for number in range(1, 7)]
    for name, pair in key.items():
        picture = to_array(decode(given / "pairs" / f"{name}.png"))
        assert picture.shape == (30, 40 + GAP + 40, 3)
        assert sides(picture) == [pair["left"], pair["right"]]
    assert sorted(pair["ours"] for pair in key.values()) == [
        str(given / "ours" / "wave" / f"{n}.png") for n in "abcdef"
    ]
    assert all(pair["ours"].rpartition("/")[2] == pair["theirs"].rpartition("/")[2] for pair in key.values())
    assert "answers.csv" in (given / "pairs" / "README.md").read_text()


def test_sides_are_mixed_and_follow_the_seed(given):
    for number, seed in enumerate((1, 1, 2)):
        assert write(given, f"--seed={seed}", output=str(number)) == 0
    first, again, other = (read_key(given, str(number)) for number in range(3))
    assert first == again != other
    assert {pair["left"] for pair in first.values()} == {"ours", "theirs"}


def test_photo_stands_above_the_pair(given):
    assert write(given, f"--photos={given / 'photos'}", "--height=50") == 0
    picture = to_array(decode(given / "pairs" / "pair-01.png"))
    both = 67 + GAP + 67
    assert picture.shape == (50 + GAP + 50, both, 3)
    middle = (both - 50) // 2
    assert (picture[:50, :middle] == 255).all()
    assert picture[:50, middle : middle + 50].std() > 5


def test_nothing_is_overwritten_unasked(given, capsys, one_error):
    assert write(given) == 0
    (given / "pairs" / "answers.csv").write_text("mine")
    capsys.readouterr()
    assert write(given) == 2
    assert "--overwrite" in one_error()
    assert (given / "pairs" / "answers.csv").read_text() == "mine"
    (given / "ours" / "wave" / "f.png").unlink()
    assert write(given, "--overwrite") == 0
    assert len(list((given / "pairs").glob("pair-*.png"))) == len(read_key(given)) == 5


def test_key_may_lie_elsewhere(given):
    assert write(given, f"--key={given / 'secret' / 'key.json'}") == 0
    assert (given / "secret" / "key.json").is_file()
    assert not (given / "pairs" / "key.json").exists()


def test_pictures_without_a_counterpart_are_named(given, capsys):
    (given / "theirs" / "wave" / "a.png").unlink()
    assert write(given) == 0
    assert "left out, because the other folder has none: wave/a of" in capsys.readouterr().err
    assert len(read_key(given)) == 5


def test_mapping_pairs_other_names(given):
    mapping = given / "pairs.csv"
    mapping.write_text("ours;theirs;style;photo\nwave/a.png;wave/b.png;great wave;c.jpg\n")
    assert write(given, f"--mapping={mapping}", f"--photos={given / 'photos'}") == 0
    (pair,) = read_key(given).values()
    assert pair["style"] == "great wave"
    assert [pair[name].rpartition("/")[2] for name in ("ours", "theirs", "photo")] == ["a.png", "b.png", "c.jpg"]
    mapping.write_text("ours,theirs\nwave/a.png,nowhere.png\n")
    assert write(given, f"--mapping={mapping}", output="more") == 2


def test_scores_give_answers_to_whom_they_belong(given, capsys):
    assert write(given, "--seed=1") == 0
    key = read_key(given)
    anna = answer(given / "anna.csv", key, ["ours", "ours", "ours", "ours", "theirs", "ours"])
    ben = answer(
        given / "ben.csv", key, ["ours", "theirs", None, "theirs", "theirs", "ours"], ours=(6, 7), theirs=(5, 5)
    )
    capsys.readouterr()
    assert main(["--score", str(anna), str(ben), "--key", str(given / "pairs" / "key.json")]) == 0
    printed = capsys.readouterr().out.splitlines()
    painterly, clean = (6 * 8 + 5 * 6) / 11, (6 * 9 + 5 * 7) / 11
    theirs = (6 * 3 + 5 * 5) / 11, (6 * 4 + 5 * 5) / 11
    expected = ["all", "2", "6", "11", "7", "(64%)", *(f"{v:.1f}" for v in (painterly, theirs[0], clean, theirs[1]))]
    assert printed[2].split() == expected
    assert printed[-1] == "1 of 12 rows were left empty and are not counted"


def test_scores_are_told_for_each_style(given, capsys):
    for folder, color in (("ours", RED), ("theirs", BLUE)):
        (given / folder / "scream").mkdir()
        encode(from_array(flat(color)), given / folder / "scream" / "a.png")
    assert write(given) == 0
    key = read_key(given)
    answers = answer(given / "a.csv", key, ["ours" if pair["style"] == "scream" else "theirs" for pair in key.values()])
    capsys.readouterr()
    assert main([f"--score={answers}", f"--key={given / 'pairs' / 'key.json'}"]) == 0
    rows = {words[0]: words[1:6] for words in map(str.split, capsys.readouterr().out.splitlines()[2:])}
    assert rows == {
        "all": ["1", "7", "7", "1", "(14%)"],
        "scream": ["1", "1", "1", "1", "(100%)"],
        "wave": ["1", "6", "6", "0", "(0%)"],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"better": "ours"}, "line 2: better is 'ours'; it must be left or right"),
        ({"clean left": "11"}, "line 2: clean left is '11'; it must be a number from 1 to 10"),
        ({"painterly right": ""}, "line 2: painterly right is ''; it must be a number from 1 to 10"),
        ({"pair": "pair-99"}, "line 2: 'pair-99' is not in the key"),
        ({"pair": "pair-01"}, "line 3: pair-01 is answered twice"),
    ],
)
def test_wrong_answers_get_one_sentence(given, capsys, one_error, changes, message):
    assert write(given) == 0
    answers = answer(given / "a.csv", read_key(given), ["ours"] * 6, **changes)
    capsys.readouterr()
    assert main([f"--score={answers}", f"--key={given / 'pairs' / 'key.json'}"]) == 2
    assert message in one_error()


def test_a_decimal_comma_shifts_no_mark_to_another_column(given, capsys, one_error):
    assert write(given) == 0
    capsys.readouterr()
    answers = given / "a.csv"
    answers.write_text(f"{','.join(COLUMNS)}\npair-01,left,7,5,6,5,4\n")
    assert main([f"--score={answers}", f"--key={given / 'pairs' / 'key.json'}"]) == 2
    assert "line 2 has more values than there are columns" in one_error()
    answers.write_text(f"{','.join(COLUMNS)}\npair-01,left,7,6,5,4, ,\n")
    assert main([f"--score={answers}", f"--key={given / 'pairs' / 'key.json'}"]) == 0


@NAMES_OF_BYTES
def test_names_that_are_no_utf8_get_a_key(given):
    for folder in ("ours", "theirs"):
        (given / folder / "wave" / "a.png").rename(given / folder / "wave" / "caf\udce9.png")
    assert write(given) == 0
    assert str(given / "ours" / "wave" / "caf\udce9.png") in {pair["ours"] for pair in read_key(given).values()}


def test_template_without_answers_is_refused(given, capsys, one_error):
    assert write(given) == 0
    capsys.readouterr()
    key = given / "pairs" / "key.json"
    assert main([f"--score={given / 'pairs' / 'answers.csv'}", f"--key={key}"]) == 2
    assert "holds no answer" in one_error()
    assert main([f"--score={given / 'nowhere.csv'}", f"--key={key}"]) == 2
    assert "does not exist" in one_error()
    assert main([f"--score={given / 'pairs' / 'answers.csv'}", f"--key={given / 'pairs' / 'answers.csv'}"]) == 2
    assert "is not a key of pairs" in one_error()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ours=a"], "--theirs and --output are needed"),
        (["--score=a.csv"], "--key is needed"),
        (["--score=a.csv", "--key=k", "--ours=a"], "--score takes --key"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(one_error, flags, message):
    with pytest.raises(SystemExit):
        main(flags)
    assert message in one_error()


def test_folders_without_a_common_name_are_refused(given, one_error):
    for path in (given / "theirs" / "wave").iterdir():
        path.rename(path.with_stem(f"their-{path.stem}"))
    assert write(given) == 2
    assert "--mapping" in one_error()
    assert not (given / "pairs").exists()


def test_two_files_of_one_name_are_refused(given, one_error):
    encode(from_array(flat(RED)), given / "ours" / "wave" / "a.jpg")
    assert write(given) == 2
    assert "have one name" in one_error()


def test_order_of_the_pairs_is_mixed(given):
    assert write(given, "--seed=1") == 0
    names = [pair["ours"] for pair in read_key(given).values()]
    assert names != sorted(names)
    assert len(np.unique(names)) == 6


def test_a_picture_that_cannot_be_read_leaves_the_earlier_pairs(given):
    assert write(given) == 0
    before = {path.name: path.read_bytes() for path in (given / "pairs").iterdir()}
    (given / "theirs" / "wave" / "f.png").write_text("no picture")
    assert write(given, "--overwrite") == 2
    assert {path.name: path.read_bytes() for path in (given / "pairs").iterdir()} == before


def test_a_full_disk_leaves_no_key_beside_pairs_that_are_not_its_own(given, monkeypatch):
    assert write(given) == 0

    def refuse(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.compare.pairs.write_whole", refuse)
    assert write(given, "--overwrite") == 2
    assert not (given / "pairs" / "key.json").exists()


def test_overwriting_removes_pairs_and_no_picture_of_another_name(given):
    assert write(given) == 0
    (given / "pairs" / "pair-of-shoes.png").write_text("mine")
    (given / "pairs" / "pair-07.png").write_text("earlier")
    assert write(given, "--overwrite") == 0
    assert (given / "pairs" / "pair-of-shoes.png").read_text() == "mine"
    assert not (given / "pairs" / "pair-07.png").exists()


def test_a_folder_is_no_key(given, one_error):
    assert write(given, f"--key={given / 'photos'}") == 2
    assert "photos' is a folder; name a file with --key" in one_error()
    assert not (given / "pairs").exists()


def test_pictures_of_any_height_are_not_asked_for(given, one_error):
    with pytest.raises(SystemExit):
        write(given, "--height=4097")
    assert "--height" in one_error()


def test_photos_of_a_mapping_need_their_folder(given, one_error):
    mapping = given / "pairs.csv"
    mapping.write_text("ours,theirs,photo\nwave/a.png,wave/b.png,c.jpg\n")
    assert write(given, f"--mapping={mapping}") == 2
    assert "line 2 names the photo 'c.jpg'; name its folder with --photos" in one_error()
