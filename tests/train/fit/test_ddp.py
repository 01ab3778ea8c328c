"""Two processes take the steps of one with the doubled batch."""

import csv

import pytest
import torch

from models.style_file import load_style
from tests.train.small_run import arguments, run
from train.fit.command import main


def weights(folder):
    """Join all weights but the biases before a norm, which do nothing: Adam moves them by rounding noise alone."""
    network, _ = load_style(folder / "style.safetensors")
    values = network.state_dict().items()
    return torch.cat([value.flatten() for name, value in values if "norm" in name or "weight" in name])


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no distributed package")
def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    assert main(arguments(tmp_path, steps=5, photos=20, name="one", data__batch_size=4)) == 0
    two = run(arguments(tmp_path, steps=5, name="two", data__batch_size=2, trainer__strategy="ddp", trainer__devices=2))
    assert two.returncode == 0, two.stderr
    first, second = (weights(tmp_path / "runs" / name) for name in ("one", "two"))
    assert main(arguments(tmp_path, steps=5, name="other", data__batch_size=2)) == 0
    # Half the batch, without the other process, ends elsewhere: the test can tell.
    assert (first - second).norm() < 0.1 * (first - weights(tmp_path / "runs" / "other")).norm()
    with (tmp_path / "runs" / "two" / "metrics.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
