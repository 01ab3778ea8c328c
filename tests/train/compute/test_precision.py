"""The precision is that of the hardware, or the one that the environment asks for."""

import pytest
import torch

from train.compute.precision import BFLOAT16, ENVIRONMENT, FLOAT32, best_precision, is_lowered, lower_precision
from train.errors import TrainError

CPU = torch.device("cpu")


@pytest.mark.parametrize(("asked", "found"), [("float32", FLOAT32), ("bfloat16", BFLOAT16)])
def test_environment_chooses_the_precision(monkeypatch, asked, found):
    monkeypatch.setenv(ENVIRONMENT, asked)
    assert best_precision() == best_precision("cpu") == found
    assert is_lowered("auto", CPU) == (found == BFLOAT16)
    with lower_precision("auto", CPU):
        assert torch.is_autocast_enabled("cpu") == (found == BFLOAT16)


def test_hardware_chooses_it_otherwise(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    detected = best_precision("cpu")
    monkeypatch.setenv(ENVIRONMENT, "auto")
    assert best_precision("cpu") == detected


def test_unknown_precision_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "half")
    with pytest.raises(TrainError, match="ONESTROKE_PRECISION is 'half'; set it to auto, float32 or bfloat16"):
        best_precision()
