"""The losses give the answers known on paper, and carry no unit."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.losses import (
    EMD_BALANCE,
    GRID_BALANCE,
    PALETTE_BALANCE,
    SPECTRUM_BALANCE,
    STYLE_BALANCE,
    STYLE_SMOOTHING,
    LossConfig,
    PerceptualLoss,
    gram_matrix,
    grid_energy,
    relative_distance,
    relative_error,
    squared_error,
    stability_distance,
    total_variation,
)
from models.palette import find_palette, palette_distance
from models.transport import PLACES, relaxed_emd, share_places
from models.vgg import VGGFeatures
from tests.perceptual_weights import SHALLOW_CONTENT, SHALLOW_STYLE, write_weights


def published_arrays(*shapes):
    """Draw the arrays of the tutorial that published its expected values; channels come last in it."""
    np.random.seed(1)
    arrays = [np.random.randn(*shape) for shape in shapes]
    return [torch.from_numpy(array).reshape(-1, *array.shape[-3:]).permute(0, 3, 1, 2) for array in arrays]


def test_squared_error_has_the_published_value():
    base, output = published_arrays((10, 10, 3), (10, 10, 3))
    assert squared_error(base, output).item() == pytest.approx(605.62190, abs=1e-3)


def test_gram_matrix_has_the_published_values():
    (features,) = published_arrays((10, 10, 3))
    expected = [
        [99.75722, -9.96186, -1.47405],
        [-9.96186, 86.85433, -4.14111],
        [-1.47405, -4.14111, 82.30107],
    ]
    torch.testing.assert_close(100 * gram_matrix(features.float())[0], torch.tensor(expected), atol=1e-4, rtol=0)


def test_style_distance_has_the_published_value():
    first, second = published_arrays((10, 10, 3), (10, 10, 3))
    raw = [100 * gram_matrix(features.float()) for features in (first, second)]
    assert squared_error(*raw).item() / (2 * 100) ** 2 == pytest.approx(0.0979916, abs=1e-6)


def test_total_variation_has_the_published_value():
    (picture,) = published_arrays((1, 10, 10, 3))
    assert total_variation(picture).item() == pytest.approx(937.05374, abs=1e-2)


def test_checkerboard_has_known_total_variation():
    board = (torch.arange(6)[:, None] + torch.arange(8)) % 2
    assert total_variation(board[None, None].float()).item() == 2 * 5 * 7


def test_flat_picture_has_no_total_variation():
    assert total_variation(torch.full((2, 3, 5, 5), 0.3)).tolist() == [0, 0]


@pytest.mark.parametrize("corner", [(0, 0), (2, 3)])
def test_dot_in_every_cell_has_known_grid_energy(corner):
    picture = torch.zeros(2, 3, 64, 96)
    picture[1, :, corner[0] :: 4, corner[1] :: 4] = 0.8
    # One place of sixteen has the mean 0.8, the others 0: their variance.
    assert grid_energy(picture, 4).tolist() == pytest.approx([0, 0.8**2 * (1 / 16 - 1 / 16**2)], rel=1e-5)


def test_grid_that_changes_its_sign_between_regions_is_seen():
    picture = torch.zeros(1, 1, 32, 64)
    picture[..., ::4, :32:4], picture[..., ::4, 32::4] = 0.5, -0.5
    assert grid_energy(picture, 4).item() == pytest.approx(0.5**2 * 15 / 256)


def test_smooth_picture_and_other_periods_have_next_to_no_grid_energy():
    ramp = torch.linspace(0, 1, 70).expand(1, 3, 33, 70)  # The last row and columns fill no window.
    assert grid_energy(ramp, 4).item() < 1e-3
    stripes = (torch.arange(96) % 3 == 0).float().expand(1, 1, 96, 96)
    assert grid_energy(stripes, 4).item() < 0.02 * grid_energy((torch.arange(96) % 4 == 0).expand(1, 1, 96, 96), 4)


@given(batch=st.integers(1, 2), channels=st.integers(1, 5), height=st.integers(1, 70), width=st.integers(1, 70))
@settings(max_examples=25)
def test_gram_matrix_is_symmetric_and_equals_the_double_precision_one(batch, channels, height, width):
    features = torch.randn(batch, channels, height, width)
    rows = features.double().flatten(2)
    expected = (rows @ rows.transpose(1, 2) / (height * width)).float()
    found = gram_matrix(features)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found, found.transpose(1, 2))


def test_low_precision_gram_matrix_is_float32_and_close():
    features = torch.randn(2, 16, 61, 67).relu()
    found = gram_matrix(features.bfloat16())
    assert found.dtype == torch.float32
    expected = gram_matrix(features)
    assert (found - expected).norm() / expected.norm() < 2e-3


def test_gram_matrix_of_large_activations_stays_finite():
    assert gram_matrix(torch.full((1, 4, 64, 64), 2e4).bfloat16()).isfinite().all()


def test_gram_matrix_has_the_right_gradient():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, 3, dtype=torch.float64)
    (found,) = torch.autograd.grad((gram_matrix(features) * weights).sum(), features)
    rows = features.flatten(2)
    (expected,) = torch.autograd.grad(((rows @ rows.transpose(1, 2) / 20) * weights).sum(), features)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_relative_error_is_zero_for_equality_and_one_for_nothing():
    target = torch.randn(3, 4, 5)
    assert relative_error(target, target).tolist() == [0, 0, 0]
    torch.testing.assert_close(relative_error(torch.zeros(3, 4, 5), target), torch.ones(3))


def test_relative_distance_is_the_root_and_smooth_at_equality():
    target = torch.randn(3, 4, 5)
    values = (1.5 * target).requires_grad_()
    torch.testing.assert_close(relative_distance(values, target), torch.full((3,), 0.5), atol=0.01, rtol=0)
    equal = target.clone().requires_grad_()
    distance = relative_distance(equal, target).sum()
    distance.backward()
    assert distance.abs() < 1e-8
    assert equal.grad.abs().max() == 0


def test_stability_is_the_distance_relative_to_the_pictures_own_contrast():
    expected = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    mean = expected.mean((2, 3), keepdim=True)
    assert stability_distance(expected, expected).tolist() == [0, 0]
    uniform = stability_distance(mean.expand_as(expected), expected, margin=0)
    torch.testing.assert_close(uniform, torch.ones(2), atol=0.01, rtol=0)
    other = expected + 0.1 * torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    paler = [mean + 0.25 * (pictures - mean) for pictures in (other, expected)]
    torch.testing.assert_close(stability_distance(*paler), stability_distance(other, expected))


def test_the_gradient_of_stability_moves_both_pictures_alike_and_no_contrast():
    pictures, expected = (torch.rand(1, 3, 40, 48).requires_grad_() for _ in range(2))
    stability_distance(pictures, expected).sum().backward()
    torch.testing.assert_close(pictures.grad, -expected.grad)
    assert pictures.grad.abs().sum() > 0


def test_stability_does_not_look_at_the_border():
    expected = torch.rand(1, 3, 40, 48)
    pictures = torch.rand(1, 3, 40, 48)
    pictures[..., 6:-6, 6:-6] = expected[..., 6:-6, 6:-6]
    assert stability_distance(pictures, expected, margin=6).item() == 0
    assert stability_distance(pictures, expected, margin=5).item() > 0.1


def build_loss(tmp_path, scale=1.0, style=SHALLOW_STYLE, **weights):
    path = write_weights(tmp_path / f"weights-{scale}.safetensors", scale=scale)
    config = LossConfig(
        SHALLOW_CONTENT, style, **{"grid_weight": 0, "spectrum_weight": 0, "emd_layers": {"relu2_1": 1.0}, **weights}
    )
    loss = PerceptualLoss(VGGFeatures("vgg19", ["relu2_1"], str(path)), config)
    loss.set_style([torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(2))])
    return loss


def compute(loss, pictures, photos):
    return loss(pictures, loss.describe_content(photos))


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_loss_and_gradient_do_not_depend_on_the_scale_of_the_activations(tmp_path, scale):
    generator = torch.Generator().manual_seed(4)
    pictures, photos = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    found = []
    for loss in (build_loss(tmp_path, emd_weight=1), build_loss(tmp_path, scale, emd_weight=1)):
        leaf = pictures.clone().requires_grad_()
        terms = compute(loss, leaf, photos)
        terms.total.backward()
        found.append((torch.stack([term.detach() for term in terms]), leaf.grad))
    (terms, gradient), (scaled_terms, scaled_gradient) = found
    torch.testing.assert_close(terms, scaled_terms, rtol=1e-3, atol=1e-7)
    # In the norm: rounding may push one activation across the ReLU's kink, which changes single values.
    assert (gradient - scaled_gradient).norm() < 0.01 * gradient.norm()


def test_loss_is_the_mean_over_the_batch(tmp_path):
    loss = build_loss(tmp_path)
    pictures, photos = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    whole = compute(loss, pictures, photos).total
    halves = [compute(loss, pictures[part], photos[part]).total for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(whole, torch.stack(halves).mean())


def test_loss_does_not_depend_on_the_size_of_a_repeated_picture(tmp_path):
    # Pictures made of one flat color look the same to every layer at any size, but for the border.
    loss = build_loss(tmp_path, tv_weight=0)
    values = []
    for size in (64, 128):
        color = torch.tensor([0.8, 0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, size, size)
        values.append(compute(loss, color, 1 - color).total)
    torch.testing.assert_close(values[0], values[1], rtol=0.05, atol=0)


def test_number_of_layers_does_not_change_the_strength(tmp_path):
    shares = build_loss(tmp_path, style={"relu1_1": 5.0, "relu2_1": 5.0}).style_layers
    assert shares == {"relu1_1": 0.5, "relu2_1": 0.5}


@pytest.mark.parametrize("weight", ["style_weight", "palette_weight", "emd_weight"])
@pytest.mark.parametrize("norm", ["joint", "layers"])
def test_weights_of_a_half_and_two_are_half_and_twice_as_strong(tmp_path, weight, norm):
    pictures, photos = 0.5 * torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    without = {"style_weight": 0, "palette_weight": 0, "content_weight": 0, "tv_weight": 0, "style_norm": norm}
    half, one, two = (
        compute(build_loss(tmp_path, **{**without, weight: factor}), pictures, photos).total for factor in (0.5, 1, 2)
    )
    torch.testing.assert_close(torch.stack([2 * half, two / 2]), one.expand(2))
    assert one > 0.01


def grams_in_numpy(loss, pictures, layer):
    rows = loss.features(pictures, [layer])[layer].double().flatten(2).numpy()
    return rows @ rows.transpose(0, 2, 1) / rows.shape[2]


@pytest.mark.parametrize("norm", ["joint", "layers"])
def test_style_term_is_what_numpy_computes(tmp_path, norm):
    shares = {"relu1_1": 3.0, "relu2_1": 1.0}
    loss = build_loss(tmp_path, style=shares, style_norm=norm)
    painting, pictures = torch.rand(1, 3, 36, 40), torch.rand(2, 3, 32, 32)
    loss.set_style([painting])
    squares = {}
    for layer, share in shares.items():
        target, found = (grams_in_numpy(loss, values, layer) for values in (painting, pictures))
        squares[layer] = ((found - target) ** 2).sum((1, 2)) / (target**2).sum(), share / 4
    if norm == "joint":
        expected = np.sqrt(sum(share * square for square, share in squares.values()) + 0.01**2) - 0.01
    else:
        # The formula, and with a balance of 2 the value, of the losses before there was a joint distance.
        expected = sum(share * (np.sqrt(square + 0.01**2) - 0.01) for square, share in squares.values())
        assert STYLE_BALANCE["layers"] == 2
    terms = compute(loss, pictures, pictures)
    assert STYLE_SMOOTHING == 0.01
    assert terms.style.item() == pytest.approx(expected.mean(), rel=1e-4)
    without = compute(build_loss(tmp_path, style_weight=0, style_norm=norm), pictures, pictures)
    loss.config = replace(loss.config, palette_weight=0)
    found = compute(loss, pictures, pictures).total - 0.5 * without.total_variation
    assert found.item() == pytest.approx(STYLE_BALANCE[norm] * expected.mean(), rel=1e-3)


def test_joint_distance_has_a_gradient_and_it_is_zero_at_a_match(tmp_path):
    loss = build_loss(tmp_path, content_weight=0, tv_weight=0, palette_weight=0)
    painting = torch.rand(1, 3, 40, 48)
    loss.set_style([painting])
    for picture, matches in ((painting, True), (painting.flip(1), False)):
        leaf = picture.clone().requires_grad_()
        compute(loss, leaf, picture).total.backward()
        assert leaf.grad.isfinite().all()
        assert (leaf.grad.abs().max() < 1e-6) == matches


def test_palette_of_several_paintings_counts_each_with_its_share(tmp_path):
    paintings = [torch.rand(1, 3, 16, 24), 0.5 * torch.rand(1, 3, 16, 24)]
    loss = build_loss(tmp_path)
    loss.set_style(paintings, [3, 1])
    together = find_palette(paintings, [3, 1])
    torch.testing.assert_close(loss.palette_mean, together.mean)
    pictures = torch.rand(2, 3, 32, 32)
    terms = compute(loss, pictures, pictures)
    assert terms.palette.item() == pytest.approx(palette_distance(pictures, together).mean().item(), rel=1e-4)


def test_palette_term_is_part_of_the_loss_and_is_not_computed_at_weight_0(tmp_path):
    pictures, photos = 0.5 * torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    found, without = (compute(build_loss(tmp_path, palette_weight=weight), pictures, photos) for weight in (1, 0))
    torch.testing.assert_close(found.total, without.total + PALETTE_BALANCE * found.palette)
    assert found.palette > 0.1
    assert without.palette == 0


def test_spectrum_term_is_part_of_the_loss_and_is_not_computed_at_weight_0(tmp_path):
    pictures, photos = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    losses = [build_loss(tmp_path, spectrum_weight=weight) for weight in (1, 0)]
    painting = 0.5 + 0.1 * torch.rand(1, 3, 80, 96)
    for loss in losses:
        loss.set_style([painting])
    found, without = (compute(loss, pictures, photos) for loss in losses)
    torch.testing.assert_close(found.total, without.total + SPECTRUM_BALANCE * found.spectrum)
    assert found.spectrum > 0.1
    assert without.spectrum == 0


def test_pictures_are_judged_without_the_terms_of_trainings():
    assert LossConfig(style_weight=2, stability_weight=1).without_training_terms() == LossConfig(
        style_weight=2, grid_weight=0, spectrum_weight=0
    )


def test_emd_term_is_part_of_the_loss_and_is_not_computed_at_weight_0(tmp_path):
    pictures, photos = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    shares = {"relu1_1": 1.0, "relu2_1": 3.0}
    loss, without = (build_loss(tmp_path, emd_weight=weight, emd_layers=shares) for weight in (1, 0))
    found, plain = compute(loss, pictures, photos), compute(without, pictures, photos)
    activations = loss.features(pictures, shares)
    expected = [
        relaxed_emd(activations[layer], places, share_places(places, 0))
        for layer, places in ((layer, loss.get_buffer(f"{layer}_places")) for layer in shares)
    ]
    assert found.emd.item() == pytest.approx((expected[0].item() + 3 * expected[1].item()) / 4, rel=1e-4)
    torch.testing.assert_close(found.total, plain.total + EMD_BALANCE * found.emd)
    assert found.emd > 0.01
    assert plain.emd == 0
    assert not hasattr(without, "relu2_1_places")


def test_rarity_is_that_of_the_emd_term_and_changes_nothing_at_emd_weight_0(tmp_path):
    pictures, photos = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    loss, off = (build_loss(tmp_path, emd_weight=weight, emd_rarity=4) for weight in (1, 0))
    places = loss.relu2_1_places
    expected = relaxed_emd(loss.features(pictures, ["relu2_1"])["relu2_1"], places, share_places(places, 4))
    assert compute(loss, pictures, photos).emd.item() == pytest.approx(expected.item(), rel=1e-4)
    torch.testing.assert_close(
        compute(off, pictures, photos).total, compute(build_loss(tmp_path), pictures, photos).total
    )


def test_each_of_several_paintings_gives_its_share_of_places(tmp_path):
    loss = build_loss(tmp_path, emd_weight=1, emd_layers={"relu1_1": 1.0})
    paintings = [torch.full((1, 3, 64, 80), 0.2), torch.rand(1, 3, 64, 80)]
    loss.set_style(paintings, [3, 1])
    assert loss.relu1_1_places.shape == (PLACES, 64)
    # A flat painting has next to nothing but one place.
    same = (loss.relu1_1_places @ loss.relu1_1_places[PLACES // 2] > 1 - 1e-5).sum().item()
    assert 0.6 * PLACES < same < 0.76 * PLACES


@pytest.mark.parametrize("rarity", [0, 4])
def test_several_paintings_count_by_their_shares_however_rare_what_one_of_them_holds_is_in_the_others(tmp_path, rarity):
    loss = build_loss(tmp_path, emd_weight=1, emd_layers={"relu1_1": 1.0}, emd_rarity=rarity)
    loss.set_style([torch.rand(1, 3, 64, 80), torch.rand(1, 3, 64, 80) ** 4], [9, 1])
    shares = loss.relu1_1_place_shares
    assert len(shares) == len(loss.relu1_1_places)
    first = round(0.9 * PLACES)
    assert shares[:first].sum().item() == pytest.approx(0.9)
    assert shares[first:].sum().item() == pytest.approx(0.1)


def test_the_painting_itself_has_no_style_loss_and_the_photo_no_content_loss(tmp_path):
    loss = build_loss(tmp_path)
    painting = torch.rand(1, 3, 40, 48)
    loss.set_style([painting])
    terms = compute(loss, painting, painting)
    assert terms.content == 0
    assert terms.style < 1e-6


def test_content_is_described_without_gradient_and_no_deeper_than_needed(tmp_path):
    loss = build_loss(tmp_path)
    described = loss.describe_content(torch.rand(1, 3, 32, 32, requires_grad=True))
    assert set(described.activations) == {"relu2_1"}
    assert not described.activations["relu2_1"].requires_grad


def test_grid_term_is_part_of_the_loss_and_is_not_computed_at_weight_0(tmp_path):
    pictures, photos = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    with_grid, without = (compute(build_loss(tmp_path, grid_weight=weight), pictures, photos) for weight in (1, 0))
    assert with_grid.grid == grid_energy(pictures, 4).mean()
    torch.testing.assert_close(with_grid.total, without.total + GRID_BALANCE * with_grid.grid)
    assert without.grid == 0
    small = torch.rand(1, 3, 16, 16)
    assert compute(build_loss(tmp_path, grid_weight=0), small, small).total.isfinite()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"style_weight": -1.0}, "style_weight is -1"),
        ({"content_weight": float("nan")}, "content_weight is nan"),
        ({"grid_weight": float("inf")}, "grid_weight is inf"),
        ({"style_layers": {}}, "style_layers names no layer"),
        ({"content_layers": {"relu1_1": -1.0}}, "content_layers holds the share -1"),
        ({"grid_cell": 1}, "grid_cell is 1"),
        ({"palette_weight": -0.5}, "palette_weight is -0.5"),
        ({"stability_weight": -2.0}, "stability_weight is -2"),
        ({"emd_weight": -2.0}, "emd_weight is -2"),
        ({"emd_rarity": -1.0}, "emd_rarity is -1"),
        ({"content_focus": math.inf}, "content_focus is inf"),
        ({"emd_weight": 1.0, "emd_layers": {}}, "emd_layers names no layer"),
        ({"spectrum_weight": -1.0}, "spectrum_weight is -1"),
        ({"style_norm": "squares"}, "style_norm is 'squares'"),
    ],
)
def test_senseless_weights_are_refused_by_name(wrong, named):
    with pytest.raises(ValueError, match=f"^{named}"):
        LossConfig(**wrong)


def test_layers_are_those_of_the_terms_that_count():
    config = LossConfig({"relu3_3": 1.0}, {"relu1_1": 1.0, "relu3_3": 1.0})
    assert config.layers == ["relu3_3", "relu1_1"]
    assert replace(config, style_weight=0).layers == ["relu3_3"]
    assert replace(config, emd_weight=1, emd_layers={"relu1_1": 1, "relu5_1": 1}).layers == [
        "relu3_3",
        "relu1_1",
        "relu5_1",
    ]
