"""Resume means resume: a killed run ends bit for bit as one that was never interrupted."""

import csv
import errno
import functools
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn

from data.files import OutputError
from data.photos import hold_out
from models.style_file import load_style
from tests import ROOT
from tests.pictures import write_photos
from tests.train.small_run import arguments
from train.errors import TrainError
from train.fit.callbacks import LossGuard
from train.fit.checkpoint import AtomicCheckpointIO, LatestCheckpoint, compute_checksum
from train.fit.command import main, name_full_disk
from train.fit.datamodule import PhotoData

STEPS = 8


def weights(folder, name):
    network, _ = load_style(folder / "runs" / name / "style.safetensors")
    return network.state_dict()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    assert main(arguments(folder, steps=STEPS, name="whole")) == 0
    return folder


TORN = """
import os, pathlib, signal, sys
from train.fit.command import main
write = pathlib.Path.write_bytes
writes = []

def write_half(path, data):
    writes.append(path.name)
    if writes.count("last.ckpt.tmp") == 4:
        write(path, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, data)

pathlib.Path.write_bytes = write_half
sys.exit(main(sys.argv[1:]))
"""
"""Trains, and is killed in the middle of its fourth checkpoint."""

STOPPED = """
import signal, sys
from train.fit.callbacks import LossGuard
from train.fit.command import main
look = LossGuard.on_train_batch_end

def press(guard, trainer, *others):
    look(guard, trainer, *others)
    if trainer.global_step == 3:
        signal.raise_signal(signal.SIGINT)

LossGuard.on_train_batch_end = press
sys.exit(main(sys.argv[1:]))
"""
"""Trains, and gets Ctrl-C in its third step."""


def train_in_process(code, folder, name):
    words = [sys.executable, "-c", code, *arguments(folder, steps=STEPS, name=name)]
    # Where the tests run in the background of a shell, Ctrl-C is switched off, and programs inherit that.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=heard)


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
    assert train_in_process(TORN, reference, "torn").returncode == -signal.SIGKILL
    assert step_of(folder / "last.ckpt") == 3
    assert (folder / "last.ckpt.tmp").exists()
    resume(reference, "torn")
    assert_same_end(reference, "torn")


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(reference):
    done = train_in_process(STOPPED, reference, "stopped")
    assert done.returncode == 130, done.stderr
    assert f"holds step 3 of {STEPS}; go on with the same command and --ckpt_path" in done.stderr
    assert "Traceback" not in done.stderr
    resume(reference, "stopped")
    assert_same_end(reference, "stopped")


def test_a_stopped_training_of_stability_resumes_to_the_same_weights(tmp_path, monkeypatch):
    save = LatestCheckpoint.on_train_batch_end

    def stop_at_two(callback, trainer, *others):
        callback._asked_to_stop = trainer.global_step == 2
        save(callback, trainer, *others)

    options = {"steps": 4, "model.stability_weight": 1}
    assert main(arguments(tmp_path, **options, name="whole")) == 0
    with monkeypatch.context() as stopped:
        stopped.setattr(LatestCheckpoint, "on_train_batch_end", stop_at_two)
        assert main(arguments(tmp_path, **options, name="stopped")) == 130
    assert step_of(tmp_path / "runs" / "stopped" / "last.ckpt") == 2
    assert main(arguments(tmp_path, **options, name="stopped", ckpt_path="last")) == 0
    assert_same_end(tmp_path, "stopped")
    with (tmp_path / "runs" / "stopped" / "metrics.csv").open(newline="") as file:
        assert all(float(row["stability"]) > 0 for row in csv.DictReader(file))


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


def write_checkpoint(path):
    values = {"loss": 0.1, "names": ("a", "b"), "kinds": {"x", "y"}, "count": 10**30, "nothing": None}
    checkpoint = {
        "pytorch-lightning_version": "2.6.0",
        "global_step": 3,
        "epoch": 0,
        "loops": {},
        "callbacks": {"guard": values},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.full((8,), 0.5)}}}],
        "lr_schedulers": [],
        "state_dict": {"network.weight": torch.ones(64, 64), "network.half": torch.ones(3, dtype=torch.bfloat16)},
        "random_state": torch.zeros(4, dtype=torch.uint8),
    }
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    return checkpoint


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    written = write_checkpoint(tmp_path / "last.ckpt")
    loaded = AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
    assert compute_checksum(loaded) == compute_checksum(written)
    assert loaded["callbacks"] == written["callbacks"]
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_one_flipped_bit_in_a_tensor_is_found(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path)
    content = bytearray(path.read_bytes())
    # In the middle of the 4,096 ones of the weight.
    content[content.index(torch.ones(64).numpy().tobytes()) + 4097] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainError, match=r"last\.ckpt' is damaged: it is not as it was written; go on from a copy"):
        AtomicCheckpointIO().load_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"state_dict": {"network.weight": torch.zeros(64, 64)}},
        {"global_step": 4},
        {"callbacks": {}},
        {"checksum": None},
        {"checksum": None, "state_dict": [1]},
        {"checksum": None, "loops": None},
        {"checksum": None, "optimizer_states": "none"},
    ],
)
def test_a_changed_checkpoint_is_refused(tmp_path, change):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path)
    torch.save(torch.load(path, weights_only=True) | change, path)
    if change == {"checksum": None}:
        # As earlier versions wrote it, whose runs go on.
        assert AtomicCheckpointIO().load_checkpoint(path)["global_step"] == 3
        return
    with pytest.raises(TrainError, match=r"last\.ckpt' is damaged"):
        AtomicCheckpointIO().load_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"callbacks": {"LossGuard": 0.5}},
        {"optimizer_states": [{}]},
        {"lr_schedulers": [None]},
        {"loops": {"fit_loop": 0}},
        {"random_state": "none"},
    ],
)
def test_a_checkpoint_without_checksum_that_cannot_be_restored_is_refused(reference, tmp_path, capsys, change):
    checkpoint = torch.load(reference / "runs" / "whole" / "last.ckpt", weights_only=True)
    del checkpoint["checksum"]
    torch.save(checkpoint | change, tmp_path / "mutant.ckpt")
    words = arguments(reference, steps=STEPS, name="mutant", ckpt_path=tmp_path / "mutant.ckpt")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "mutant.ckpt' does not fit: what it holds cannot be restored" in said
    assert not (reference / "runs" / "mutant").exists()


def test_photos_that_are_missing_are_counted_and_no_checkpoint_reads_the_list_anew(tmp_path, monkeypatch):
    def list_photos():
        data = PhotoData(str(tmp_path), image_size=64)
        data.setup("fit")
        data.trainer = SimpleNamespace(max_steps=1, world_size=1, state=SimpleNamespace(fn=TrainerFn.FITTING))
        return data

    photos = write_photos(tmp_path, 8)
    before = list_photos()
    plan = before.state_dict()
    _, held_out = hold_out(photos, 2, tmp_path)
    next(path for path in photos if path not in held_out).unlink()
    with pytest.raises(TrainError, match=r"another number of photos \(8, now 7\)"):
        list_photos().load_state_dict(plan)
    monkeypatch.setattr("train.fit.datamodule.fingerprint", None)
    assert before.state_dict() == plan


def test_a_full_disk_keeps_the_old_checkpoint_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"last\.ckpt' cannot be written \(No space left on device\); make room"):
        write_checkpoint(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_names_the_run_and_the_thread_of_the_log_prints_nothing(tmp_path, capsys):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device")

    def train():
        with name_full_disk(lambda: tmp_path):
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
            fail()

    with pytest.raises(OSError, match="No space left") as found:
        train()
    assert found.value.filename == str(tmp_path)
    assert capsys.readouterr().err == ""


def test_a_full_disk_that_has_a_sentence_keeps_it(tmp_path):
    with pytest.raises(OutputError) as found, name_full_disk(lambda: tmp_path):
        raise OutputError("'last.ckpt' cannot be written (No space left on device)")
    assert str(found.value) == "'last.ckpt' cannot be written (No space left on device)"


def test_a_full_disk_keeps_the_rows_of_a_run_that_goes_on(tmp_path, monkeypatch):
    guard = LossGuard()
    guard.path = tmp_path / "metrics.csv"
    guard.path.write_text("step,loss\n1,2.5\n")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    own = str(tmp_path / "last.ckpt")
    with pytest.raises(OutputError, match=r"metrics\.csv' cannot be written \(No space left on device\)"):
        guard.on_train_start(SimpleNamespace(is_global_zero=True, global_step=1, ckpt_path=own), None)
    assert guard.path.read_text() == "step,loss\n1,2.5\n"
