"""The command says which file each photo becomes, overwrites nothing unless told, and writes whole files or none."""

from pathlib import Path

import pytest

from export.stylize import command as stylize
from tests.export.stylize.stylize_command import read, run, save_photo
from tests.pictures import announce_png


@pytest.mark.parametrize(
    ("photo", "output"), [("a.jpg", "a-wave.jpg"), ("b.PNG", "b-wave.PNG"), ("c.bmp", "c-wave.png")]
)
def test_one_photo_without_output_goes_beside_it(model, folder, photo, output, capsys):
    save_photo(folder / "album" / photo)
    assert run(model, Path("album") / photo) == 0
    assert read(folder / "album" / output).size == (33, 24)
    assert output in capsys.readouterr().out


def test_existing_picture_is_replaced_only_when_told(model, folder, one_error, monkeypatch):
    save_photo(folder / "photo.jpg")
    (folder / "out.jpg").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(stylize, "Stylizer", None)
        assert run(model, "photo.jpg", "--output", "out.jpg") == 2
    assert "--overwrite" in one_error()
    assert (folder / "out.jpg").read_text() == "mine"
    assert run(model, "photo.jpg", "--output", "out.jpg", "--overwrite") == 0
    assert read(folder / "out.jpg").size == (33, 24)


@pytest.mark.parametrize("output", ["photo.jpg", "./photo.jpg", "same.jpg", "."])
def test_photo_itself_is_never_overwritten(model, folder, output, one_error):
    before = save_photo(folder / "photo.jpg").read_bytes()
    (folder / "same.jpg").hardlink_to(folder / "photo.jpg")
    assert run(model, "photo.jpg", "--output", output, "--overwrite") == 2
    assert "is a photo that is read" in one_error()
    assert (folder / "photo.jpg").read_bytes() == before


def test_photos_are_not_overwritten_by_each_others_pictures(model, folder, one_error):
    save_photo(folder / "a/x.jpg")
    save_photo(folder / "b/x.jpg")
    before = (folder / "b/x.jpg").read_bytes()
    for photos in [["a", "b"], ["b"], ["b/x.jpg"], ["a/x.jpg", "b"]]:
        assert run(model, *photos, "--output", "b", "--overwrite") == 2
        one_error()
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


def test_output_folder_inside_the_photo_folder_is_not_stylized_again(model, folder):
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
        (["b", "--output", "new.png"], "is named like a picture, and several photos need a folder; name one, as in"),
        (["empty", "--output", "out"], "holds no picture"),
        (["a.jpg", "--output", "absent/out.jpg"], "does not exist"),
        (["a.jpg", "--output", "out.xyz"], "cannot be written"),
        (["text.jpg", "--output", "out.jpg"], "cannot be read"),
        (["bomb.png", "--output", "out.jpg"], "30000 x 30000"),
        (["a.jpg", "--output", "out.jpg", "--provider", "warp"], "choose one of"),
    ],
)
def test_mistake_gets_one_sentence_and_nothing_is_written(model, folder, arguments, sentence, one_error):
    save_photo(folder / "a.jpg")
    save_photo(folder / "b/a.jpg")
    (folder / "empty").mkdir()
    (folder / "text.jpg").write_text("Dear sir or madam,\n" * 9)
    announce_png(folder / "bomb.png", 30000, 30000)
    before = sorted(folder.rglob("*"))
    assert run(model, *arguments) == 2
    assert sentence in one_error()
    assert sorted(folder.rglob("*")) == before


def test_folder_that_cannot_be_made_is_refused_before_a_photo_is_painted(model, folder, one_error, monkeypatch):
    save_photo(folder / "a.jpg")
    (folder / "file").write_text("mine")
    monkeypatch.setattr(stylize, "stylize_photo", None)
    for output in ("file/out/", "/proc/out/"):
        assert run(model, "a.jpg", "--output", output) == 2
        assert "choose another --output" in one_error()


@pytest.mark.parametrize("content", [None, b"Dear sir or madam", "truncated", "tampered"])
def test_unusable_model_gets_one_sentence_and_nothing_is_written(model, folder, content, one_error):
    save_photo(folder / "a.jpg")
    whole = model.read_bytes()
    if content is not None:
        broken = {"truncated": whole[:5000], "tampered": whole[:-80] + b"!" + whole[-79:]}.get(content, content)
        (folder / "bad.onnx").write_bytes(broken)
    before = sorted(folder.rglob("*"))
    for arguments in [["a.jpg", "--output", "out.jpg"], ["a.jpg", "--output", "out/"]]:
        assert run("bad.onnx", *arguments) == 2
        assert "bad.onnx" in one_error()
    assert sorted(folder.rglob("*")) == before


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
