"""YAML may repeat itself by aliases, and stand for a bounded number of values, in files and on the command line."""

from __future__ import annotations

import importlib

import pytest
import yaml

from train.dream.command import main as dream
from train.slow.command import main as slow
from train.yaml_bound import YAMLBoundError, load_bounded, require_bounded

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FLOW = "{" + ", ".join(BOMB.strip().splitlines()) + "}"


def test_a_few_aliases_are_read():
    text = "a: &a [1, 2]\nb: [*a, *a]\nc: {<<: &m {x: 1}, y: *a}\n"
    assert load_bounded(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "more than the 10,000 values accepted, each alias counted as what it repeats"),
        ("[" + "1, " * 10_001 + "]", "more than the 10,000 values"),
        ("a: &a [*a]", r"\*a repeats what it is a part of"),
        ("a: &a {b: {c: *a}}", r"\*a repeats what it is a part of"),
        ("[" * 60 + "]" * 60, "more than 50 lists or mappings"),
    ],
)
def test_a_text_that_stands_for_too_much_is_refused_before_it_is_built(text: str, reason: str):
    with pytest.raises(YAMLBoundError, match=reason):
        require_bounded(text)


@pytest.mark.parametrize("main", [slow, dream])
@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]"], ids=["bomb", "loop"])
def test_a_configuration_file_is_refused_in_one_sentence(tmp_path, one_error, main, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(tmp_path / "x.yaml"), "--output", "x.png"])
    assert caught.value.code == 2
    assert "values accepted" in one_error() or text != BOMB


@pytest.mark.slow
@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]"], ids=["bomb", "loop"])
@pytest.mark.parametrize("words", [["fit"], ["distill"], ["start"]], ids=str)
def test_a_trainers_configuration_file_is_refused_in_one_sentence(tmp_path, one_error, words, text):
    main = importlib.import_module(f"train.{words[0]}.command").main
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SystemExit) as caught:
        main([*(words if words == ["fit"] else []), "--config", str(tmp_path / "x.yaml")])
    assert caught.value.code == 2
    assert "values accepted" in one_error() or text != BOMB


@pytest.mark.parametrize("flag", [["--style-layers", FLOW], [f"--style-layers={FLOW}"]])
def test_a_value_on_the_command_line_is_refused_in_one_sentence(one_error, flag):
    with pytest.raises(SystemExit):
        slow([*flag, "--output", "x.png"])
    assert "more than the 10,000 values accepted" in one_error()
