"""Flags made of a dataclass have dashes; underscores and bare switches are accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from data.files import OutputError
from train.config_parser import parse_config, spell_flags


@dataclass
class Settings:
    """Try the parser.

    Args:
        output: File to write.
        words: Several words.
        photo: A file, if any.
        save_every: Iterations between two files.
        keep_all: Keep them.
        rate: A number.
    """

    output: str
    save_every: int = 3
    keep_all: bool = False
    rate: float = 1.0
    words: list[str] = field(default_factory=list)
    photo: str | None = None


def parse(*args):
    return parse_config(Settings, "try", "Try it.", ["try --output out.png"], args, lambda found: [Path(found.output)])


def test_help_shows_dashes(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    assert "--save-every" in shown
    assert "--save_every" not in shown
    assert "\n  try --output out.png" in shown


@pytest.mark.parametrize("flags", [["--save-every", "5"], ["--save_every=5"], ["--save-every=5"]])
def test_flags_may_have_dashes_or_underscores(flags):
    assert parse("--output", "a-b.png", *flags) == Settings("a-b.png", 5)


def test_configuration_files_have_the_names_of_the_fields(tmp_path):
    (tmp_path / "some.yaml").write_text("save_every: 7\nkeep_all: true\n")
    assert parse("--config", str(tmp_path / "some.yaml"), "--output=o") == Settings("o", 7, True)


def test_a_configuration_file_is_no_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.yaml").write_text("output: some.yaml\n")
    with pytest.raises(OutputError, match=r"some\.yaml' is also an input; choose another --output"):
        parse("--config", "some.yaml")


def test_switches_need_no_value():
    assert parse("--keep-all", "--output", "o").keep_all
    assert not parse("--keep-all", "false", "--output", "o").keep_all
    assert spell_flags([], {"keep_all"}) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--words", "one", "two words", "--keep-all"], ["one", "two words"]),
        (["--words", "one"], ["one"]),
        (["--words", "[one, two]"], ["one", "two"]),
        (["--words=[one]"], ["one"]),
        ([], []),
    ],
)
def test_a_setting_may_take_several_words(flags, words):
    assert parse(*flags, "--output", "o").words == words


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "--output must be given; for example: try --output out.png"),
        (["--output", "o", "--save-every", "x"], "--save-every: "),
        (["--output", "o", "--rate", "9" * 400], "a number has more digits than any computer counts with"),
    ],
)
def test_mistakes_get_one_sentence(one_error, args, sentence):
    with pytest.raises(SystemExit):
        parse(*args)
    assert sentence in one_error()


@pytest.mark.parametrize("name", ["#1 photo.jpg", "~", "Null", "2024", "a: b.jpg", "[old] photo.jpg"])
def test_a_text_is_kept_as_it_is_typed(name):
    assert parse("--output", "o", "--photo", name).photo == name
    assert parse("--output", "o", f"--photo={name}").photo == name


def test_null_takes_the_text_of_a_configuration_file_back(tmp_path):
    (tmp_path / "some.yaml").write_text("photo: photo.jpg\n")
    flags = ["--config", str(tmp_path / "some.yaml"), "--output", "o"]
    assert parse(*flags).photo == "photo.jpg"
    assert parse(*flags, "--photo", "null").photo is None
