"""On a network with known filters the command finds what is known, and it refuses what cannot work in one sentence."""

import argparse
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.images import decode
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, save_style
from tests.pictures import NAMES_OF_BYTES, flat, noise, write
from tests.train import small_run
from train.features.command import main
from train.features.network import open_perceptual
from train.features.run import PhotoReader, cut_out, illustrate, open_networks, watch
from train.fit.command import main as fit

EDGE, BAR, RED = 0, 1, 2
"""Channels of the known network: dark left of bright, a bright row between dark ones, a red pixel; 61 more are dead."""

GRAY = 128


def known_state():
    """Return weights of VGG-19 as far as relu1_1 of which three filters are known and 61 never exceed 0."""
    kernels, bias = torch.zeros(64, 3, 3, 3), torch.full((64,), -1.0)
    kernels[EDGE, :, :, 0], kernels[EDGE, :, :, 2] = -1, 1
    kernels[BAR, :, 0], kernels[BAR, :, 1], kernels[BAR, :, 2] = -1, 2, -1
    kernels[RED, 0, 1, 1], kernels[RED, 1, 1, 1], kernels[RED, 2, 1, 1] = 2, -1, -1
    bias[:3] = 0
    return {"features.0.weight": kernels, "features.0.bias": bias}


def write_known(folder):
    """Write twelve photos of each of three kinds, of a contrast that grows with the number in its name."""
    for number in range(12):
        step = 4 * number + 40
        edge, bar, red = (flat((GRAY, GRAY, GRAY), 40, 36) for _ in range(3))
        edge[:, 20 + number % 3 :] += step
        bar[10 + number % 3] += step
        red[14, 9 + number % 3] = (GRAY + step, GRAY, GRAY)
        for name, photo in (("edge", edge), ("bar", bar), ("red", red)):
            write(folder / f"{name}-{number:02}.png", photo)


@pytest.fixture
def known(tmp_path):
    write_known(tmp_path / "photos")
    save_file(known_state(), tmp_path / "vgg.safetensors")
    return tmp_path


def flags(folder, *more):
    weights = [] if "--model" in more else ["--perceptual-weights", str(folder / "vgg.safetensors")]
    return ["--photos", str(folder / "photos"), "--output", str(folder / "seen"), *weights, *more]


def test_the_photos_that_a_known_filter_answers_to_are_found_and_cut_out_where_it_does(known):
    network = open_perceptual("vgg19", ["relu1_1"], str(known / "vgg.safetensors"), torch.device("cpu"))
    reader = PhotoReader(sorted((known / "photos").iterdir()), 224, 16)
    (found,), stopped = watch([network], ["relu1_1"], reader)
    assert not stopped
    assert found["relu1_1"].dead == list(range(3, 64))
    assert sorted(found["relu1_1"].rank_channels(8)) == [EDGE, BAR, RED]
    shown = illustrate(network, found, {"relu1_1": [EDGE, BAR, RED]}, reader, "")["relu1_1"]
    for channel, kind in zip(shown, ("edge", "bar", "red"), strict=True):
        assert [example.photo for example in channel.examples] == [f"{kind}-{n:02}.png" for n in range(11, 2, -1)]
    edge, bar, red = ([example.cut[14::28, 14::28] for example in channel.examples] for channel in shown)
    for rank, number in enumerate(range(11, 2, -1)):
        bright = GRAY + 4 * number + 40
        # The filter is symmetric about the edge: the column before it is as good as the one behind it.
        assert np.array_equal(edge[rank][0, :, 0], [GRAY, GRAY, bright])
        assert np.array_equal(bar[rank][:, 0, 0], [GRAY, bright, GRAY])
        assert np.array_equal(red[rank][1, 1], [bright, GRAY, GRAY])


def test_projections_are_the_known_filters(known):
    network = open_perceptual("vgg19", ["relu1_1"], str(known / "vgg.safetensors"), torch.device("cpu"))
    reader = PhotoReader(sorted((known / "photos").iterdir()), 224, 16)
    (found,), _ = watch([network], ["relu1_1"], reader)
    for channel in illustrate(network, found, {"relu1_1": [EDGE, BAR, RED]}, reader, "")["relu1_1"]:
        for example in channel.examples:
            shown = example.projection[14::28, 14::28].astype(float) - 127.5
            kernel = known_state()["features.0.weight"][channel.number].permute(1, 2, 0).numpy()
            for color in range(3):
                # The network's standard deviations scale each color's filter.
                cosine = (shown[..., color] * kernel[..., color]).sum()
                cosine /= np.linalg.norm(shown[..., color]) * np.linalg.norm(kernel[..., color])
                assert cosine > 0.99


