"""A site holds all it needs and nothing from elsewhere, replaces only sites, and explains a mistake in one sentence."""

import hashlib
import json
import re
import shutil

import numpy as np
import onnx
import onnxruntime
import PIL.Image
import pytest

from export import styles
from export.contract import is_intact
from export.errors import ExportError
from export.graph.convert import convert
from export.runtime.stylizer import Stylizer
from export.web import build
from export.web.build import PAGE, build_site, check_output, main
from export.web.strength_input import require_strength
from tests.pictures import ramp, write


def read_metadata(folder):
    return {entry.key: entry.value for entry in onnx.load(folder / "style.onnx").metadata_props}


def read_index(site):
    return json.loads((site / "styles.json").read_text())


def test_site_holds_every_file_that_it_names(wave, starry, package, tmp_path):
    build_site([wave, starry / "style.onnx"], tmp_path / "site", runtime=package)
    index = read_index(tmp_path / "site")
    for path in index["shell"]:
        assert (tmp_path / "site" / path).exists(), path
    for kind in index["runtime"]["builds"].values():
        for name in (kind["script"], kind["loader"], kind["binary"]["path"]):
            assert (tmp_path / "site" / index["runtime"]["folder"] / name).is_file()
    for style, source in zip(index["styles"], (wave, starry), strict=True):
        file = style["files"]["float32"]
        content = (tmp_path / "site" / file["path"]).read_bytes()
        assert content == require_strength((source / "style.onnx").read_bytes())
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert PIL.Image.open(tmp_path / "site" / style["thumbnail"]).size == (240, 160)
    assert [(style["id"], style["title"], style["strength"]) for style in index["styles"]] == [
        ("wave", "Wave", False),
        ("starry_night", "Starry Night", True),
    ]
    assert "Microsoft" in (tmp_path / "site/onnxruntime-web-1.2.3/LICENSE").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_strength_must_be_given_on_a_site_and_is_the_same(wave, starry, tmp_path):
    assert require_strength((wave / "style.onnx").read_bytes()) == (wave / "style.onnx").read_bytes()
    (tmp_path / "style.onnx").write_bytes(require_strength((starry / "style.onnx").read_bytes()))
    session = onnxruntime.InferenceSession(tmp_path / "style.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["image", "strength"]
    mine, theirs = (Stylizer(folder / "style.onnx", threads=1) for folder in (tmp_path, starry))
    np.testing.assert_array_equal(mine(ramp(), strength=0.7), theirs(ramp(), strength=0.7))
    assert is_intact((tmp_path / "style.onnx").read_bytes())
    contract, expected = (json.loads(read_metadata(folder)["onestroke.contract"]) for folder in (tmp_path, starry))
    assert expected["strength"].pop("default") == 1
    assert contract == expected


def test_files_of_which_only_one_takes_a_strength_are_refused(starry, package, tmp_path):
    shutil.copytree(starry, tmp_path / "variants")
    convert(starry, tmp_path / "variants/style.fp16.onnx")
    with pytest.raises(ExportError, match="one takes a strength and one does not"):
        build_site([tmp_path / "variants"], tmp_path / "site", runtime=package)


def test_names_become_titles():
    names = ["composition_vii", "portrait_of_jean_metzinger", "wave-no2", "Große Welle", "wave 0.6 + udnie 0.4"]
    titles = ["Composition VII", "Portrait of Jean Metzinger", "Wave No2", "Große Welle", "wave 0.6 + udnie 0.4"]
    assert [build._title(name) for name in names] == titles


def test_page_imports_only_files_of_its_own():
    for path in (*PAGE.glob("*.js"), *PAGE.glob("*.html"), *PAGE.glob("*.css")):
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org)", text), path
        named = re.findall(r"""(?:from|import) "\./([^"]+)"|(?:src|href)="([\w.-]+)"|register\("([^"]+)"\)""", text)
        for name in ("".join(groups) for groups in named):
            assert (PAGE / name).is_file(), f"{path.name} names {name}"


def test_folder_of_variants_brings_its_float16_file(wave, package, tmp_path):
    shutil.copytree(wave, tmp_path / "variants")
    shutil.copy(wave / "style.onnx", tmp_path / "variants/style.fp16.onnx")
    build_site([tmp_path / "variants"], tmp_path / "site", runtime=package)
    assert set(read_index(tmp_path / "site")["styles"][0]["files"]) == {"float32", "float16"}


