"""Tiles show no seam: they give what one window gives with the same statistics, at every size and architecture."""

import itertools
import re

import numpy as np
import onnx
import PIL.Image
import pytest

from export.errors import ModelError
from export.graph.convert import draw_pictures
from export.runtime import tiles
from export.runtime.session import SessionRunner
from export.runtime.stylizer import MemoryBudgetError, Stylizer
from export.runtime.tile_graph import TileGraphError, rewrite_for_tiles
from export.runtime.tiles import TilePainter, TilePlan, reach
from export.stylize import command as stylize
from export.stylize.command import main
from models.network import NetworkConfig
from tests.export.small_export import draw, export_style, make_network, write_foreign


def export(folder, config):
    """Export a network whose norms have random weights, so that every channel has statistics of its own."""
    return export_style(folder / "wave.onnx", make_network(config, spread=0.25))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("run"), NetworkConfig(4, 1))


def painter(model):
    stylizer = Stylizer(model, threads=1)
    return TilePainter(SessionRunner(model, threads=1), model.read_bytes(), stylizer.card.network)


def difference(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


ARCHITECTURES = [
    NetworkConfig(4, blocks, padding, upsampling)
    for padding, (blocks, upsampling) in itertools.product(
        ("reflect", "replicate", "zero"), ((0, "nearest"), (2, "nearest"), (1, "pixel_shuffle"))
    )
]


@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda config: "-".join(map(str, config.to_dict().values())))
def test_tiles_give_the_one_window_picture_where_the_statistics_are_the_same(tmp_path, config):
    paint = painter(export(tmp_path, config))
    for height, width in ((150, 203), (65, 130)):
        picture = draw(height, width)
        whole = paint(picture, TilePlan(height, width, 224, reach(config.to_dict())))
        tiled = paint(picture, TilePlan(height, width, 64, reach(config.to_dict())))
        assert difference(whole, tiled) <= 1
        assert np.std(whole) > 5


def test_a_narrower_halo_leaves_seams(model):
    paint, picture = painter(model), draw(150, 203)
    halo = reach(NetworkConfig(4, 1).to_dict())
    tiled = [paint(picture, TilePlan(150, 203, 64, pixels)) for pixels in (0, 8, halo)]
    whole = paint(picture, TilePlan(150, 203, 224, halo))
    assert difference(tiled[0], whole) > 20
    assert difference(tiled[1], whole) > 1 >= difference(tiled[2], whole)


@pytest.mark.parametrize(
    ("blocks", "upsampling", "expected"),
    [(5, "nearest", 56), (5, "pixel_shuffle", 60), (0, "nearest", 16), (1, "nearest", 24)],
)
def test_reach_is_what_the_network_depends_on(blocks, upsampling, expected):
    assert reach({"residual_blocks": blocks, "upsampling": upsampling}) == expected


@pytest.mark.parametrize(("blocks", "upsampling"), [(0, "nearest"), (1, "nearest"), (1, "pixel_shuffle")])
def test_reach_bounds_where_a_changed_pixel_is_seen(tmp_path, blocks, upsampling):
    config = NetworkConfig(4, blocks, upsampling=upsampling)
    paint, halo = painter(export(tmp_path, config)), reach(config.to_dict())
    picture = np.full((160, 16, 3), 99, np.uint8)
    changed = picture.copy()
    changed[80 - halo - 1] = 255
    changed[84 + halo :] = 255
    plan = TilePlan(160, 16, 160, halo)
    session = paint._runner.open(paint._graphs.tiles)
    statistics = paint.measure(draw(160, 16), plan)
    before, after = (
        paint._runner.run(session, ["stylized"], {**paint._feed(one, [(slice(0, 160), slice(0, 16))]), **statistics})
        for one in (picture, changed)
    )
    np.testing.assert_allclose(before[0][..., 80:84, :], after[0][..., 80:84, :], atol=1e-3)
    assert np.abs(before[0] - after[0])[..., 72 - halo : 92 + halo, :].max() > 1


def test_small_picture_in_tiles_is_the_one_pass_picture(model):
    for height, width in ((131, 150), (70, 301)):
        picture = draw(height, width)
        tiled = Stylizer(model, threads=1, tile=64)(picture)
        assert difference(tiled, Stylizer(model, threads=1)(picture)) <= 1


@pytest.mark.parametrize("size", [(300, 520), (517, 70)])
def test_noise_of_a_tile_is_that_of_its_place_in_the_picture(tmp_path, size):
    loud = export(tmp_path, NetworkConfig(4, 1, noise=40))
    picture = np.full((*size, 3), 120, np.uint8)
    whole = Stylizer(loud, threads=1)(picture)
    assert np.std(whole) > 5
    assert difference(Stylizer(loud, threads=1, tile=64)(picture), whole) <= 1


