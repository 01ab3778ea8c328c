"""A command line that cannot work is refused in one sentence, by every training command, and leaves nothing behind."""

import importlib
from pathlib import Path

import pytest

from data.images import encode, from_array
from tests.export.small_export import draw
from tests.train import small_run

LONG = "x" * 300
DIGITS = "9" * 5000
HOSTILE = "a\x1b[31m\nb" + "y" * 200_000

FIT = [
    ("config=latin1.yaml", "not UTF-8 text (byte 0xe9 at 2)"),
    ("config=binary.yaml", "not UTF-8 text (byte 0xff at 0)"),
    ("config=self.yaml", "self.yaml"),
    (f"trainer.max_steps={DIGITS}", "a number of 5000 digits"),
    (f"trainer.devices={DIGITS}", "a number of 5000 digits"),
    ("seed_everything=-1", "--seed_everything is -1; it must be between 0 and 4294967295"),
    ("seed_everything=4294967296", "--seed_everything"),
    ("name=afile", "is a file, and a folder is needed; choose another --name"),
    ("ckpt_path=", "--ckpt_path is an empty string"),
    (f"name={LONG}", "File name too long"),
    (f"runs=new/{LONG}", "File name too long"),
    (f"model.style={HOSTILE}", "a\\x1b[31m\\nb"),
    (f"data.photos={LONG}", "File name too long"),
    (f"model.perceptual_weights={LONG}", "File name too long"),
    ("data.image_size=100000", "--data.image_size is 100000; it must be between 64 and 4096"),
    ("data.batch_size=1000000", "--data.batch_size"),
    ("data.workers=100000", "--data.workers"),
    ("data.crop_scale=[.nan, 1]", "--data.crop_scale is nan"),
    ("model.learning_rate=1e300", "--model.learning_rate"),
    ("model.learning_rate=.inf", "--model.learning_rate is inf"),
    ("model.style_weight=1e300", "--model.style_weight"),
    ("model.network.width=1000000000", "--model.network.width"),
    ("model.network.residual_blocks=1000000000", "--model.network.residual_blocks"),
    ("preview.count=1000000000", "--preview.count"),
    ("trainer.accelerator=tpu", "leave out --trainer.accelerator"),
    ("trainer.devices=-1", "leave out --trainer.accelerator"),
    ("trainer.devices=foo", "leave out --trainer.accelerator"),
    ("trainer.precision=16-true", "say 32-true or bf16-mixed"),
    ("trainer.precision=64-true", "say 32-true or bf16-mixed"),
    ("trainer.precision=16-mixed", "needs a GPU"),
    ("trainer.fast_dev_run=true", "--trainer.max_steps"),
    ("trainer.accumulate_grad_batches=0", "--trainer.accumulate_grad_batches"),
    ("trainer.val_check_interval=0", "--trainer.val_check_interval"),
    ("trainer.val_check_interval=0.0", "--trainer.val_check_interval"),
    ("trainer.check_val_every_n_epoch=0", "--trainer.check_val_every_n_epoch"),
    ("trainer.gradient_clip_val=.nan", "--trainer.gradient_clip_val"),
    ("trainer.max_time=foo", "--trainer.max_time is foo"),
]
DISTILL = ("train.distill.command", ["--data.photos=photos", "--model.paintings=[painting.png]", "--output=out"])
SLOW = ("train.slow.command", ["--content=painting.png", "--style=painting.png", "--output=out.png"])
DREAM = ("train.dream.command", ["--content=painting.png", "--output=out.png"])
COMPARE = (
    "train.compare.command",
    ["--model", "m.onnx", "--style", "painting.png", "--photos", "photos", "--output", "out"],
)
KEPT = ("train.slow.reconstruct", ["--content", "painting.png", "--output", "out", "--perceptual", "vgg_small"])
FEATURES = ("train.features.command", ["--photos", "photos", "--output", "out"])
KEEP = ("train.keep.command", [])
OTHERS = [
    (("train.fit.command", ["fit"]), [], "--model.style must be given; for example: python -m train fit --config"),
    (("train.distill.command", []), [], "--model.paintings must be given; for example: python -m train.distill"),
    (("train.slow.command", []), [], "--output must be given; for example: python -m train.slow --content"),
    (("train.dream.command", []), [], "must be given; for example: python -m train.dream --content"),
    (DISTILL, ["--trainer.max_steps=0"], "--trainer.max_steps is 0"),
    (DISTILL, ["--trainer.max_steps=-1"], "--trainer.max_steps is -1"),
    (DISTILL, ["--model.learning_rate=-1"], "--model.learning_rate is -1"),
    (DISTILL, ["--ckpt_path="], "--ckpt_path is an empty string"),
    (SLOW, ["--seed=" + "1" * 25], "--seed is 1111111111111111111111111; it must be a finite number"),
    (SLOW, [f"--seed={DIGITS}"], "a number of 5000 digits"),
    (SLOW, ["--patience=" + "1" * 25], "--patience"),
    (SLOW, ["--size=100000000"], "--size is 100000000"),
    (SLOW, ["--output="], "--output is an empty string"),
    (SLOW, [f"--output={LONG}.png"], "File name too long"),
    (SLOW, [f"--output=new/{LONG}/out.png"], "File name too long"),
    (SLOW, ["--optimizer=adam", "--learning-rate=1e300"], "--learning-rate is 1e+300"),
    (SLOW, [f"--content={HOSTILE}"], "a\\x1b[31m\\nb"),
    (SLOW, ["--config=latin1.yaml"], "not UTF-8 text"),
    (DREAM, ["--jitter=" + "1" * 25], "--jitter is 1111111111111111111111111"),
    (DREAM, ["--size=100000000"], "--size is 100000000"),
    (DREAM, ["--output="], "--output is an empty string"),
    (DREAM, ["--layers={relu2_1: .nan}"], "--layers.relu2-1 is nan"),
    (DREAM, ["--config=binary.yaml"], "not UTF-8 text"),
    (COMPARE, ["--count", DIGITS], "positive integer"),
    (COMPARE, ["--size", DIGITS], "must be an integer between"),
    (COMPARE, ["--output", LONG], "File name too long"),
    (KEPT, ["--size", DIGITS], "must be an integer between"),
    (KEPT, ["--seed", DIGITS], "must be an integer between"),
    (KEPT, ["--tv-weight", "nan"], "--tv-weight is nan"),
    (KEPT, ["--alpha-weight", "-1"], "--alpha-weight is -1"),
    (KEPT, ["--layers", "relu9_1"], "relu9_1"),
    (KEPT, ["--content", "photos"], "is a folder"),
    (KEPT, ["--output", "afile"], "is a file, and a folder is needed"),
    (FEATURES, ["--size", DIGITS], "must be an integer between"),
    (FEATURES, ["--channels", "-1"], "must be an integer between"),
    (FEATURES, ["--photos", ""], "an empty string is not a path"),
    (FEATURES, ["--layers", HOSTILE], "a\\x1b[31m\\nb"),
    (FEATURES, ["--model", LONG], "File name too long"),
    (FEATURES, ["--perceptual", "vgg_small", "--output", "afile"], "is a file, and a folder is needed"),
    (KEEP, [LONG, "kept.safetensors"], "File name too long"),
    (KEEP, ["afile", f"{LONG}.safetensors"], "File name too long"),
    (("train.bench.command", []), ["--endurance", "-1"], "--endurance is -1"),
    (("train.bench.command", []), ["--endurance", DIGITS], "must be an integer between"),
    (("train.bench.command", []), ["--rounds", DIGITS], "positive integer"),
    (("train.slow.benchmark", []), ["--content=c", "--style=s", "--seconds=0"], "--seconds is 0.0; it must be"),
    (("train.slow.benchmark", []), ["--content=c", "--style=s", f"--size={DIGITS}"], "invalid int value"),
    (("train.compare.pairs", []), ["--seed", DIGITS], "must be an integer"),
    (("train.__main__", []), [HOSTILE], "is not a command of python -m train"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    small_run.arguments(folder)
    encode(from_array(draw(48, 40)), folder / "photo.png")
    (folder / "latin1.yaml").write_bytes(b"# \xe9\n")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (folder / "self.yaml").write_text("config: self.yaml\n")
    (folder / "afile").write_text("")
    return folder


def refuse(module, words):
    """Run a command in the folder of inputs, which must refuse and leave it as it was."""
    before = sorted(Path.cwd().iterdir())
    try:
        code = importlib.import_module(module).main(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert sorted(Path.cwd().iterdir()) == before


@pytest.mark.parametrize(("flag", "said"), FIT)
def test_a_training_that_cannot_work_is_refused_in_one_sentence(inputs, monkeypatch, one_error, flag, said):
    monkeypatch.chdir(inputs)
    name, _, value = flag.partition("=")
    # The file of this name lies beside the runs.
    runs = "." if value == "afile" else "runs"
    refuse("train.fit.command", small_run.arguments(inputs, **{"runs": runs, name: value}))
    assert said in one_error()


@pytest.mark.parametrize(("command", "added", "said"), OTHERS)
def test_a_line_that_cannot_work_is_refused_in_one_sentence(inputs, monkeypatch, one_error, command, added, said):
    monkeypatch.chdir(inputs)
    module, words = command
    refuse(module, [*words, *added])
    sentence = one_error()
    assert said in sentence
    assert len(sentence) < 2000
