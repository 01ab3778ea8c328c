"""Files of ``torch.save`` are read within bounds, and never without protection."""

from __future__ import annotations

import zipfile

import pytest
import torch

from models.archive import load_archive
from models.errors import first_line
from models.vgg import PerceptualWeightsError, load_perceptual_weights


class Other:
    """What is no tensor and no plain value."""


def write_bomb(path):
    """Write a file of torch whose tensor is compressed."""
    torch.save({"features.0.weight": torch.zeros(10_000_000)}, path.with_suffix(".whole"))
    with (
        zipfile.ZipFile(path.with_suffix(".whole")) as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    return path


def test_what_torch_saved_comes_back(tmp_path):
    torch.save({"a": torch.arange(3), "b": [1, "two"]}, tmp_path / "x.pth")
    loaded = load_archive(tmp_path / "x.pth")
    assert loaded["b"] == [1, "two"]
    assert torch.equal(loaded["a"], torch.arange(3))


def test_a_compressed_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = write_bomb(tmp_path / "bomb.pth")
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(ValueError, match=r"holds 40,\d+,\d+ bytes compressed into \d\d,"):
        load_archive(path)
    with pytest.raises(PerceptualWeightsError, match=r"bomb\.pth' cannot be read \(it holds 40,"):
        load_perceptual_weights("vgg19", str(path))


def test_what_a_message_repeats_of_a_file_is_printable_and_short():
    assert first_line(ValueError("a\x1b[31m\x00b\nc")) == "a\\x1b[31m\\x00b"
    assert first_line(ValueError("x" * 10_000)) == "x" * 300
    assert first_line(KeyError()) == "KeyError"


def test_no_message_advises_to_read_a_file_without_protection(tmp_path):
    torch.save({"a": Other()}, tmp_path / "object.pth")
    torch.save({}, tmp_path / "script.pth")
    with zipfile.ZipFile(tmp_path / "script.pth", "a") as archive:
        archive.writestr("script/constants.pkl", b"\x80\x02).")
    for name, reason in (("object.pth", "more than tensors and plain values"), ("script.pth", "TorchScript archive")):
        with pytest.raises(PerceptualWeightsError, match=reason) as caught:
            load_perceptual_weights("vgg19", str(tmp_path / name))
        assert "weights_only" not in str(caught.value)
        assert "\n" not in str(caught.value)