def test_variants_of_two_styles_in_one_folder_are_refused(wave, starry, package, tmp_path):
    shutil.copytree(wave, tmp_path / "variants")
    shutil.copy(starry / "style.onnx", tmp_path / "variants/style.fp16.onnx")
    with pytest.raises(ExportError, match=r"style\.fp16\.onnx' is not of the style 'wave'"):
        build_site([tmp_path / "variants"], tmp_path / "site", runtime=package)
    assert not (tmp_path / "site").exists()


def test_all_ready_styles_are_taken_unless_some_are_named(wave, starry, package, tmp_path, monkeypatch):
    ready = tmp_path / "ready"
    ready.mkdir()
    for style in (wave, starry):
        shutil.copy(style / "style.onnx", ready / f"{style.name}.onnx")
    monkeypatch.setattr(build, "choose_styles", lambda names, **kinds: styles.choose_styles(names, ready, **kinds))
    rest = ["--runtime", str(package), "--output"]
    assert main([*rest, str(tmp_path / "all")]) == 0
    assert len(read_index(tmp_path / "all")["styles"]) == 2
    assert main([starry.name, *rest, str(tmp_path / "one")]) == 0
    assert [style["id"] for style in read_index(tmp_path / "one")["styles"]] == ["starry_night"]


def test_styles_of_one_name_are_told_apart(wave, package, tmp_path):
    shutil.copy(wave / "style.onnx", tmp_path / "nano.onnx")
    build_site([wave, tmp_path / "nano.onnx", tmp_path / "nano.onnx"], tmp_path / "site", runtime=package)
    entries = read_index(tmp_path / "site")["styles"]
    assert [entry["id"] for entry in entries] == ["wave-wave", "wave-nano", "wave-nano-no2"]


def test_only_a_site_is_overwritten(wave, package, tmp_path, capsys, one_error):
    arguments = [str(wave), "--output", str(tmp_path / "site"), "--runtime", str(package)]
    assert main(arguments) == 0
    assert "python -m http.server -d" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "pass --overwrite" in one_error()
    model = next((tmp_path / "site/models").iterdir())
    assert main([str(model), *arguments[1:], "--overwrite"]) == 2
    assert f"'{model}' is also an input and lies in" in one_error()
    (tmp_path / "site/models/old.onnx").touch()
    assert main([*arguments, "--overwrite"]) == 2
    assert "old.onnx' was not written by this program" in one_error()
    (tmp_path / "site/models/old.onnx").unlink()
    assert main([*arguments, "--overwrite"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    write(tmp_path / "album/photo.png", ramp())
    capsys.readouterr()
    assert main([str(wave), "--output", str(tmp_path / "album"), "--runtime", str(package), "--overwrite"]) == 2
    assert "is not a site of this program" in one_error()
    assert (tmp_path / "album/photo.png").is_file()


@pytest.mark.parametrize("index", ["", "{}", "[]", '{"shell": ["photo.png"], "styles": [], "runtime": 1}', "\xff"])
def test_a_folder_with_an_index_of_another_program_is_not_replaced(tmp_path, index):
    (tmp_path / "styles.json").write_text(index, encoding="latin-1")
    with pytest.raises(ExportError, match="is not a site of this program"):
        check_output(tmp_path, overwrite=True)


def test_mistakes_are_explained_in_one_sentence(wave, package, tmp_path, one_error):
    (tmp_path / "empty").mkdir()
    anonymous = onnx.load(wave / "style.onnx")
    anonymous.producer_name = "someone"
    del anonymous.metadata_props[:]
    onnx.save(anonymous, tmp_path / "anonymous.onnx")
    for style, message in (
        (tmp_path / "empty", "holds no style.onnx"),
        (tmp_path / "none.onnx", "does not exist"),
        (tmp_path / "anonymous.onnx", "does not name its style"),
    ):
        assert main([str(style), "--output", str(tmp_path / "site"), "--runtime", str(package)]) == 2
        assert message in one_error()
    assert main([str(wave), "--output", str(tmp_path / "no/site"), "--runtime", str(package)]) == 2
    assert "does not exist; create it" in one_error()
    assert main([str(wave), "--output", str(tmp_path / "site"), "--runtime", str(tmp_path / "empty")]) == 2
    assert "holds no package.json" in one_error()
    assert not (tmp_path / "site").exists()
