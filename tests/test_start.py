"""A run starts from what its flags say, or says in one sentence why it cannot."""

import pytest
import torch

from models.weights import load_style
from tests.errors import one_error
from tests.small_run import arguments
from train.command import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    assert main(arguments(folder, steps=2)) == 0
    return folder


def snapshot(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_last_means_the_checkpoint_of_the_run_folder(finished):
    style = finished / "runs" / "small" / "style.safetensors"
    before = load_style(style)[0].state_dict()
    assert main(arguments(finished, steps=2, ckpt_path="last", seed_everything=0)) == 0
    after = load_style(style)[0].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(("word", "name"), [("last", "new"), ("best", "small"), ("hpc", "small")])
def test_other_words_for_a_checkpoint_are_refused_and_nothing_is_removed(finished, capsys, word, name):
    before = snapshot(finished)
    assert main(arguments(finished, steps=2, ckpt_path=word, name=name, overwrite="true")) == 2
    assert "--ckpt_path" in one_error(capsys)
    assert snapshot(finished) == before
