"""A command line that cannot work is refused in one sentence, by every command that runs a finished style."""

import importlib

import pytest

from data.images import encode, from_array
from tests.export.small_export import draw, export_style, make_network

LONG = "x" * 300
DIGITS = "9" * 5000
HOSTILE = "a\x1b[31m\nb" + "y" * 200_000

STYLIZE = ("export.stylize.command", ["wave.onnx", "photo.png", "--output", "out.png"])
EXPORT = ("export.__main__", ["style.safetensors", "--output", "out.onnx"])
BENCHMARK = ("export.benchmark.measure", ["wave.onnx"])
SHEET = ("export.sheet.command", ["photo.png", "--styles", "wave.onnx", "--output", "sheet.png"])
VIDEO = ("export.video.command", ["wave.onnx", "photo.png", "--output", "out.mp4"])
STABILITY = ("export.video.stability", ["wave.onnx"])
BLEND = ("export.blend.command", ["wave,starry_night"])
WEB = ("export.web.build", ["wave.onnx"])

BAD = [
    (STYLIZE, ["--threads", "3000000000"], "between 1 and 1024"),
    (STYLIZE, ["--threads", DIGITS], "between 1 and 1024"),
    (STYLIZE, ["--memory", "9" * 400 + "GB"], "amount of memory"),
    (STYLIZE, ["--memory", "0GB"], "amount of memory"),
    (STYLIZE, ["--max-size", DIGITS], "positive integer"),
    (STYLIZE, ["--max-size", "²"], "positive integer"),
    (STYLIZE, ["--tile", DIGITS], "multiple of 4"),
    (STYLIZE, ["--quality", DIGITS], "between 1 and 100"),
    (STYLIZE, ["--provider", HOSTILE], "a\\x1b[31m\\nb"),
    (STYLIZE, ["--no-such" + HOSTILE], "unrecognized arguments"),
    (STYLIZE, ["--style", HOSTILE], "a\\x1b[31m\\nb"),
    (STYLIZE, ["--output", f"{LONG}.png"], "File name too long"),
    (STYLIZE, ["--output", f"{LONG}/out.png"], "File name too long"),
    (("export.stylize.command", []), [LONG, "photo.png"], "File name too long"),
    (("export.stylize.command", []), ["loop", "photo.png"], "'loop'"),
    (("export.stylize.command", []), ["wave.onnx", LONG], "File name too long"),
    (("export.stylize.command", []), ["wave.onnx", "loop"], "'loop'"),
    (("export.stylize.command", []), ["wave.onnx", "\udce9.png"], "\\udce9.png"),
    (EXPORT, ["--variants", "float32", "--size", "100000x100000"], "at most 16,777,216 pixels"),
    (EXPORT, ["--size", f"{DIGITS}x1"], "width and height"),
    (EXPORT, ["--size", "0x0"], "from 16 up"),
    (EXPORT, ["--variants", HOSTILE], "must be a list of variants"),
    (EXPORT, ["--output", f"{LONG}.onnx"], "File name too long"),
    (BENCHMARK, ["--sizes", DIGITS], "must be an integer"),
    (BENCHMARK, ["--runs", DIGITS], "positive integer"),
    (BENCHMARK, ["--threads", "3000000000"], "between 1 and 1024"),
    (BENCHMARK, [LONG], "File name too long"),
    (BENCHMARK, ["--compare", LONG], "File name too long"),
    (BENCHMARK, ["--tolerance", "nan"], "must be a number above 0"),
    (SHEET, ["--columns", DIGITS], "positive integer"),
    (SHEET, ["--size", DIGITS], "must be an integer"),
    (SHEET, ["--strokes", "1", DIGITS], "from 0.25 to 8"),
    (SHEET, ["--threads", "3000000000"], "between 1 and 1024"),
    (SHEET, ["--output", f"{LONG}.png"], "File name too long"),
    (VIDEO, [HOSTILE], "2 clips follow the style"),
    (VIDEO, ["--start", DIGITS], "must be a number from 0"),
    (VIDEO, ["--duration", "nan"], "must be a number above 0"),
    (VIDEO, ["--fps", "1e400"], "must be a number from 0.002"),
    (VIDEO, ["--output", f"{LONG}.mp4"], "File name too long"),
    (VIDEO, ["--output", f"{LONG}/"], "File name too long"),
    (VIDEO, ["--output", "photo.png"], "let its name end in one of .mp4"),
    (("export.video.command", []), ["wave.onnx", LONG], "File name too long"),
    (("export.video.command", []), ["wave.onnx", "loop"], "'loop'"),
    (STABILITY, ["--frames", DIGITS], "must be an integer"),
    (STABILITY, ["--clips", LONG], "File name too long"),
    (STABILITY, ["--clips", "photo.png"], "it is not a video, or is broken"),
    (STYLIZE, ["--stroke", DIGITS], "from 0.25 to 8"),
    (BLEND, ["--output", f"{LONG}.onnx"], "File name too long"),
    (("export.blend.command", []), [f"wave,{HOSTILE}:1"], "a\\x1b[31m\\nb"),
    (WEB, ["--output", "loop"], "loop' is a link to itself"),
    (WEB, ["--output", LONG], "File name too long"),
    (WEB, [LONG], "File name too long"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    encode(from_array(draw(48, 40)), folder / "photo.png")
    export_style(folder / "wave.onnx", make_network())
    (folder / "loop").symlink_to("loop")
    return folder


@pytest.mark.parametrize(("command", "added", "said"), BAD)
def test_a_line_that_cannot_work_is_refused_in_one_sentence(inputs, monkeypatch, one_error, command, added, said):
    monkeypatch.chdir(inputs)
    before = sorted(inputs.iterdir())
    module, words = command
    try:
        code = importlib.import_module(module).main([*words, *added])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    sentence = one_error()
    assert said in sentence
    assert len(sentence) < 2000
    assert sorted(inputs.iterdir()) == before