def test_windows_are_measured_with_the_noise_of_their_places(tmp_path):
    paint = painter(export(tmp_path, NetworkConfig(4, 1, noise=40)))
    plan = TilePlan(300, 520, 128, 24, window_area=6 * 128 * 128)
    feeds = paint._feed(np.zeros((300, 520, 3), np.uint8), plan.windows())
    everywhere = np.tile(paint._graphs.noise, (2, 3))
    assert len(feeds["noise"]) == len(plan.windows()) > 3
    for noise, window in zip(feeds["noise"], plan.windows(), strict=True):
        assert np.array_equal(noise[0], everywhere[window])


def test_network_without_noise_is_cut_as_ever(tmp_path):
    still = export(tmp_path, NetworkConfig(4, 1, noise=0))
    assert rewrite_for_tiles(still.read_bytes()).noise is None
    picture = draw(131, 150)
    assert difference(Stylizer(still, threads=1, tile=64)(picture), Stylizer(still, threads=1)(picture)) <= 1


@pytest.mark.parametrize("size", [(3, 100), (100, 7)])
def test_narrow_picture_is_cut_like_any_other(model, size):
    picture = draw(128, 128)[: size[0], : size[1]]
    tiled = Stylizer(model, threads=1, tile=64)(picture)
    assert tiled.shape == picture.shape
    assert difference(tiled, Stylizer(model, threads=1)(picture)) <= 1


def test_picture_of_one_tile_is_not_cut(model):
    told = []
    Stylizer(model, threads=1, tile=64)(draw(64, 50), lambda *report: told.append(report))
    assert told == []


def test_plan_covers_every_pixel_once_and_its_windows_lie_inside():
    for height, width, side in ((1000, 3001, 256), (17, 5000, 64), (2049, 2047, 512)):
        plan = TilePlan(height, width, side, 56)
        seen = np.zeros((height, width), np.uint8)
        cores = list(plan.cores())
        for core in cores:
            seen[core] += 1
            for inner, outer, end in zip(core, plan.surround(core), (height, width), strict=True):
                assert outer.start == max(0, inner.start - 56)
                assert outer.stop == min(end, inner.stop + 56)
                assert outer.start % 4 == 0
                assert outer.stop == end or outer.stop % 4 == 0
        assert (seen == 1).all()
        assert len(cores) == plan.count
        windows = plan.windows()
        assert len({(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in windows}) == 1
        assert all(
            0 <= s.start < s.stop <= e for window in windows for s, e in zip(window, (height, width), strict=True)
        )
        area = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in windows)
        assert plan.window_area / 2 <= area <= plan.window_area or (height, width) == (17, 5000)


def test_statistics_are_those_of_numpy(model):
    paint = painter(model)
    pictures = draw_pictures(3, 40, 52)
    graphs = paint._graphs
    session = paint._runner.open(graphs.statistics)
    feeds = {"image": pictures, "noise": np.tile(graphs.noise[:40, :52], (3, 1, 1, 1))}
    measured = dict(zip(graphs.names, paint._runner.run(session, graphs.names, feeds), strict=True))
    # The first norm's input, from the model itself.
    edited = onnx.load(model)
    norm = next(node for node in edited.graph.node if node.op_type == "InstanceNormalization")
    edited.graph.output.append(onnx.helper.make_empty_tensor_value_info(norm.input[0]))
    del edited.metadata_props[:]
    (features,) = paint._runner.run(
        paint._runner.open(edited.SerializeToString()), [norm.input[0]], {"image": pictures}
    )
    mean, variance = (measured[name] for name in graphs.names[:2])
    np.testing.assert_allclose(mean, features.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, features.var((0, 2, 3)), rtol=1e-4)


def test_windows_come_close_to_the_statistics_of_the_whole_picture(model):
    paint, picture = painter(model), np.tile(draw(256, 256), (2, 3, 1))
    some = paint.measure(picture, TilePlan(512, 768, 128, 24, window_area=4 * 256 * 256))
    whole = paint.measure(picture, TilePlan(512, 768, 128, 24))
    for name in whole:
        scale = np.sqrt(whole[name.replace(".mean", ".variance")]) if "mean" in name else whole[name]
        assert np.abs(some[name] - whole[name]).max() < 0.3 * scale.max()


def test_rewritten_models_are_sound_onnx(model):
    for content in (rewrite_for_tiles(model.read_bytes()).statistics, rewrite_for_tiles(model.read_bytes()).tiles):
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)


@pytest.mark.parametrize("content", [b"", b"Dear sir or madam,\n" * 9, b"\x0a\xff", b"\x08"])
def test_bytes_that_are_no_model_are_refused(content):
    with pytest.raises(TileGraphError):
        rewrite_for_tiles(content)


