"""The command repaints any photo as the runtime does: upright, in its size, with its transparency, without torch."""

import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from data.images import ImageError, round_to_bytes
from export.graph.targets import choose_form
from export.runtime.stylizer import Stylizer
from export.styles import find_style
from export.stylize.command import main, stylize_photo
from export.stylize.jobs import Job
from models.network import NetworkConfig
from tests import ROOT
from tests.export.small_export import add_strength, draw, export_style, make_network
from tests.export.stylize.stylize_command import read, run, save_photo


def test_command_runs_without_torch(model, tmp_path):
    save_photo(tmp_path / "photo.jpg")
    (tmp_path / "none").mkdir()
    for name in ("torch", "onnx", "torchvision", "safetensors"):
        (tmp_path / "none" / f"{name}.py").write_text("raise ImportError('not here')")
    arguments = [str(model), str(tmp_path / "photo.jpg"), "--output", str(tmp_path / "out.jpg")]
    command = [sys.executable, "-m", "export.stylize", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(tmp_path / "none")}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert read(tmp_path / "out.jpg").size == (33, 24)


def test_png_holds_exactly_the_stylizers_picture(model, folder):
    photo = save_photo(folder / "photo.png")
    assert run(model, photo, "--output", "out.png") == 0
    np.testing.assert_array_equal(np.asarray(read(folder / "out.png")), Stylizer(model, threads=1)(draw()))


def test_values_are_rounded_not_truncated(folder):
    def almost(picture, *_, **__):
        return round_to_bytes(picture.astype(np.float32) + np.float32(0.6))

    photo = save_photo(folder / "photo.png")
    stylize_photo(almost, Job(photo, folder / "out.png"))
    expected = np.minimum(draw().astype(int) + 1, 255)
    np.testing.assert_array_equal(np.asarray(read(folder / "out.png")), expected)


