"""The command repaints photo files, overwrites nothing unless told, and explains a mistake in one sentence."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from export import stylize
from export.convert import convert, draw_pictures
from export.jobs import Job
from export.runtime import Stylizer
from export.stylize import main, stylize_photo
from models.network import NetworkConfig, StyleNetwork
from models.weights import StyleCard, save_style

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    save_style(folder / "style.safetensors", StyleNetwork(NetworkConfig(8, 0)), StyleCard("wave"))
    convert(folder, folder / "wave.onnx")
    return folder / "wave.onnx"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(height=24, width=33):
    return draw_pictures(1, height, width)[0].transpose(1, 2, 0).astype(np.uint8)


def save_photo(path, height=24, width=33, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(draw(height, width)).save(path, **options)
    return path


def read(path):
    with PIL.Image.open(path) as image:
        image.load()
        return image


def run(model, *arguments):
    return main([str(model), *map(str, arguments), "--threads", "1"])


def one_error(capsys):
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err


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
    def almost(picture):
        from data.images import round_to_bytes

        return round_to_bytes(picture.astype(np.float32) + np.float32(0.6))

    photo = save_photo(folder / "photo.png")
    stylize_photo(almost, Job(photo, folder / "out.png"))
    expected = np.minimum(draw().astype(int) + 1, 255)
    np.testing.assert_array_equal(np.asarray(read(folder / "out.png")), expected)


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
        np.testing.assert_array_equal(np.asarray(result)[..., :3], Stylizer(model, threads=1)(draw()))


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
    ("photo", "output"), [("a.jpg", "a-wave.jpg"), ("b.PNG", "b-wave.PNG"), ("c.bmp", "c-wave.png")]
)
def test_one_photo_without_output_goes_beside_it(model, folder, photo, output, capsys):
    save_photo(folder / "album" / photo)
    assert run(model, Path("album") / photo) == 0
    assert read(folder / "album" / output).size == (33, 24)
    assert output in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [["--quality", "0"], ["--quality", "high"], ["--max-size", "0"], ["--threads", "x"]]
)
def test_numbers_out_of_range_are_refused(model, folder, options, capsys):
    save_photo(folder / "photo.jpg")
    with pytest.raises(SystemExit) as caught:
        main([str(model), "photo.jpg", *options])
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_existing_picture_is_replaced_only_when_told(model, folder, capsys, monkeypatch):
    save_photo(folder / "photo.jpg")
    (folder / "out.jpg").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(stylize, "Stylizer", None)
        assert run(model, "photo.jpg", "--output", "out.jpg") == 2
    assert "--overwrite" in one_error(capsys)
    assert (folder / "out.jpg").read_text() == "mine"
    assert run(model, "photo.jpg", "--output", "out.jpg", "--overwrite") == 0
    assert read(folder / "out.jpg").size == (33, 24)


@pytest.mark.parametrize("output", ["photo.jpg", "./photo.jpg", "same.jpg", "."])
def test_photo_itself_is_never_overwritten(model, folder, output, capsys):
    before = save_photo(folder / "photo.jpg").read_bytes()
    (folder / "same.jpg").hardlink_to(folder / "photo.jpg")
    assert run(model, "photo.jpg", "--output", output, "--overwrite") == 2
    assert "is a photo that is read" in one_error(capsys)
    assert (folder / "photo.jpg").read_bytes() == before


def test_photos_are_not_overwritten_by_each_others_pictures(model, folder, capsys):
    save_photo(folder / "a/x.jpg")
    save_photo(folder / "b/x.jpg")
    before = (folder / "b/x.jpg").read_bytes()
    for photos in [["a", "b"], ["b"], ["b/x.jpg"], ["a/x.jpg", "b"]]:
        assert run(model, *photos, "--output", "b", "--overwrite") == 2
        one_error(capsys)
    assert (folder / "b/x.jpg").read_bytes() == before


def test_folder_keeps_its_sub_folders_names_and_endings(model, folder, capsys):
    for name in ["a.jpg", "a.png", "b.JPEG", "c.gif", "deep/er/a.webp", "deep/.hidden.jpg"]:
        save_photo(folder / "photos" / name)
    assert run(model, "photos", "--output", "out") == 0
    found = {path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*") if path.is_file()}
    assert found == {"a.jpg", "a.png", "b.JPEG", "c.gif.png", "deep/er/a.webp"}
    assert read(folder / "out/deep/er/a.webp").format == "WEBP"
    assert "5 of 5" in capsys.readouterr().out


def test_broken_photo_is_reported_at_the_end_and_stops_nothing(model, folder, capsys):
    save_photo(folder / "photos/a.jpg")
    (folder / "photos/b.jpg").write_text("Dear sir or madam")
    save_photo(folder / "photos/c.jpg")
    assert run(model, "photos", "--output", "out/new") == 1
    assert sorted(path.name for path in (folder / "out/new").iterdir()) == ["a.jpg", "c.jpg"]
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert "b.jpg" in captured.err
    assert "2 of 3" in captured.out


def test_photo_that_does_not_fit_into_memory_stops_no_other(model, folder, capsys, monkeypatch):
    save_photo(folder / "photos/small.png", 20, 20)
    save_photo(folder / "photos/large.png", 200, 200)
    monkeypatch.setattr("export.runtime.available_memory", lambda: 2_000_000)
    assert run(model, "photos", "--output", "out") == 1
    assert [path.name for path in (folder / "out").iterdir()] == ["small.png"]
    error = capsys.readouterr().err
    assert "large.png" in error
    assert "--max-size" in error
    assert run(model, "photos/large.png", "--output", "one.png") == 2
    side = int(one_error(capsys).rsplit(" ", 1)[1])
    assert run(model, "photos/large.png", "--output", "one.png", "--max-size", side) == 0


def test_several_photos_go_to_one_folder(model, folder):
    save_photo(folder / "a.jpg")
    save_photo(folder / "album/b.png")
    assert run(model, "a.jpg", "album", "--output", "out") == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.jpg", "b.png"]


def test_one_photo_goes_into_a_folder_that_exists_or_ends_in_a_slash(model, folder):
    save_photo(folder / "a.jpg")
    (folder / "there").mkdir()
    assert run(model, "a.jpg", "--output", "there") == 0
    assert run(model, "a.jpg", "--output", "new/") == 0
    assert read(folder / "there/a.jpg").size == read(folder / "new/a.jpg").size == (33, 24)


def test_output_folder_inside_the_photo_folder_is_not_stylised_again(model, folder):
    save_photo(folder / "photos/a.jpg")
    assert run(model, "photos", "--output", "photos/out") == 0
    assert run(model, "photos", "--output", "photos/out", "--overwrite") == 0
    assert sorted(path.name for path in (folder / "photos/out").rglob("*")) == ["a.jpg"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.jpg"], "'absent.jpg' does not exist"),
        (["a.jpg", "b/a.jpg"], "several photos need an output folder"),
        (["a.jpg", "b/a.jpg", "--output", "out"], "would both become"),
        (["a.jpg", "b/a.jpg", "--output", "text.jpg"], "is a file, and several photos need a folder"),
        (["b", "--output", "text.jpg"], "is a file, and several photos need a folder"),
        (["empty", "--output", "out"], "holds no picture"),
        (["a.jpg", "--output", "absent/out.jpg"], "does not exist"),
        (["a.jpg", "--output", "out.xyz"], "cannot be written"),
        (["text.jpg", "--output", "out.jpg"], "cannot be read"),
        (["bomb.png", "--output", "out.jpg"], "30000 x 30000"),
        (["a.jpg", "--output", "out.jpg", "--provider", "warp"], "choose one of"),
    ],
)
def test_mistake_gets_one_sentence_and_nothing_is_written(model, folder, arguments, sentence, capsys):
    save_photo(folder / "a.jpg")
    save_photo(folder / "b/a.jpg")
    (folder / "empty").mkdir()
    (folder / "text.jpg").write_text("Dear sir or madam,\n" * 9)
    write_bomb(folder / "bomb.png")
    before = sorted(folder.rglob("*"))
    assert run(model, *arguments) == 2
    assert sentence in one_error(capsys)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("content", [None, b"Dear sir or madam", "truncated", "tampered"])
def test_unusable_model_gets_one_sentence_and_nothing_is_written(model, folder, content, capsys):
    save_photo(folder / "a.jpg")
    whole = model.read_bytes()
    if content is not None:
        broken = {"truncated": whole[:5000], "tampered": whole[:-80] + b"!" + whole[-79:]}.get(content, content)
        (folder / "bad.onnx").write_bytes(broken)
    before = sorted(folder.rglob("*"))
    for arguments in [["a.jpg", "--output", "out.jpg"], ["a.jpg", "--output", "out/"]]:
        assert run("bad.onnx", *arguments) == 2
        assert "bad.onnx" in one_error(capsys)
    assert sorted(folder.rglob("*")) == before


def write_bomb(path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


@pytest.mark.parametrize("moment", ["start", "second photo", "while writing"])
def test_ctrl_c_leaves_nothing_half_written(model, folder, moment, capsys, monkeypatch):
    save_photo(folder / "photos/a.png")
    save_photo(folder / "photos/b.png")
    original = stylize.encode if moment == "while writing" else stylize.decode

    def interrupt(first, *arguments, **options):
        if moment == "while writing":
            monkeypatch.setattr(Path, "replace", stop)
        elif "b.png" in str(first):
            raise KeyboardInterrupt
        return original(first, *arguments, **options)

    def stop(*_, **__):
        raise KeyboardInterrupt

    if moment == "start":
        monkeypatch.setattr(stylize, "Stylizer", stop)
    monkeypatch.setattr(stylize, "encode" if moment == "while writing" else "decode", interrupt)
    assert run(model, "photos", "--output", "out") == 130
    error = capsys.readouterr().err
    assert error.startswith("stopped: ")
    assert error.count("\n") == 1
    written = {"start": [], "second photo": ["a.png"], "while writing": []}[moment]
    assert [path.name for path in (folder / "out").glob("*")] == written


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "python -m export.stylize wave.onnx photo.jpg --output out.jpg" in capsys.readouterr().out
