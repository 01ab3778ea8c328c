"""A photo may come from standard input, a picture go to standard output, and a line of JSON tell about each."""

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

from export.runtime.stylizer import Stylizer
from export.stylize import standard
from tests import ROOT
from tests.export.small_export import draw
from tests.export.stylize.stylize_command import read, run, save_photo


@pytest.fixture
def pipe(monkeypatch):
    """Return a function that lets standard input hold a picture of some format."""

    def fill(kind="PNG", content=None):
        file = io.BytesIO()
        # An MPO is a JPEG with further pictures in it.
        more = {"save_all": True, "append_images": [PIL.Image.fromarray(draw(8, 8))]} if kind == "MPO" else {}
        PIL.Image.fromarray(draw()).save(file, kind, **more)
        stream = SimpleNamespace(
            buffer=io.BytesIO(file.getvalue() if content is None else content), isatty=lambda: False
        )
        monkeypatch.setattr(sys, "stdin", stream)

    return fill


def printed(capfdbinary):
    return PIL.Image.open(io.BytesIO(capfdbinary.readouterr().out))


def test_a_photo_is_read_from_and_its_picture_written_to_the_standard_streams(model, folder, pipe, capfdbinary):
    pipe()
    assert run(model, "-") == 0
    picture = printed(capfdbinary)
    assert picture.format == "PNG"
    np.testing.assert_array_equal(np.asarray(picture), Stylizer(model, threads=1)(draw()))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "wishes", "format"),
    [
        ("JPEG", [], "JPEG"),
        ("MPO", [], "JPEG"),
        ("WEBP", [], "WEBP"),
        ("BMP", [], "PNG"),
        ("JPEG", ["--format", "png"], "PNG"),
    ],
)
def test_the_picture_has_the_photos_format_unless_another_is_asked_for(
    model, folder, pipe, capfdbinary, kind, wishes, format
):
    pipe(kind)
    assert run(model, "-", "--output", "-", *wishes) == 0
    assert printed(capfdbinary).format == format


def test_each_stream_goes_with_a_file(model, folder, pipe, capfdbinary):
    pipe()
    assert run(model, "-", "--output", "out.png") == 0
    assert capfdbinary.readouterr().out == b"wrote 'out.png' (33 x 24 pixels)\n"
    save_photo(folder / "photo.png")
    assert run(model, "photo.png", "--output", "-") == 0
    np.testing.assert_array_equal(np.asarray(printed(capfdbinary)), np.asarray(read(folder / "out.png")))


def test_a_file_called_minus_is_named_with_its_folder(model, folder):
    save_photo(folder / "photo.png").rename(folder / "-")
    assert run(model, "./-", "--output", "out.png") == 0
    assert read(folder / "out.png").size == (33, 24)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-", "photo.png", "--output", "out/"], "take one photo; leave out '-' or the other photos"),
        (["photo.png", "photo.png", "--output", "-"], "take one photo; leave out '-' or the other photos"),
        (["-", "--output", "out/"], "has no name in 'out/'; name a file with --output"),
        (["-", "--json"], "would both go to standard output; name a file"),
    ],
)
def test_what_the_streams_cannot_hold_is_one_sentence(model, folder, pipe, arguments, sentence, one_error):
    save_photo(folder / "photo.png")
    pipe()
    assert run(model, *arguments) == 2
    assert sentence in one_error()


def test_a_model_is_not_read_from_standard_input(folder, one_error):
    assert run("-", "photo.png") == 2
    assert "a model is not read from standard input" in one_error()


@pytest.mark.parametrize("content", [b"", b"Dear sir or madam"])
def test_standard_input_without_a_picture_is_one_sentence(model, folder, pipe, content, one_error):
    pipe(content=content)
    assert run(model, "-") == 2
    assert "the picture cannot be read" in one_error()


def test_standard_input_that_is_a_terminal_closed_or_endless_is_one_sentence(
    model, folder, pipe, monkeypatch, one_error
):
    for stream, sentence in (
        (SimpleNamespace(isatty=lambda: True), "standard input is a terminal; pipe a photo"),
        (None, "standard input is closed"),
    ):
        monkeypatch.setattr(sys, "stdin", stream)
        assert run(model, "-", "--output", "out.png") == 2
        assert sentence in one_error()
    pipe()
    monkeypatch.setattr(standard, "MAX_CONTENT", 100)
    assert run(model, "-", "--output", "out.png") == 2
    assert "holds more than 100 bytes" in one_error()


def test_standard_output_that_is_a_terminal_is_refused_before_the_work(model, folder, pipe, monkeypatch, one_error):
    pipe()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(model, "-") == 2
    assert "standard output is a terminal; name a file" in one_error()


def test_a_reader_that_goes_away_is_one_sentence(folder):
    save_photo(folder / "photo.png", 200, 300)
    command = [
        sys.executable,
        "-m",
        "export.stylize",
        "--style",
        "wave_nano",
        str(folder / "photo.png"),
        "--output",
        "-",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert process.returncode == 2
    assert errors == "error: standard output cannot be written (Broken pipe)\n"


def test_a_line_of_json_tells_about_a_photo(model, folder, capsys):
    save_photo(folder / "photo.png")
    assert run(model, "photo.png", "--output", "out.png", "--json", "--stroke", 2, "--preserve-color") == 0
    said = json.loads(capsys.readouterr().out)
    assert said.pop("seconds") >= 0
    assert said == {
        "input": "photo.png",
        "style": "wave",
        "strength": 1,
        "preserve_color": True,
        "stroke": 2,
        "output": "out.png",
        "width": 33,
        "height": 24,
    }


def test_of_several_photos_each_has_a_line_of_json_also_those_that_fail(model, folder, capsys):
    save_photo(folder / "photos/a.jpg")
    (folder / "photos/b.jpg").write_text("Dear sir or madam")
    assert run(model, "photos", "--output", "out", "--json") == 1
    captured = capsys.readouterr()
    one, other = map(json.loads, captured.out.splitlines())
    assert (one["input"], one["output"]) == ("photos/a.jpg", "out/a.jpg")
    assert "output" not in other
    assert f"error: {other['error']}\n" == captured.err


def test_a_photo_that_fails_alone_has_its_line_too(model, folder, capsys):
    (folder / "photo.jpg").write_text("Dear sir or madam")
    assert run(model, "photo.jpg", "--output", "out.jpg", "--json") == 2
    captured = capsys.readouterr()
    assert f"error: {json.loads(captured.out)['error']}\n" == captured.err


def test_workers_report_in_json_too_and_so_do_pictures_that_are_there(model, folder, capsys):
    for name in ("a.png", "b.png"):
        save_photo(folder / "photos" / name)
    assert run(model, "photos/a.png", "photos/b.png", "--output", "out", "--workers", "2", "--json") == 0
    said = sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=lambda line: line["input"])
    assert [line["output"] for line in said] == ["out/a.png", "out/b.png"]
    assert run(model, "photos/a.png", "--output", "out/a.png", "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["kept"]
    assert run(model, "photos", "--output", "out", "--resume", "--json") == 0
    assert [json.loads(line)["kept"] for line in capsys.readouterr().out.splitlines()] == [True, True]
