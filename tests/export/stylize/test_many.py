"""Many photos are painted as one would be: resumed where they were left, and in several processes at once."""

import argparse
import functools
import os
import sys
from pathlib import Path

import pytest

from export.errors import ExportError
from export.stylize import command as stylize
from export.stylize import workers
from export.stylize.jobs import Job
from export.stylize.workers import paint_in_processes
from tests.export.stylize.crews import open_copier, open_mortal
from tests.export.stylize.stylize_command import read, run, save_photo


def write_jobs(folder, count):
    jobs = [Job(folder / f"{index}.txt", folder / "out" / f"{index}.txt") for index in range(count)]
    for job in jobs:
        job.photo.write_text(job.photo.name)
    (folder / "out").mkdir()
    return jobs


def list_files(folder):
    return {path.name for path in folder.iterdir()}


# Resuming


def test_resumed_folder_keeps_whole_pictures_and_paints_the_others(model, folder, capsys):
    for name in ("a.png", "b.png", "deep/c.png"):
        save_photo(folder / "photos" / name)
    assert run(model, "photos", "--output", "out") == 0
    expected = (folder / "out/b.png").read_bytes()
    (folder / "out/b.png").write_bytes(expected[: len(expected) // 2])
    (folder / "out/deep/c.png").unlink()
    before = (folder / "out/a.png").stat()
    assert run(model, "photos", "--output", "out", "--resume") == 0
    after = (folder / "out/a.png").stat()
    # Not the time of access, which reading changes.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (folder / "out/b.png").read_bytes() == expected
    assert read(folder / "out/deep/c.png").size == (33, 24)
    assert "wrote 2 of 3 pictures to 'out'; 1 were there and whole" in capsys.readouterr().out


def test_resumed_photo_is_left_if_its_picture_is_whole(model, folder, capsys):
    save_photo(folder / "photo.jpg")
    save_photo(folder / "out.jpg", 5, 5)
    assert run(model, "photo.jpg", "--output", "out.jpg", "--resume") == 0
    assert "'out.jpg' is there and whole" in capsys.readouterr().out
    assert read(folder / "out.jpg").size == (5, 5)
    (folder / "out.jpg").write_bytes(b"half")
    assert run(model, "photo.jpg", "--output", "out.jpg", "--resume") == 0
    assert read(folder / "out.jpg").size == (33, 24)


def test_resuming_never_replaces_a_photo(model, folder, one_error):
    save_photo(folder / "photos/a.jpg")
    before = (folder / "photos/a.jpg").read_bytes()
    assert run(model, "photos", "--output", "photos", "--resume") == 2
    assert "is a photo that is read" in one_error()
    assert (folder / "photos/a.jpg").read_bytes() == before


def test_resuming_and_overwriting_exclude_each_other(model, folder, capsys):
    save_photo(folder / "a.jpg")
    with pytest.raises(SystemExit):
        run(model, "a.jpg", "--output", "out/", "--resume", "--overwrite")
    assert "not allowed with" in capsys.readouterr().err


# Several processes


def test_several_processes_write_what_one_writes(model, folder, capsys):
    for index in range(5):
        save_photo(folder / f"photos/{index}.png", 20 + index)
    (folder / "photos/9.png").write_text("Dear sir or madam")
    assert run(model, "photos", "--output", "one") == 1
    alone = capsys.readouterr()
    assert run(model, "photos", "--output", "two", "--workers", "2") == 1
    together = capsys.readouterr()
    assert (together.out, together.err) == (alone.out.replace("'one'", "'two'"), alone.err)
    for index in range(5):
        assert (folder / f"two/{index}.png").read_bytes() == (folder / f"one/{index}.png").read_bytes()


def test_photos_are_taken_as_processes_get_free(tmp_path):
    jobs = write_jobs(tmp_path, 12)
    told, ahead = [], []

    def take():
        for number, job in enumerate(jobs, 1):
            ahead.append(number - len(told))
            yield job

    paint_in_processes(take(), open_copier, 2, told.append)
    assert len(told) == 12
    assert list_files(tmp_path / "out") == {job.output.name for job in jobs}
    assert {outcome.note for outcome in told}.isdisjoint({str(os.getpid())})
    assert max(ahead) <= 4


def test_killed_process_is_told_and_resuming_paints_the_rest(tmp_path):
    jobs = write_jobs(tmp_path, 6)
    opener = functools.partial(open_mortal, "2.txt", tmp_path / "died")
    told = []
    with pytest.raises(ExportError, match=r"a process was killed.*--resume"):
        paint_in_processes(jobs, opener, 2, told.append)
    assert (tmp_path / "died").exists()
    assert "2.txt" not in list_files(tmp_path / "out")
    paint_in_processes([job for job in jobs if not job.output.exists()], opener, 2, told.append)
    assert list_files(tmp_path / "out") == {job.output.name for job in jobs}


def test_ctrl_c_counts_every_picture_that_was_written_and_begins_no_other(tmp_path):
    jobs = write_jobs(tmp_path, 40)
    told = []

    def tell(outcome):
        told.append(outcome)
        if len(told) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint_in_processes(jobs, open_copier, 2, tell)
    assert len(told) == len(list_files(tmp_path / "out")) <= 4


def test_processes_share_cores_and_memory_unless_the_line_says_otherwise(monkeypatch):
    made = []
    monkeypatch.setattr(stylize, "Stylizer", lambda _, **options: made.append(options))
    monkeypatch.setattr(stylize, "available_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(stylize, "count_cores", lambda: 8)
    unsaid = {"model": Path("wave.onnx"), "threads": None, "memory": None, "provider": None, "tile": None}
    stylize.open_stylizer(argparse.Namespace(**unsaid), share=4)
    stylize.open_stylizer(argparse.Namespace(**unsaid | {"threads": 3, "memory": 10**9}), share=4)
    stylize.open_stylizer(argparse.Namespace(**unsaid))
    assert [(options["threads"], options["memory_limit"]) for options in made] == [
        (2, 1_800_000_000),
        (3, 10**9),
        (None, None),
    ]


# The machines of a cluster


@pytest.fixture(scope="module")
def cluster():
    """Ray with two cores of this machine."""
    ray = pytest.importorskip("ray", reason='Ray is not installed; pip install "ray[data]"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield ray
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cluster_writes_what_one_process_writes(cluster, model, folder, capsys):
    for index in range(5):
        save_photo(folder / f"photos/{index}.png", 20 + index)
    (folder / "photos/9.png").write_text("Dear sir or madam")
    assert run(model, folder / "photos", "--output", "one") == 1
    alone = capsys.readouterr()
    assert run(model, folder / "photos", "--output", "two", "--ray", "--workers", "2") == 1
    together = capsys.readouterr()
    assert (together.out, together.err) == (alone.out.replace("'one'", "'two'"), alone.err)
    for index in range(5):
        assert (folder / f"two/{index}.png").read_bytes() == (folder / f"one/{index}.png").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_photos_of_a_killed_worker_of_a_cluster_are_painted_by_another(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "BLOCK", 2)
    monkeypatch.setattr(workers, "PART", 10)
    jobs = write_jobs(tmp_path, 14)
    told = []
    opener = functools.partial(open_mortal, "3.txt", tmp_path / "died")
    workers.paint_on_ray(jobs, opener, 2, 1, told.append)
    assert (tmp_path / "died").exists()
    assert len(told) == 14
    assert not any(outcome.error for outcome in told)
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        job.output.name: job.photo.name for job in jobs
    }
    assert len({outcome.note for outcome in told}) >= 2


def test_cluster_without_ray_says_what_to_install(model, folder, one_error, monkeypatch):
    save_photo(folder / "photos/a.jpg")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(model, "photos", "--output", "out", "--ray") == 2
    assert 'pip install "onestroke[ray]"' in one_error()
