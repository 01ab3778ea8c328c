"""An empty string is no path: it never means the current folder."""

import pytest

from export.benchmark.measure import main as benchmark
from export.stylize.command import main as stylize
from export.web.build import main as web


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (stylize, ["m.onnx", "", "--output", "o.png"]),
        (stylize, ["m.onnx", "photo.png", "--output", ""]),
        (stylize, ["m.onnx", "photo.png", "--output="]),
        (benchmark, [""]),
        (benchmark, ["m.onnx", "--json="]),
        (web, ["wave", "--output", ""]),
    ],
)
def test_an_empty_path_is_refused(command, arguments, one_error):
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    assert ended.value.code == 2
    assert "an empty string is not a path; name a file or a folder" in one_error()
