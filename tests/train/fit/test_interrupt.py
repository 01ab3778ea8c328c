"""After Ctrl-C a run says what it has written and how to go on."""

import signal

import pytest

from export.graph.convert import convert
from tests.train.small_run import arguments
from train.fit import command
from train.fit.callbacks import LossGuard
from train.fit.command import main
from train.fit.datamodule import _ignore_stops


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_ctrl_c_during_the_export_names_what_is_written_and_the_command_that_exports(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "convert", interrupt)
    assert main(arguments(tmp_path, steps=2)) == 130
    run = tmp_path / "runs" / "small"
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"stopped during the export; '{run / 'last.ckpt'}' (step 2 of 2) and '{run / 'style.safetensors'}' are "
        f"written; export with python -m export {run} --output {run / 'style.onnx'} --overwrite"
    )
    convert(run, run / "style.onnx", overwrite=True)


@pytest.mark.parametrize(("every", "said"), [(1, "holds step 2 of 4; go on with"), (3, "before the first checkpoint")])
def test_second_ctrl_c_names_the_checkpoint_that_is_there(tmp_path, monkeypatch, capsys, every, said):
    handler = signal.getsignal(signal.SIGINT)

    def press_twice(guard, trainer, *_):
        if trainer.global_step == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    # It is called before the third step is saved.
    monkeypatch.setattr(LossGuard, "on_train_batch_end", press_twice)
    assert main(arguments(tmp_path, steps=4, checkpoint__every_n_steps=every)) == 130
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "runs" / "small" / "last.ckpt").exists() == (every == 1)
    assert signal.getsignal(signal.SIGINT) is handler


def test_sigterm_saves_the_step_and_is_not_taken_for_the_end(tmp_path, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGTERM)

    def end(guard, trainer, *_):
        if trainer.global_step == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(LossGuard, "on_train_batch_end", end)
    assert main(arguments(tmp_path, steps=4, checkpoint__every_n_steps=4)) == 130
    assert "holds step 3 of 4; go on with" in capsys.readouterr().err.splitlines()[-1]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert main(arguments(tmp_path, steps=4, ckpt_path="last")) == 0
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_process_that_decodes_photos_goes_on_after_one_sigterm():
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _ignore_stops(0)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    last = signal.getsignal(signal.SIGTERM)
    for number, handler in former.items():
        signal.signal(number, handler)
    assert last is signal.SIG_DFL


def test_ctrl_c_while_a_finished_run_is_measured_again_loses_nothing(tmp_path, monkeypatch, capsys):
    assert main(arguments(tmp_path, steps=2)) == 0
    monkeypatch.setattr("train.fit.module.StyleTraining.validation_step", interrupt)
    assert main(arguments(tmp_path, steps=2, ckpt_path="last")) == 130
    assert "holds step 2 of 2; go on with" in capsys.readouterr().err


def test_ctrl_c_in_a_validation_is_no_silent_end(tmp_path, monkeypatch, capsys):
    assert main(arguments(tmp_path, steps=1)) == 0
    monkeypatch.setattr("train.fit.module.StyleTraining.validation_step", interrupt)
    assert main(["validate", *arguments(tmp_path, steps=1)[1:]]) == 130
    assert "nothing was written" in capsys.readouterr().err