def test_the_report_and_a_sheet_for_each_layer_are_written(known, capsys):
    assert main(flags(known, "--layers", "relu1_1")) == 0
    assert sorted(path.name for path in (known / "seen").iterdir()) == ["relu1_1.png", "report.html"]
    page = (known / "seen" / "report.html").read_text()
    assert "36 photos" in page
    assert "61, 95.3 %" in page
    assert "3 &times; 3" in page
    assert sorted(re.findall(r"Channel (\d+): ", page)) == [str(EDGE), str(BAR), str(RED)]
    assert 'src="http' not in page
    assert decode(known / "seen" / "relu1_1.png").width > 500
    assert "report.html" in capsys.readouterr().out


def test_named_channels_are_shown_dead_ones_too(known):
    assert main(flags(known, "--layers", "relu1_1", "--channels", "2", "40")) == 0
    page = (known / "seen" / "report.html").read_text()
    assert re.findall(r"Channel (\d+): ", page) == ["2", "40"]
    assert "Channel 40: no photo excites it." in page


def test_a_photo_that_cannot_be_used_is_passed_over_and_told(known, capsys):
    (known / "photos" / "broken.png").write_text("no picture")
    write(known / "photos" / "tiny.png", noise(15, 40))
    assert main(flags(known, "--layers", "relu1_1")) == 0
    assert "2 photos cannot be used, the first because picture" in capsys.readouterr().err
    assert "36 photos" in (known / "seen" / "report.html").read_text()


@NAMES_OF_BYTES
def test_a_photo_whose_name_is_no_utf8_is_named_on_the_page(known):
    (known / "photos" / "edge-00.png").rename(known / "photos" / "edge-00\udce9.png")
    assert main(flags(known, "--layers", "relu1_1", "--count", "3")) == 0
    assert "edge-00\\udce9.png" in (known / "seen" / "report.html").read_text()


