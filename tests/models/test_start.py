"""The shared start predicts a painting's norms, becomes a plain style network, and survives its file."""

import pytest
import torch

from models import start as module
from models.errors import ModelFileError
from models.network import NetworkConfig
from models.start import (
    STATISTICS_LAYERS,
    StartCard,
    StartNetwork,
    count_statistics,
    describe_painting,
    is_start_file,
    load_start,
    read_start_config,
    save_start,
)
from models.style_file import StyleCard, save_style
from models.vgg import VGGFeatures

SMALL = NetworkConfig(width=4, residual_blocks=1)
STATISTICS = 6


@pytest.fixture
def start():
    torch.manual_seed(0)
    start = StartNetwork(STATISTICS, SMALL)
    torch.nn.init.normal_(start.predictor.output.weight, std=0.3)
    start.predictor.standardize(torch.randn(5, STATISTICS))
    return start


def test_a_description_holds_deviation_and_mean_of_every_channel():
    features = VGGFeatures("vgg_small", STATISTICS_LAYERS)
    painting = torch.rand(1, 3, 64, 80)
    description = describe_painting(features, painting)
    first = features(painting, ["relu1_1"])["relu1_1"][0].flatten(1)
    assert description.shape == (2 * (16 + 48 + 96 + 112 + 80),) == (count_statistics(),)
    torch.testing.assert_close(description[:16], first.std(1))
    torch.testing.assert_close(description[16:32], first.mean(1))


def test_all_paintings_have_the_shared_norms_before_the_training():
    start = StartNetwork(STATISTICS, SMALL)
    for name, value in start.predict_norms(torch.randn(3, STATISTICS)).items():
        assert torch.equal(value, start.network.get_parameter(name).expand(3, -1)), name


def test_the_norms_of_a_batch_are_those_of_each_painting(start):
    descriptions = torch.randn(3, STATISTICS)
    together = start.predict_norms(descriptions)
    assert set(together) == {f"{name}.{part}" for name in start.norms for part in ("weight", "bias")}
    for index in range(3):
        for name, value in start.predict_norms(descriptions[index : index + 1]).items():
            torch.testing.assert_close(together[name][index : index + 1], value)


def test_each_picture_of_a_batch_has_the_style_of_its_own_painting(start):
    photos, descriptions = torch.rand(2, 3, 20, 24), torch.randn(2, STATISTICS)
    together = start(photos, descriptions)
    for index in range(2):
        alone = start(photos[index : index + 1], descriptions[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-4, atol=1e-5)
    assert (start(photos[:1], descriptions[:1]) - start(photos[:1], descriptions[1:])).abs().max() > 0.01


def test_the_network_of_one_style_paints_exactly_the_picture_of_the_shared_one(start):
    photos, description = torch.rand(2, 3, 20, 24), torch.randn(STATISTICS)
    assert torch.equal(start.make_style([description])(photos), start(photos, description[None]))


def test_several_paintings_of_one_style_count_as_their_mean(start):
    photos, (one, other) = torch.rand(1, 3, 20, 24), torch.randn(2, STATISTICS)
    assert torch.equal(start.make_style([one, other])(photos), start.make_style([(one + other) / 2])(photos))


def test_gradients_reach_kernels_norms_and_predictor(start):
    start(torch.rand(2, 3, 20, 24), torch.randn(2, STATISTICS)).square().mean().backward()
    without = {name for name, parameter in start.named_parameters() if parameter.grad is None}
    assert without == set()


def test_a_statistic_far_from_all_others_counts_as_one_at_the_border(start):
    far = start.predictor.mean + 50 * start.predictor.std
    near = start.predictor.mean + module.MOST_DEVIATIONS * start.predictor.std
    torch.testing.assert_close(start.predictor(far[None]), start.predictor(near[None]))


def test_one_description_cannot_be_standardized(start):
    with pytest.raises(ValueError, match="at least 2"):
        start.predictor.standardize(torch.randn(1, STATISTICS))


def test_a_file_gives_back_network_and_card(start, tmp_path):
    start.predictor.std[0] = 1e-6
    card = StartCard("CC0", "vgg19", "a: 1\n", "0.2", 7, ("one", "two"), ("three",), 0.5)
    path = tmp_path / "start.safetensors"
    save_start(path, start, card)
    loaded, told = load_start(path)
    assert told == card
    assert loaded.network.config == SMALL == read_start_config(path)
    assert is_start_file(path)
    assert [file.name for file in tmp_path.iterdir()] == ["start.safetensors"]
    for name, value in start.state_dict().items():
        torch.testing.assert_close(
            loaded.state_dict()[name], value, rtol=1e-3, atol=0.005 * float(value.abs().max()), msg=name
        )
    assert torch.equal(loaded.predictor.std, start.predictor.std)
    photos, descriptions = torch.rand(2, 3, 20, 24), torch.randn(2, STATISTICS)
    assert (loaded(photos, descriptions) - start(photos, descriptions)).abs().max() < 0.05


def test_a_full_width_file_has_less_than_three_megabytes(tmp_path):
    save_start(tmp_path / "start.safetensors", StartNetwork(count_statistics()), StartCard())
    assert (tmp_path / "start.safetensors").stat().st_size < 3e6


@pytest.mark.parametrize("kind", ["absent", "empty", "torn", "text", "style", "other weights"])
def test_what_is_not_a_start_file_is_refused_with_one_sentence(start, tmp_path, kind):
    path = tmp_path / "start.safetensors"
    if kind == "style":
        save_style(path, start.network, StyleCard("wave"))
    elif kind == "other weights":
        start.norms, start.network.conv1.weight = {}, torch.nn.Parameter(torch.zeros(5, 3, 9, 9))
        save_start(path, start, StartCard())
    elif kind != "absent":
        save_start(path, start, StartCard())
        content = path.read_bytes()
        path.write_bytes({"empty": b"", "torn": content[:-100], "text": b"no weights at all"}[kind])
    with pytest.raises(ModelFileError) as caught:
        load_start(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert is_start_file(path) == (kind == "other weights")