def test_a_panorama_too_long_for_the_format_is_refused_before_it_is_painted(folder):
    PIL.Image.new("RGB", (16_384, 1)).save(folder / "photo.png")
    with pytest.raises(ImageError, match=r"out\.webp' cannot be written .* at most 16383"):
        stylize_photo(pytest.fail, Job(folder / "photo.png", folder / "out.webp"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_come_out_upright(model, folder, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    photo = save_photo(folder / "photo.jpg", exif=exif)
    assert run(model, photo, "--output", "out.jpg") == 0
    result = read(folder / "out.jpg")
    assert result.size == ((33, 24) if orientation < 5 else (24, 33))
    assert result.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(("ending", "mode"), [("png", "RGBA"), ("webp", "RGBA"), ("jpg", "RGB")])
def test_alpha_is_kept_where_the_format_has_it(model, folder, ending, mode):
    alpha = np.tile(np.linspace(0, 255, 33).astype(np.uint8), (24, 1))
    PIL.Image.fromarray(np.dstack([draw(), alpha])).save(folder / "photo.png")
    assert run(model, "photo.png", "--output", f"out.{ending}") == 0
    result = read(folder / f"out.{ending}")
    assert result.mode == mode
    if ending == "png":
        np.testing.assert_array_equal(np.asarray(result)[..., 3], alpha)
        photo = draw()
        photo[alpha == 0] = 255
        np.testing.assert_array_equal(np.asarray(result)[..., :3], Stylizer(model, threads=1)(photo))


@pytest.mark.parametrize("wishes", [[], ["--max-size", "30"]])
def test_colors_that_nobody_sees_do_not_count(model, folder, wishes):
    alpha = np.zeros((24, 33), np.uint8)
    alpha[6:18, 9:24] = 255
    seen = []
    for name, hidden in (("black", 0), ("white", 255)):
        photo = np.where(alpha[..., None] > 0, draw(), np.uint8(hidden))
        PIL.Image.fromarray(np.dstack([photo, alpha])).save(folder / f"{name}.png")
        assert run(model, f"{name}.png", "--output", f"painted-{name}.png", *wishes) == 0
        painted = np.asarray(read(folder / f"painted-{name}.png"))
        seen.append(painted[painted[..., 3] == 255])
    np.testing.assert_array_equal(*seen)
    assert len(seen[0]) > 50


def test_alpha_is_scaled_along(model, folder):
    PIL.Image.fromarray(np.dstack([draw(), np.full((24, 33), 77, np.uint8)])).save(folder / "photo.png")
    assert run(model, "photo.png", "--output", "out.png", "--max-size", 20) == 0
    result = read(folder / "out.png")
    assert result.size == (20, 15)
    assert np.unique(np.asarray(result)[..., 3]) == [77]


@pytest.mark.parametrize(("max_size", "size"), [(20, (20, 15)), (33, (33, 24)), (500, (33, 24)), (1, (1, 1))])
def test_max_size_scales_down_only(model, folder, max_size, size):
    save_photo(folder / "photo.png")
    assert run(model, "photo.png", "--output", "out.png", "--max-size", max_size) == 0
    assert read(folder / "out.png").size == size


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "I;16"])
def test_every_mode_becomes_a_picture(model, folder, mode):
    photo = PIL.Image.fromarray(draw()[..., 0].astype(np.uint16) * 257) if mode == "I;16" else None
    path = folder / ("photo.tif" if mode in {"CMYK", "I;16"} else "photo.png")
    (photo or PIL.Image.fromarray(draw()).convert(mode)).save(path)
    assert run(model, path, "--output", "out.jpg") == 0
    assert read(folder / "out.jpg").size == (33, 24)


def test_quality_is_95_unless_told(model, folder):
    save_photo(folder / "photo.png", 64, 64)
    for name, options in [("default", []), ("same", ["--quality", 95]), ("low", ["--quality", 30])]:
        assert run(model, "photo.png", "--output", f"{name}.jpg", *options) == 0
    assert (folder / "default.jpg").read_bytes() == (folder / "same.jpg").read_bytes()
    assert (folder / "low.jpg").stat().st_size < (folder / "same.jpg").stat().st_size / 2


@pytest.mark.parametrize(
    "options",
    [
        ["--quality", "0"],
        ["--quality", "high"],
        ["--max-size", "0"],
        ["--threads", "x"],
        ["--strength", "1.6"],
        ["--strength", "nan"],
        ["--stroke", "0.2"],
        ["--stroke", "nan"],
    ],
)
def test_numbers_out_of_range_are_refused(model, folder, options, capsys):
    save_photo(folder / "photo.jpg")
    with pytest.raises(SystemExit) as caught:
        main([str(model), "photo.jpg", *options])
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_photo_that_does_not_fit_into_memory_stops_no_other(model, folder, capsys, one_error, monkeypatch):
    save_photo(folder / "photos/small.png", 20, 20)
    save_photo(folder / "photos/large.png", 200, 200)
    monkeypatch.setattr("export.runtime.stylizer.available_memory", lambda: 2_000_000)
    assert run(model, "photos", "--output", "out") == 1
    assert [path.name for path in (folder / "out").iterdir()] == ["small.png"]
    error = capsys.readouterr().err
    assert "large.png" in error
    assert "--max-size" in error
    assert run(model, "photos/large.png", "--output", "one.png") == 2
    side = int(one_error().rsplit(" ", 1)[1])
    assert run(model, "photos/large.png", "--output", "one.png", "--max-size", side) == 0


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "python -m export.stylize wave.onnx photo.jpg --output out.jpg" in capsys.readouterr().out


def test_strength_is_what_is_asked_for(folder):
    network = add_strength(make_network(NetworkConfig(8, 0)))
    model = export_style(folder / "wave.onnx", network, form=choose_form(None, None, strength=True))
    save_photo(folder / "photo.png")
    for strength in ("0", "0.7"):
        assert run(model, "photo.png", "--output", "out.png", "--overwrite", "--strength", strength) == 0
        expected = draw() if strength == "0" else Stylizer(model, threads=1)(draw(), strength=0.7)
        np.testing.assert_array_equal(np.asarray(read(folder / "out.png")), expected)


def test_strength_of_a_style_without_any_is_refused_in_one_sentence(model, folder, one_error):
    save_photo(folder / "photo.png")
    assert run(model, "photo.png", "--output", "out.png", "--strength", "0.7") == 2
    error = one_error()
    assert "export --strength" in error
    for name in ("wave", "udnie"):
        assert name in error
        assert Stylizer(find_style(name), threads=1).layout.strength
    assert "0.7" in error
    assert not (folder / "out.png").exists()


def test_controls_that_a_style_does_not_have_are_refused_once_for_a_whole_folder(model, folder, one_error):
    for name in ("a", "b"):
        save_photo(folder / "photos" / f"{name}.png")
    assert run(model, "photos", "--output", "painted/", "--strength", "0.7") == 2
    assert "export --strength" in one_error()
    assert not (folder / "painted").exists()


def test_photos_may_stand_behind_the_flags(model, folder):
    save_photo(folder / "photo.png")
    assert run(model, "--output", "out.png", "photo.png") == 0
    assert read(folder / "out.png").size == (33, 24)
    save_photo(folder / "-dash.png")
    assert main(["--output", "dash.png", "--threads", "1", "--", str(model), "-dash.png"]) == 0
    assert read(folder / "dash.png").size == (33, 24)


def test_the_format_of_a_file_is_not_asked_for_twice(model, folder, one_error):
    save_photo(folder / "photo.png")
    assert run(model, "photo.png", "--output", "out.jpg", "--format", "png") == 2
    assert "--format is for folders and standard output" in one_error()
    assert not (folder / "out.jpg").exists()


def test_a_folder_is_painted_in_the_format_that_is_asked_for_and_resumed_in_it(model, folder, capsys):
    for name in ("a.jpg", "b.png"):
        save_photo(folder / "photos" / name)
    assert run(model, "photos", "--output", "out", "--format", "webp", "--quality", 60) == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.jpg.webp", "b.png.webp"]
    assert {read(path).format for path in (folder / "out").iterdir()} == {"WEBP"}
    assert run(model, "photos", "--output", "out", "--format", "webp", "--resume") == 0
    assert "wrote 0 of 2 pictures to 'out'; 2 were there and whole" in capsys.readouterr().out


def test_a_picture_beside_its_photo_has_the_format_that_is_asked_for(model, folder):
    save_photo(folder / "photo.jpg")
    assert run(model, "photo.jpg", "--format", "png") == 0
    assert read(folder / "photo-wave.png").format == "PNG"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["a.png", "--output", "out.jpg", "--workers", "1"], "--workers is for several photos"),
        (["a.png", "--output", "out.jpg", "--ray"], "--ray is for several photos"),
        (["a.png", "--output", "out.png", "--quality", "95"], "and PNG keeps every pixel; leave it out"),
        (["a.png", "--output", "out.tif", "--quality", "9"], "and TIFF keeps every pixel"),
        (["a.png", "--output", "-", "--format", "png", "--quality", "9"], "and PNG keeps every pixel"),
        (["photos", "--output", "out", "--format", "png", "--quality", "9"], "and PNG keeps every pixel"),
    ],
)
def test_a_flag_that_would_change_nothing_is_refused(model, folder, flags, sentence, one_error):
    save_photo(folder / "a.png")
    save_photo(folder / "photos/a.png")
    assert run(model, *flags) == 2
    assert sentence in one_error()
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize("name", ["anim.gif", "anim.webp", "anim.png", "pages.tif"])
def test_a_photo_that_moves_is_painted_by_its_first_frame_and_the_command_says_so(model, folder, name, capsys):
    more = [PIL.Image.fromarray(draw()[::-1])]
    times = {} if name == "pages.tif" else {"duration": 100}
    save_photo(folder / "photos" / name, save_all=True, append_images=more, **times)
    save_photo(folder / "photos" / "still.png")
    assert run(model, f"photos/{name}", "--output", "out.png") == 0
    said = capsys.readouterr().err
    assert run(model, "photos", "--output", "out") == 0
    assert capsys.readouterr().err == said
    assert said.startswith(f"photo 'photos/{name}' has more than one frame, and the first one was painted; ")
    assert ("export.video paints a GIF whole" in said) == (name == "anim.gif")
    assert ("save every page" in said) == (name == "pages.tif")
    assert said.count("\n") == 1


def test_colors_are_kept_when_asked(model, folder):
    save_photo(folder / "photo.png")
    assert run(model, "photo.png", "--output", "out.png", "--preserve-color") == 0
    expected = Stylizer(model, threads=1)(draw(), preserve_color=True)
    np.testing.assert_array_equal(np.asarray(read(folder / "out.png")), expected)


def test_strokes_are_of_the_size_that_is_asked_for(model, folder):
    save_photo(folder / "photo.png", 60, 80)
    assert run(model, "photo.png", "--output", "out.png", "--stroke", "2.5") == 0
    expected = Stylizer(model, threads=1)(draw(60, 80), stroke=2.5)
    np.testing.assert_array_equal(np.asarray(read(folder / "out.png")), expected)