def test_count_spreads_over_the_folder(known):
    assert main(flags(known, "--layers", "relu1_1", "--count", "3")) == 0
    page = (known / "seen" / "report.html").read_text()
    assert "3 photos" in page
    assert all(f"{kind}-00.png" in page for kind in ("bar", "edge", "red"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--layers", "relu9_1"], "--layers names 'relu9_1'; choose among relu1_1,"),
        (["--layers", "conv1_1"], "--layers names 'conv1_1'"),
        (["--layers", "relu1_1", "--channels", "64"], "--channels names 64, and relu1_1 has 64 channels, 0 to 63"),
        (["--layers", "relu1_2"], "--perceptual-weights: "),
        (["--photos", "nowhere"], "photo folder 'nowhere' does not exist"),
        (["--model", "nowhere.safetensors"], "style file 'nowhere.safetensors' does not exist"),
        (["--model", "nowhere.ckpt"], "checkpoint 'nowhere.ckpt' does not exist"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(known, one_error, more, said):
    assert main(flags(known, *more)) == 2
    assert said in one_error()
    assert not (known / "seen").exists()


@pytest.mark.parametrize(
    "more",
    [
        ["--model", "a", "b", "c"],
        ["--model", "a", "--perceptual", "vgg16"],
        ["--size", "8"],
        ["--perceptual-weights", "w.safetensors", "--model", "a"],
        ["--strongest", "3", "--channels", "0"],
    ],
)
def test_flags_that_do_not_fit_are_refused(known, one_error, more):
    with pytest.raises(SystemExit):
        main(flags(known, *more))
    assert more[0] in one_error()


def test_an_earlier_report_is_not_overwritten_and_a_photo_never_is(known, one_error):
    (known / "seen").mkdir()
    (known / "seen" / "report.html").write_text("mine")
    assert main(flags(known, "--layers", "relu1_1")) == 2
    assert "--overwrite" in one_error()
    write(known / "seen" / "relu1_1.png", noise(40, 40))
    assert main(flags(known, "--layers", "relu1_1", "--overwrite", "--photos", str(known / "seen"))) == 2
    assert "is also an input" in one_error()
    assert (known / "seen" / "report.html").read_text() == "mine"


def test_ctrl_c_leaves_a_report_of_the_photos_so_far(known, capsys, monkeypatch):
    read, numbers = PhotoReader.read, []

    def interrupt(reader, number):
        numbers.append(number)
        if numbers == list(range(6)):
            raise KeyboardInterrupt
        return read(reader, number)

    monkeypatch.setattr(PhotoReader, "read", interrupt)
    assert main(flags(known, "--layers", "relu1_1")) == 130
    assert "the report is of the photos so far" in capsys.readouterr().err
    assert "5 photos of the folder photos" in (known / "seen" / "report.html").read_text()


def test_ctrl_c_before_the_first_photo_writes_nothing(known, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(PhotoReader, "read", interrupt)
    assert main(flags(known, "--layers", "relu1_1")) == 130
    assert capsys.readouterr().err.endswith("stopped; no report was written\n")
    assert list((known / "seen").iterdir()) == []


def save_known_style(path, dead, width=4, card="known"):
    """Write a style network whose relu1 has one channel, of red pixels, and three of which some never exceed 0."""
    torch.manual_seed(2)
    network = StyleNetwork(NetworkConfig(width=width, residual_blocks=1, noise=0))
    with torch.no_grad():
        network.conv1.weight[0] = 0
        network.conv1.weight[0, :, 4, 4] = torch.tensor([2.0, -1.0, -1.0])
        network.norm1.weight[1:dead] = 0
        network.norm1.bias[1:dead] = -1
    path.parent.mkdir(exist_ok=True)
    save_style(path, network, StyleCard(card))
    return path


def test_two_style_networks_stand_side_by_side(known):
    files = [
        str(save_known_style(known / name, dead)) for name, dead in (("early.safetensors", 4), ("late.safetensors", 3))
    ]
    assert main(flags(known, "--model", *files, "--layers", "relu1", "residual1", "--channels", "0")) == 0
    page = (known / "seen" / "report.html").read_text()
    assert "What the layers of early and late see" in page
    assert "3, 75.0 %" in page
    assert "2, 50.0 %" in page
    # The channel of relu1 is the same in both, so are its nine photos.
    assert page.count('alt="what excites channel 0 of relu1"') == 2
    assert page.count("in red-11.png") >= 2
    assert {path.name for path in (known / "seen").iterdir()} == {"relu1.png", "residual1.png", "report.html"}


@pytest.mark.parametrize(
    ("cards", "names"), [(("wave", "wave_nano"), ("wave", "wave_nano")), (("wave", "wave"), ("first", "second"))]
)
def test_files_of_two_runs_go_by_their_styles_or_by_their_folders(tmp_path, cards, names):
    files = [tmp_path / run / "style.safetensors" for run in ("first", "second")]
    for file, card in zip(files, cards, strict=True):
        save_known_style(file, 4, card=card)
    found = open_networks(argparse.Namespace(model=files), ["relu1"])
    assert tuple(network.name for network in found) == names


def test_two_style_networks_of_different_width_are_refused_before_the_work(known, one_error):
    widths = {"one": 4, "two": 8}
    files = [str(save_known_style(known / f"{name}.safetensors", 4, width)) for name, width in widths.items()]
    assert main(flags(known, "--model", *files, "--layers", "relu1")) == 2
    assert "relu1 has 4 channels in 'one' and 8 in 'two'; name two networks of one width" in one_error()
    assert not (known / "seen").exists()


@pytest.mark.slow
def test_a_checkpoint_of_a_training_is_opened(tmp_path):
    assert fit(small_run.arguments(tmp_path, steps=1)) == 0
    run = tmp_path / "runs" / "small"
    files = [str(run / "last.ckpt"), str(run / "style.safetensors")]
    shown = ["--photos", str(tmp_path / "photos"), "--size", "64", "--count", "2", "--strongest", "1"]
    assert main([*shown, "--model", *files, "--output", str(tmp_path / "seen")]) == 0
    assert "What the layers of last and small see" in (tmp_path / "seen" / "report.html").read_text()


def test_a_field_at_the_border_is_filled_with_gray():
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    cut = cut_out(picture, ((-1, 1), (3, 6)))
    assert cut.shape == (3, 4, 3)
    assert (cut[0] == 128).all()
    assert (cut[:, 2:] == 128).all()
    assert np.array_equal(cut[1:, :2], picture[:2, 3:])
