"""The lines of a folder's README do what they say: Python's for every file, JavaScript's in browser and Node.js."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import PIL.Image
import pytest

from data.images import decode, to_array
from export.errors import ExportError
from export.graph.targets import Form, choose_form
from export.runtime.stylizer import Stylizer
from export.web.onnxruntime_web import find_runtime
from tests.export.small_export import add_strength, draw, export_folder, make_network
from tests.export.variants.node_runtime import find_node_runtime
from tests.export.web.browser import Server, wait
from tests.pictures import write

# Each folder takes seconds to export.
pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 40, 60
"""What the folder of a fixed size takes."""


@pytest.fixture(scope="module")
def any_size(tmp_path_factory):
    return export_folder(tmp_path_factory.mktemp("any"), make_network(seed=2, spread=0.3), ort=True)


@pytest.fixture(scope="module")
def fixed_size(tmp_path_factory):
    return export_folder(tmp_path_factory.mktemp("fixed"), make_network(), form=Form(size=(HEIGHT, WIDTH)))


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    return export_folder(tmp_path_factory.mktemp("floats"), make_network(), variants=("fp16", "w8"))


@pytest.fixture(scope="module")
def with_strength(tmp_path_factory):
    network, form = add_strength(make_network()), choose_form(None, None, strength=True)
    return export_folder(tmp_path_factory.mktemp("strength"), network, form=form, ort=True)


@pytest.fixture(scope="module")
def web_with_strength(tmp_path_factory):
    network, form = add_strength(make_network()), choose_form("web", None, strength=True)
    variants = ("float32", "u8")
    return export_folder(tmp_path_factory.mktemp("web"), network, form=form, target="web", variants=variants)


FOLDERS = ["any_size", "fixed_size", "floats", "with_strength", "web_with_strength"]


@pytest.fixture(scope="module")
def folder(request):
    return request.getfixturevalue(request.param)


def find_blocks(folder, language):
    text = (folder / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def read_python_lines(folder):
    """Return the lines of every model file that the README's Python section names."""
    lines = {}
    text = (folder / "README.md").read_text()
    for names, code in re.findall(r"^For ([^\n]*):\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        shown, *others = re.findall(r"`([^`]+)`", names)
        assert code.count(shown) == 1
        lines |= {name: code.replace(shown, name) for name in (shown, *others)}
    return lines


RUN_EACH = """
import json, os, sys
for name, code in json.loads(sys.argv[1]).items():
    exec(code, {})
    os.rename("stylized.png", f"{name}.png")
"""
"""Runs the lines of each file with no names but their own, in one process, because most of the time is imports."""


def stylize(path, picture):
    """Repaint a picture with the very file: 8-bit activations may round elsewhere in another one."""
    stylizer = Stylizer(path.with_suffix(".onnx"), threads=1)
    if path.suffix == ".onnx":
        return stylizer(picture)
    (stylized,) = onnxruntime.InferenceSession(str(path)).run(None, {"image": stylizer.layout.pack(picture)})
    return stylizer.layout.unpack(stylized)


@pytest.mark.parametrize("folder", FOLDERS, indirect=True)
def test_python_lines_serve_every_file(folder, tmp_path):
    lines = read_python_lines(folder)
    assert set(lines) == {path.name for path in folder.iterdir() if path.suffix in {".onnx", ".ort"}}
    for name in lines:
        shutil.copy(folder / name, tmp_path)
    # As phones store it: lying on its side.
    write(tmp_path / "photo.jpg", draw(HEIGHT, WIDTH), orientation=6)
    # The lines need no more than they say.
    for name in ("torch", "onnx", "export"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-c", RUN_EACH, json.dumps(lines)]
    subprocess.run(words, cwd=tmp_path, env=environment, check=True)
    for name in lines:
        painted = to_array(decode(tmp_path / f"{name}.png"))
        expected = stylize(folder / name, to_array(decode(tmp_path / "photo.jpg")))
        assert np.abs(painted.astype(int) - expected).max() <= (8 if name.endswith(".int8.onnx") else 1), name


@pytest.mark.parametrize("folder", FOLDERS, indirect=True)
def test_other_languages_have_lines_where_a_file_takes_bytes(folder):
    expected = 1 if (folder / "style.u8.onnx").exists() else 0
    for language in ("kotlin", "swift", "javascript"):
        assert len(find_blocks(folder, language)) == expected
    assert ("export the variant `u8`" in (folder / "README.md").read_text()) == (expected == 0)


def test_sizes_that_a_file_takes_are_told(any_size, fixed_size):
    for folder, told in ((any_size, "sides of at least 16 pixels"), (fixed_size, "only pictures of 60 x 40 pixels")):
        text = (folder / "README.md").read_text()
        # Once for float32 and once for bytes.
        assert text.count(told) == 2
        assert text.count("Scale the picture to 60 x 40 first.") == (3 if folder is fixed_size else 0)
    assert all(".resize((60, 40))" in code for code in find_blocks(fixed_size, "python"))


PAGE = """\
<!doctype html>
<script type="importmap">{"imports": {"onnxruntime-web": "./onnxruntime-web/ort.wasm.min.mjs"}}</script>
<script type="module">
  try {
    const photo = new Image();
    photo.src = "photo.png";
    await photo.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [photo.width, photo.height];
    const context = canvas.getContext("2d");
    context.drawImage(photo, 0, 0);
    const { stylize } = await import("./snippet.js");
    const painted = await stylize(context.getImageData(0, 0, canvas.width, canvas.height));
    context.putImageData(new ImageData(painted, canvas.width), 0, 0);
    window.painted = canvas.toDataURL();
  } catch (error) {
    window.painted = `failed: ${error}`;
  }
</script>
"""


def test_strength_is_a_parameter_where_a_language_can_set_it(any_size, with_strength, web_with_strength):
    for folder, languages in (
        (any_size, set()),
        (with_strength, {"python", "swift"}),
        (web_with_strength, {"python", "kotlin", "swift", "javascript"}),
    ):
        told = {
            name for name in ("python", "kotlin", "swift", "javascript") if "strength" in find_blocks(folder, name)[0]
        }
        assert told == languages
        text = (folder / "README.md").read_text()
        assert ("cannot set an input" in text, "has to be given" in text) == (
            folder is with_strength,
            folder is web_with_strength,
        )


@pytest.mark.parametrize("folder", ["any_size", "fixed_size", "web_with_strength"], indirect=True)
def test_javascript_lines_paint_pythons_picture_in_a_browser(folder, chromium, tmp_path):
    try:
        runtime = find_runtime()
    except ExportError as error:
        pytest.skip(str(error))
    (code,) = find_blocks(folder, "javascript")
    site = tmp_path / "site"
    photo = draw(HEIGHT, WIDTH)
    write(site / "photo.png", photo)
    (site / "snippet.js").write_text(code)
    (site / "index.html").write_text(PAGE)
    (site / "onnxruntime-web").symlink_to(runtime.folder / "dist")
    shutil.copy(folder / "style.u8.onnx", site)
    server = Server(site)
    try:
        chromium.get(server.address)
        found = wait(lambda: chromium.execute_script("return window.painted"), "the picture")
    finally:
        server.stop()
    assert found.startswith("data:image/png;base64,"), found
    with PIL.Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))) as image:
        painted = np.asarray(image.convert("RGB")).astype(int)
    for name in ("style.u8.onnx", "style.onnx"):
        assert np.abs(painted - Stylizer(folder / name, threads=1)(photo)).max() <= 2
    assert np.abs(painted - photo).max() > 20


PROGRAM = """\
import { readFileSync, writeFileSync } from "node:fs";
import { stylize } from "./snippet.mjs";

const [width, height] = process.argv.slice(2).map(Number);
writeFileSync("painted.rgba", await stylize({ data: readFileSync("photo.rgba"), width, height }));
"""


@pytest.mark.parametrize("folder", ["any_size", "fixed_size"], indirect=True)
def test_javascript_lines_paint_pythons_picture_in_node(folder, tmp_path):
    runtime = find_node_runtime()
    (code,) = find_blocks(folder, "javascript")
    assert code.count('"onnxruntime-web"') == 1
    photo = draw(HEIGHT, WIDTH)
    (tmp_path / "node_modules").symlink_to(runtime / "node_modules")
    (tmp_path / "snippet.mjs").write_text(code.replace('"onnxruntime-web"', '"onnxruntime-node"'))
    (tmp_path / "program.mjs").write_text(PROGRAM)
    (tmp_path / "photo.rgba").write_bytes(PIL.Image.fromarray(photo).convert("RGBA").tobytes())
    shutil.copy(folder / "style.u8.onnx", tmp_path)
    command = ["node", "program.mjs", str(WIDTH), str(HEIGHT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    painted = np.frombuffer((tmp_path / "painted.rgba").read_bytes(), np.uint8).reshape(HEIGHT, WIDTH, 4)
    assert np.abs(painted[..., :3].astype(int) - Stylizer(folder / "style.u8.onnx", threads=1)(photo)).max() <= 1
    assert painted[..., 3].min() == 255
