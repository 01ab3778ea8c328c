"""A tensor file that cannot be written leaves the former one, and is told of by its own name."""

import errno
import os

import pytest
import torch
from safetensors.torch import load_file

from models.tensor_file import write_tensors


def test_a_full_disk_keeps_the_former_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "wave.safetensors"
    write_tensors(path, {"weight": torch.ones(3)}, {"format": "first"})

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left") as found:
        write_tensors(path, {"weight": torch.zeros(3)}, {"format": "second"})
    assert found.value.filename == str(path)
    assert torch.equal(load_file(path)["weight"], torch.ones(3))
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


def test_others_may_read_the_file_as_far_as_they_may_read_new_files(tmp_path):
    write_tensors(tmp_path / "wave.safetensors", {"weight": torch.ones(3)}, {})
    (tmp_path / "usual").touch()
    assert (tmp_path / "wave.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode
