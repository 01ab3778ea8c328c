"""Two processes take the steps of one with the doubled batch."""

import csv

import pytest
import torch

from models.weights import load_style
from tests.small_run import arguments, run


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no distributed package")
def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    one = run(arguments(tmp_path, steps=5, photos=20, name="one", data__batch_size=4))
    assert one.returncode == 0, one.stderr
    two = run(arguments(tmp_path, steps=5, name="two", data__batch_size=2, trainer__strategy="ddp", trainer__devices=2))
    assert two.returncode == 0, two.stderr
    first, _ = load_style(tmp_path / "runs" / "one" / "style.safetensors")
    second, _ = load_style(tmp_path / "runs" / "two" / "style.safetensors")
    for name, value in first.state_dict().items():
        # Adam's first steps have the size of the learning rate whatever the gradient's: noise in one that is nearly
        # zero, as the bias before a norm is, moves the weight by up to that.
        if not name.endswith("bias") or "norm" in name:
            torch.testing.assert_close(value, second.state_dict()[name], atol=1e-3, rtol=1e-3, msg=name)
    with (tmp_path / "runs" / "two" / "metrics.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
