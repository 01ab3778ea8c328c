"""The evaluation trains from each origin, keeps what is finished, and goes on from there."""

import json
from functools import partial
from statistics import median

import pytest
import torch

from data.images import decode
from data.photos import to_unit
from models.network import NetworkConfig, StyleNetwork
from models.start import StartCard, StartNetwork, count_statistics, save_start
from models.style_file import StyleCard, load_style, save_style
from models.vgg import VGGFeatures
from tests.pictures import noise, ramp, write
from train.compare.covariance import LAYERS, CovarianceDistance
from train.fit.datamodule import PhotoData
from train.fit.module import StyleTraining
from train.start.curves import Curves, Report, tabulate
from train.start.evaluate import main

SMALL = NetworkConfig(width=4, residual_blocks=1)
HELD_OUT = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    for index in range(HELD_OUT + 4):
        write(folder / "photos" / f"{index:02}.png", noise(80, 72, seed=index))
    write(folder / "paintings" / "one.png", noise(64, 60))
    write(folder / "paintings" / "two.png", ramp(64, 60))
    torch.manual_seed(0)
    save_start(
        folder / "start.safetensors", StartNetwork(count_statistics(), SMALL), StartCard(held_out_paintings=("two",))
    )
    save_style(folder / "style.safetensors", StyleNetwork(SMALL), StyleCard("small"))
    return folder


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Describe paintings at small sizes, which takes longer than all trainings at the usual ones, and few photos."""
    monkeypatch.setattr("train.start.curves.StyleTraining", partial(StyleTraining, style_size=64))
    monkeypatch.setattr("train.start.curves.PhotoData", partial(PhotoData, held_out=HELD_OUT))
    monkeypatch.setattr("train.compare.covariance.PAINTING_SIZES", (48, 64))


def arguments(folder, output, *more):
    flags = ["--start", folder / "start.safetensors", "--style", folder / "style.safetensors"]
    flags += ["--paintings", folder / "paintings", "--photos", folder / "photos", "--perceptual", "vgg_small"]
    flags += ["--image-size", 64, "--batch-size", 2, "--output", output, "--steps", 0, 2, *more]
    return [str(flag) for flag in flags]


def test_each_origin_is_trained_for_each_length_once(folder, tmp_path, capsys, monkeypatch):
    measured = Curves.measure
    seen = []

    def stop_at_the_fourth(curves, *task):
        seen.append(task)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return measured(curves, *task)

    with monkeypatch.context() as stopped:
        stopped.setattr(Curves, "measure", stop_at_the_fourth)
        assert main(arguments(folder, tmp_path)) == 130
    assert "the same command goes on" in capsys.readouterr().err
    kept = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [(row["origin"], row["steps"]) for row in kept] == [("start", 0), ("style", 0), ("random", 0)]
    assert main(arguments(folder, tmp_path)) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rows"][:3] == kept
    assert len(report["rows"]) == 6
    assert {row["painting"] for row in report["rows"]} == {"two"}
    assert all(row["val_loss"] > 0 for row in report["rows"])
    by_task = {(row["origin"], row["steps"]): row["val_loss"] for row in report["rows"]}
    assert by_task["random", 2] != by_task["random", 0]
    said = capsys.readouterr().out
    assert "holds 3 of 6 trainings" in said
    assert (tmp_path / "table.md").read_text().strip() in said
    assert main(arguments(folder, tmp_path, "--seed", "1")) == 2
    assert "another seed (0, now 1)" in capsys.readouterr().err


def test_only_the_named_origins_are_trained_and_others_are_added_later(folder, tmp_path):
    assert main(arguments(folder, tmp_path, "--steps", "3", "--origins", "random")) == 0
    assert main(arguments(folder, tmp_path, "--steps", "1", "--origins", "start")) == 0
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [(row["origin"], row["steps"]) for row in rows] == [("random", 3), ("start", 1)]
    table = (tmp_path / "table.md").read_text()
    assert "median over 1 paintings, after steps | 1 | 3 |" in table
    assert "from `" not in table
    assert "as good as 3 steps from random weights: " in table


def test_the_covariance_distance_is_that_of_painted_photos_to_each_painting(folder, tmp_path):
    assert main(arguments(folder, tmp_path, "--steps", "0", "--held-out", "one", "two")) == 0
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    found = {row["painting"]: row["covariance_distance"] for row in rows if row["origin"] == "style"}
    data = PhotoData(str(folder / "photos"), image_size=64, held_out=HELD_OUT)
    data.setup("validate")
    photos = to_unit(data.preview_photos(HELD_OUT).photos)
    with torch.no_grad():
        pictures = load_style(folder / "style.safetensors")[0](photos).clamp(0, 1)
    for name in ("one", "two"):
        painting = decode(folder / "paintings" / f"{name}.png")
        distance = CovarianceDistance(VGGFeatures("vgg_small", LAYERS), painting, torch.device("cpu"))
        expected = median(distance(picture[None]) for picture in pictures)
        assert found[name] == pytest.approx(expected, rel=1e-3)
    assert found["one"] != pytest.approx(found["two"], rel=1e-2)


def test_nothing_is_tabulated_twice_where_paintings_have_no_length_in_common(tmp_path):
    report = Report(tmp_path / "report.json", {"style": "wave.safetensors, sha256 0"}, False)
    for painting, steps in (("a", 0), ("b", 25)):
        measures = {"val_loss": 1.0, "covariance_distance": 1.0}
        report.add({"painting": painting, "origin": "start", "steps": steps, **measures})
    assert tabulate(report) == "no length was trained for on every painting yet"


def test_the_table_holds_medians_and_when_the_start_is_as_good(tmp_path):
    report = Report(tmp_path / "report.json", {"style": "wave.safetensors, sha256 0"}, False)
    losses = {"start": {0: 2.0, 25: 1.1, 50: 0.8}, "style": {0: 3, 50: 1.1}, "random": {0: 5, 50: 0.7}}
    for painting, extra in (("a", -0.5), ("b", 0.0), ("c", 9.0)):
        for origin, values in losses.items():
            for steps, loss in values.items():
                measures = {"val_loss": loss + extra, "covariance_distance": 10 * loss + extra}
                report.add({"painting": painting, "origin": origin, "steps": steps, **measures})
    # Only one painting was trained so long.
    report.add({"painting": "a", "origin": "start", "steps": 100, "val_loss": 0.1, "covariance_distance": 1.0})
    said, distances = tabulate(report).split("\n\n| covariance distance, ")
    assert "| validation loss, median over 3 paintings, after steps | 0 | 25 | 50 |" in said
    assert "| from the shared start | 2.000 | 1.100 | 0.800 |" in said
    assert "| from `wave` | 3.000 |  | 1.100 |" in said
    assert "as good as 50 steps from `wave`: after 25 steps" in said
    assert "as good as 50 steps from random weights: not within the steps measured" in said
    assert "median over 3 paintings, after steps | 0 | 25 | 50 |" in distances
    assert "| from the shared start | 20.000 | 11.000 | 8.000 |" in distances
    written = json.loads((tmp_path / "report.json").read_text())["medians"]
    assert written["val_loss"]["random"] == {"0": 5, "50": 0.7}
    assert written["covariance_distance"]["random"] == {"0": 50, "50": 7}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--start", "missing.safetensors"], "missing.safetensors"),
        (["--style", "missing"], "--style 'missing'"),
        (["--held-out", "three"], "--held-out names 'three'"),
        (["--paintings", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_gets_one_sentence(folder, tmp_path, one_error, wrong, named):
    assert main(arguments(folder, tmp_path / "output", *wrong)) == 2
    assert named in one_error()
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_lightning_does_not_take_is_refused(folder, tmp_path, one_error, seed):
    with pytest.raises(SystemExit):
        main(arguments(folder, tmp_path / "output", "--seed", seed))
    assert "argument --seed: " in one_error()


@pytest.mark.parametrize("more", [[], ["--held-out", "two.png"]])
def test_a_painting_that_has_the_name_of_another_is_refused(folder, tmp_path, one_error, more):
    for name in ("two.png", "series/two.jpg"):
        write(tmp_path / "paintings" / name, ramp(64, 60))
    assert main(arguments(folder, tmp_path / "output", "--paintings", tmp_path / "paintings", *more)) == 2
    assert "have one name, and one of them is held out" in one_error()


def test_a_table_of_somebody_else_is_kept(folder, tmp_path, one_error):
    (tmp_path / "table.md").write_text("precious")
    assert main(arguments(folder, tmp_path)) == 2
    assert "table.md' exists; choose another --output" in one_error()
    assert (tmp_path / "table.md").read_text() == "precious"


def test_a_report_from_before_the_covariance_distance_is_kept(folder, tmp_path, capsys, one_error):
    assert main(arguments(folder, tmp_path, "--steps", "0")) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "report.json").read_text())
    del report["settings"]["covariance_layers"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert main(arguments(folder, tmp_path)) == 2
    assert "of a version that did not measure the covariance distance" in one_error()
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_a_report_of_another_optimizer_is_kept_and_one_that_names_none_is_adams(folder, tmp_path, capsys, one_error):
    adam = arguments(folder, tmp_path, "--steps", "0", "2", "--origins", "random", "--optimizer", "adam")
    assert main(adam) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["settings"].pop("optimizer") == "adam"
    (tmp_path / "report.json").write_text(json.dumps(report))
    capsys.readouterr()
    assert main([*adam[:-1], "muon"]) == 2
    assert "made with another optimizer (adam, now muon)" in one_error()
    assert main(adam) == 0
    assert json.loads((tmp_path / "report.json").read_text())["rows"] == report["rows"]


def test_a_file_that_is_no_report_is_kept(folder, tmp_path, one_error):
    (tmp_path / "report.json").write_text("precious")
    assert main(arguments(folder, tmp_path)) == 2
    assert "choose another --output" in one_error()
    assert (tmp_path / "report.json").read_text() == "precious"
