"""A training for which there is no room ends in one sentence, whichever of its files does not fit."""

import pytest

from tests.train.small_run import arguments
from train.fit.command import main

resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")


@pytest.fixture
def limit_files():
    """Return a function that limits the size of files, which stops a write in its middle as a full disk does."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, former)


# Whether TensorBoard's thread or the checkpoint meets the third limit first is a matter of time.
@pytest.mark.parametrize(
    ("size", "named"), [(1_000, "config.yaml'"), (20_000, "step-000001.png'"), (60_000, "small"), (100_000, "small")]
)
def test_a_file_without_room_is_one_sentence(tmp_path, capsys, limit_files, size, named):
    words = arguments(tmp_path, steps=6, preview__every_n_steps=1, checkpoint__every_n_steps=6)
    limit_files(size)
    assert main(words) == 2
    limit_files(resource.RLIM_INFINITY)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert named in said
    assert "(File too large); " in said
    assert not list((tmp_path / "runs").rglob("*.tmp"))