def test_norms_in_float16_are_refused(model):
    edited = onnx.load(model)
    scale = next(node for node in edited.graph.node if node.op_type == "InstanceNormalization").input[1]
    tensor = next(tensor for tensor in edited.graph.initializer if tensor.name == scale)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), scale))
    with pytest.raises(TileGraphError, match="another type than float32"):
        rewrite_for_tiles(edited.SerializeToString())


def test_file_that_cannot_be_cut_is_refused_as_ever(tmp_path):
    path = write_foreign(tmp_path / "foreign.onnx")
    with pytest.raises(MemoryBudgetError, match="--max-size"):
        Stylizer(path, memory_limit=10_000_000)(draw(400, 400))
    with pytest.raises(ModelError, match=r"cannot be cut into tiles .* leave out --tile"):
        Stylizer(path, tile=64)(draw(100, 100))


@pytest.fixture
def few_windows(monkeypatch):
    """Measure statistics on little, so that small pictures stand for large ones."""
    monkeypatch.setattr(tiles, "WINDOW_SIDE", 64)
    monkeypatch.setattr(tiles, "WINDOW_AREAS", (2 * 64 * 64,))


def test_memory_decides_whether_and_how_finely_a_picture_is_cut(model, few_windows):
    picture = draw(330, 500)
    needed = Stylizer(model).estimate_memory(*picture.shape[:2])
    sides = {}
    for share in (1, 0.95, 0.3):
        plans = []
        stylizer = Stylizer(model, threads=1, memory_limit=int(needed * share))
        stylizer(picture, lambda plan, done, plans=plans: plans.append((plan, done)))
        sides[share] = {plan.side for plan, _ in plans}
        assert all(plan.memory(stylizer._bytes_per_pixel) <= needed * share for plan, _ in plans)
        assert [done for _, done in plans] == list(range(plans[0][0].count + 1) if plans else [])
    assert sides[1] == set()
    assert len(sides[0.95]) == len(sides[0.3]) == 1
    assert max(sides[0.95]) > max(sides[0.3])


def test_command_cuts_by_itself_and_says_so_in_one_line(model, tmp_path, few_windows, capsys):
    PIL.Image.fromarray(draw(330, 500)).save(tmp_path / "photo.png")
    output, megabytes = tmp_path / "out.png", Stylizer(model).estimate_memory(330, 500) / 1e6 / 2
    arguments = [str(model), str(tmp_path / "photo.png"), "--output", str(output), "--threads", "1"]
    assert main([*arguments, "--memory", f"{megabytes:.1f}MB"]) == 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "photo.png' does not fit into memory in one piece, so it is painted at 500 x 330 pixels in" in error
    assert re.search(r"in \d+ tiles of (128|256) pixels", error)
    with PIL.Image.open(output) as written:
        assert written.size == (500, 330)


def test_ctrl_c_between_tiles_writes_nothing(model, photo, capsys, monkeypatch):
    def interrupt(_bar, _plan, done):
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(stylize._TileBar, "show", interrupt)
    before = sorted(photo.parent.iterdir())
    assert main([str(model), str(photo), "--output", str(photo.with_name("out.png")), "--tile", "64"]) == 130
    assert capsys.readouterr().err.startswith("stopped: 0 pictures")
    assert sorted(photo.parent.iterdir()) == before


def test_too_little_memory_for_the_smallest_tile_is_refused(model):
    with pytest.raises(MemoryBudgetError, match=r"needs about .* may take"):
        Stylizer(model, memory_limit=1_000_000)(draw(400, 400))
    with pytest.raises(MemoryBudgetError, match="smaller --tile"):
        Stylizer(model, memory_limit=1_000_000, tile=256)(draw(400, 400))


@pytest.mark.parametrize("tile", [0, 32, 66])
def test_tile_that_is_no_multiple_of_4_from_64_up_is_refused(model, tile):
    with pytest.raises(ValueError, match="multiple of 4 from 64 up"):
        Stylizer(model, tile=tile)


@pytest.fixture
def photo(tmp_path):
    PIL.Image.fromarray(draw(140, 203)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_command_paints_in_tiles_when_told(model, photo, capsys):
    output = photo.with_name("out.png")
    assert main([str(model), str(photo), "--output", str(output), "--tile", "64", "--threads", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "203 x 140" in captured.out
    expected = Stylizer(model, threads=1, tile=64)(draw(140, 203))
    with PIL.Image.open(output) as written:
        np.testing.assert_array_equal(np.asarray(written), expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tile", "66"], "multiple of 4"),
        (["--tile", "many"], "multiple of 4"),
        (["--memory", "much"], "900MB"),
        (["--memory", "0GB"], "900MB"),
    ],
)
def test_numbers_out_of_range_are_refused(model, photo, options, sentence, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(model), str(photo), *options])
    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err
