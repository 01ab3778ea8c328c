"""Resume means resume: a killed run ends bit for bit as one that was never interrupted."""

import signal
import subprocess
import time

import pytest
import torch

from models.style_file import load_style
from tests import ROOT
from tests.train.small_run import arguments, command
from train.errors import TrainError
from train.fit.checkpoint import AtomicCheckpointIO
from train.fit.command import main

STEPS = 24


def weights(folder, name):
    network, _ = load_style(folder / "runs" / name / "style.safetensors")
    return network.state_dict()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    assert main(arguments(folder, steps=STEPS, name="whole")) == 0
    return folder


def start(folder, name):
    return subprocess.Popen(
        command(arguments(folder, steps=STEPS, name=name)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read().decode()
        assert time.monotonic() < end, "the run did not get there"
        time.sleep(0.002)


def resume(folder, name):
    checkpoint = folder / "runs" / name / "last.ckpt"
    assert main([*arguments(folder, steps=STEPS, name=name), f"--ckpt_path={checkpoint}"]) == 0


def step_of(checkpoint):
    return torch.load(checkpoint, weights_only=True)["global_step"]


def assert_same_end(folder, name):
    expected = weights(folder, "whole")
    for key, value in weights(folder, name).items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.slow
def test_a_run_killed_while_it_writes_a_checkpoint_resumes_to_the_same_weights(reference):
    folder = reference / "runs" / "torn"
    process = start(reference, "torn")
    # A checkpoint is written at every step, so that its temporary file is soon caught in the making.
    wait_for(lambda: (folder / "last.ckpt").exists() and (folder / "last.ckpt.tmp").exists(), process)
    process.kill()
    process.wait()
    assert 0 < step_of(folder / "last.ckpt") < STEPS
    resume(reference, "torn")
    assert_same_end(reference, "torn")


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(reference):
    folder = reference / "runs" / "stopped"
    process = start(reference, "stopped")
    wait_for((folder / "last.ckpt").exists, process)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, output
    assert "--ckpt_path" in output
    assert "Traceback" not in output
    resume(reference, "stopped")
    assert_same_end(reference, "stopped")


def test_a_failed_checkpoint_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"random_state": torch.zeros(1)}, path)
    before = path.read_bytes()

    def fail(_, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("train.fit.checkpoint.torch.save", fail)
    with pytest.raises(OSError, match="disk full"):
        AtomicCheckpointIO().save_checkpoint({}, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_damaged_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "last.ckpt"
    if content is None:
        torch.save({"state_dict": {}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(TrainError, match=r"last\.ckpt"):
        AtomicCheckpointIO().load_checkpoint(path)
