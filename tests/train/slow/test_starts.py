"""Several starts become one sheet and one page, which tells what each of them changed and what a pixel costs."""

import csv
import re

import numpy as np
import pytest

from data.images import decode, encode, from_array, to_array
from export.sheet.grid import shorten
from tests.pictures import NAMES_OF_BYTES, noise
from tests.train.slow.slow_command import DRAWING, slow
from train.slow.benchmark import SizeTime, fit_exponent
from train.slow.benchmark import main as slow_bench
from train.slow.command import main
from train.slow.config import SlowConfig
from train.slow.outputs import SlowFiles
from train.slow.page import Run, draw_starts, measure_sizes
from train.slow.record import Record


def run_starts(photo, *starts, **options):
    flags = {"content": photo, "style": DRAWING, "output": photo.parent / "out.png", "size": 48, "iterations": 3}
    flags |= {"perceptual": "vgg_small", "save-every": 2} | options
    return main(["--starts", *map(str, starts), *(f"--{name}={value}" for name, value in flags.items())])


def test_several_starts_give_one_sheet_with_what_each_made(photo):
    assert run_starts(photo, "photo", "noise", "style") == 0
    folder = photo.parent
    for start in ("photo", "noise", "style"):
        assert decode(folder / f"out-{start}.png").size == (48, 36)
        assert (folder / f"out-{start}.gif").exists()
    sheet = decode(folder / "out.png")
    # Three columns of two pictures, and labels.
    assert sheet.width > 3 * 48
    assert sheet.height > 2 * 36
    with (folder / "out-curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["start"] for row in rows] == ["photo"] * 3 + ["noise"] * 3 + ["style"] * 3
    # From the photo the content's error begins at 0, from noise far from it.
    assert float(rows[0]["content"]) < 0.01 < float(rows[3]["content"])


def test_the_page_of_starts_shows_sheet_curves_and_animations_by_links_that_lead_somewhere(photo):
    assert run_starts(photo, "photo", "noise") == 0
    page = (photo.parent / "out.html").read_text()
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    files = [link for link in linked if not link.startswith("data:")]
    assert set(files) == {
        "out.png",
        "out-curve.png",
        "out-photo.gif",
        "out-noise.gif",
        "out-photo.html",
        "out-noise.html",
    }
    assert all((photo.parent / file).is_file() for file in files)
    assert sum(link.startswith("data:image/jpeg") for link in linked) == 2
    assert "<td>photo</td>" in page
    assert "48 &times; 36" in page


def test_the_page_of_one_run_shows_its_curve_and_its_animation(photo):
    assert slow(photo, "a b.png") == 0
    page = (photo.parent / "a b.html").read_text()
    for name in ("a%20b.png", "a%20b-curve.png", "a%20b.gif"):
        assert f'src="{name}"' in page
    assert "photo in the style of stained_glass" in page
    assert slow(photo, "still.png", save_every=0) == 0
    assert ".gif" not in (photo.parent / "still.html").read_text()


def test_the_label_of_a_narrow_portrait_tells_its_whole_loss(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("export.sheet.grid.shorten", lambda *given: shown.append(shorten(*given)) or shown[-1])
    record = Record(SlowFiles(tmp_path / "out.png", keeps_steps=False), 0)
    portrait = from_array(noise(360, 120))
    draw_starts([Run(SlowConfig("out.png", start="noise"), record, portrait, portrait, 0.8534, stopped=False)] * 2)
    assert shown[-2:] == ["from noise", "loss 0.853"]


def test_content_and_photo_are_the_same_start(photo):
    for name, start in (("a.png", "content"), ("b.png", "photo")):
        assert slow(photo, name, start=start, iterations=2, save_every=0) == 0
    assert np.array_equal(to_array(decode(photo.parent / "a.png")), to_array(decode(photo.parent / "b.png")))


def test_a_picture_file_is_a_start_by_its_name(photo):
    encode(from_array(noise(30, 30)), photo.parent / "other.png")
    assert run_starts(photo, "noise", photo.parent / "other.png", iterations=1) == 0
    assert (photo.parent / "out-other.png").exists()


def test_dollar_signs_in_the_name_of_a_start_are_no_formula(photo):
    encode(from_array(noise(30, 30)), photo.parent / "$5_to_$6.png")
    assert run_starts(photo, "noise", photo.parent / "$5_to_$6.png", iterations=2) == 0
    assert (photo.parent / "out.html").exists()


@NAMES_OF_BYTES
def test_the_page_of_a_picture_whose_name_is_no_utf8_leads_to_it(photo):
    assert slow(photo, "caf\udce9.png", iterations=2) == 0
    assert 'src="caf%E9.png"' in (photo.parent / "caf\udce9.html").read_text()


@pytest.mark.parametrize(
    ("starts", "options", "said"),
    [
        (["noise", "noise"], {}, "each must have another name"),
        (["noise", "nowhere.png"], {}, "nowhere.png"),
        (["style"], {"style": "[]"}, "--start style needs --style"),
        (["", "noise"], {}, "--starts is an empty string"),
    ],
)
def test_starts_that_cannot_work_are_refused_in_one_sentence(photo, capsys, starts, options, said):
    assert run_starts(photo, *starts, **options) == 2
    assert said in capsys.readouterr().err
    assert not (photo.parent / "out.png").exists()


def test_a_start_whose_picture_would_be_a_file_of_the_run_is_refused(photo, one_error):
    encode(from_array(noise(30, 30)), photo.parent / "curve.png")
    assert run_starts(photo, "noise", photo.parent / "curve.png") == 2
    assert "out-curve.png'; each must have another name" in one_error()


def test_a_start_beside_several_is_refused_and_that_of_a_configuration_gives_way(photo, capsys, tmp_path):
    assert run_starts(photo, "photo", "style", start="noise") == 2
    assert "--start is noise beside --starts" in capsys.readouterr().err
    (tmp_path / "noise.yaml").write_text("start: noise\n")
    assert run_starts(photo, "photo", config=tmp_path / "noise.yaml", iterations=1) == 0


def test_a_sheet_of_starts_keeps_no_animation_of_an_earlier_picture(photo):
    for name in ("out.gif", "out-steps/00001.png"):
        (photo.parent / name).parent.mkdir(exist_ok=True)
        (photo.parent / name).write_text("earlier")
    assert run_starts(photo, "photo", iterations=1, overwrite="true") == 0
    assert not (photo.parent / "out.gif").exists()
    assert not (photo.parent / "out-steps" / "00001.png").exists()


@pytest.mark.parametrize("name", ["out.html", "out-noise.html", "out-noise.png", "out-photo-steps/00001.png"])
def test_files_of_an_earlier_run_are_not_overwritten(photo, one_error, name):
    (photo.parent / name).parent.mkdir(exist_ok=True)
    (photo.parent / name).write_text("mine")
    assert run_starts(photo, "photo", "noise") == 2
    assert name in one_error()
    assert (photo.parent / name).read_text() == "mine"


def test_ctrl_c_leaves_out_further_starts_and_compares_those_there_are(photo, capsys, monkeypatch):
    from train.slow.run import optimize

    def interrupt(task):
        for now in optimize(task):
            yield now
            if task.config.start == "noise" and now.iteration == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr("train.slow.run.optimize", interrupt)
    assert run_starts(photo, "photo", "noise", "style") == 0
    assert "the best picture so far is kept" in capsys.readouterr().err
    page = (photo.parent / "out.html").read_text()
    assert "Stopped by the user." in page
    assert "out-style" not in page
    assert not (photo.parent / "out-style.png").exists()


def test_the_cost_of_each_size_does_not_count_its_first_iteration(tmp_path):
    record = Record(SlowFiles(tmp_path / "out.png", keeps_steps=False), 0)
    for iteration, seconds, width in (
        (1, 5.0, 32),
        (2, 5.5, 32),
        (3, 6.0, 32),
        (4, 16.0, 64),
        (5, 18.0, 64),
        (6, 30.0, 128),
    ):
        record.rows.append((iteration, seconds, width, width // 2, 1.0, 0.0, 0.0, 0.0, 0.0))
    costs = measure_sizes(record)
    assert [(cost.width, cost.pixels, cost.iterations, cost.seconds) for cost in costs] == [
        (32, 512, 3, 0.5),
        (64, 2048, 2, 2.0),
        (128, 8192, 1, None),
    ]


def test_the_exponent_of_linear_times_is_1_and_of_squares_2():
    sides = (32, 64, 96, 128)
    assert fit_exponent([SizeTime(side, side, 3e-6 * side**2) for side in sides]) == pytest.approx(1)
    assert fit_exponent([SizeTime(side, side, 3e-6 * side**4) for side in sides]) == pytest.approx(2)


def test_sizes_are_timed_in_place_of_the_comparison(photo, capsys, monkeypatch):
    monkeypatch.setattr("train.slow.benchmark.compare_methods", None)
    flags = ["--content", str(photo), "--style", str(DRAWING), "--perceptual", "vgg_small", "--sizes", "32", "64"]
    assert slow_bench([*flags, "96", "128", "--output", str(photo.parent / "sizes.json")]) == 0
    said, announced = capsys.readouterr()
    assert announced.count("the photo has 64 px on its longer side; it is not enlarged to 96 or 128") == 1
    assert "64 x 48" in said
    assert "3,072" in said
    assert "to the power of" in said
    assert '"width": 32' in (photo.parent / "sizes.json").read_text()
