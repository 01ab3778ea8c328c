"""Photos of a folder are found one by one; which picture each becomes is settled without a list of the others."""

import tracemalloc
from pathlib import Path

import pytest

from data.images import ImageError
from export.errors import ExportError
from export.stylize.jobs import FolderJobs, plan

MODEL = Path("wave.onnx")


@pytest.fixture
def touch(folder):
    def create(*names):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()

    return create


def settle(*photos, output="out", **options):
    jobs, several = plan(MODEL, [Path(photo) for photo in photos], output, **options)
    assert several
    return jobs


def test_jobs_are_counted_and_can_be_gone_through_again(touch):
    touch("photos/b.jpg", "photos/a.gif", "photos/deep/a.gif", "one.png")
    jobs = settle("photos", "one.png")
    assert len(jobs) == 4
    assert [job.output.as_posix() for job in jobs] == [
        "out/a.gif.png",
        "out/b.jpg",
        "out/deep/a.gif.png",
        "out/one.png",
    ]
    assert list(jobs) == list(jobs)


def test_thousands_of_photos_take_no_more_memory_than_hundreds(touch, monkeypatch):
    monkeypatch.setattr("data.images.SORTED_ENTRIES", 50)

    def measure(folder, count):
        tracemalloc.start()
        try:
            jobs = settle(folder)
            assert len(jobs) == sum(1 for _ in jobs) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for folder, count in (("few", 300), ("many", 3000)):
        touch(*(f"{folder}/{index:05}.jpg" for index in range(count)))
    # The smaller of two: what is loaded once, or by a thread of an earlier test, is not the jobs'.
    assert min(measure("many", 3000) for _ in range(2)) < 2 * measure("few", 300)


@pytest.mark.parametrize(
    ("names", "photos"),
    [
        (["a/x.jpg", "b/x.jpg"], ["a", "b"]),
        (["a/deep/x.jpg", "b/deep/x.jpg"], ["a", "b"]),
        (["a/x.gif", "a/x.gif.png"], ["a"]),
        (["a/x.gif", "b/x.gif.png"], ["b", "a"]),
        (["a/x.jpg", "x.jpg"], ["x.jpg", "a"]),
        (["x.gif", "a/x.gif.png"], ["x.gif", "a"]),
        (["a/x.jpg", "b/x.jpg"], ["a/x.jpg", "b/x.jpg"]),
        (["a/x.jpg"], ["a", "a"]),
        (["x.jpg"], ["x.jpg", "x.jpg"]),
    ],
)
def test_two_photos_of_one_picture_are_refused(touch, names, photos):
    touch(*names)
    for options in ({}, {"may_exist": True}):
        with pytest.raises(ExportError, match="would both become"):
            settle(*photos, **options)


@pytest.mark.parametrize(
    ("names", "photos"),
    [
        (["a/x.jpg", "a/x.png", "a/X.jpg"], ["a"]),
        (["a/x", "a/x.png", "b/y.jpg"], ["a", "b"]),
        (["a/x.jpg", "b/deep/x.jpg"], ["a", "b"]),
        (["a/x.gif", "a/deep/x.gif.png", "b/x.jpg.png"], ["a", "b"]),
        (["a/.x.jpg", "b/y.jpg", "a/z.jpg"], ["a", "b"]),
    ],
)
def test_photos_of_different_pictures_are_not(touch, names, photos):
    touch(*names)
    assert len(settle(*photos)) == len([name for name in names if Path(name).suffix and "/." not in name])


def test_pictures_in_an_output_folder_among_the_photos_are_neither_photos_nor_rivals(touch):
    touch("photos/x.gif", "photos/out/x.gif.png", "photos/out/old.jpg")
    jobs = settle("photos", output="photos/out", may_exist=True)
    assert [job.photo.as_posix() for job in jobs] == ["photos/x.gif"]
    with pytest.raises(ExportError, match="would be overwritten"):
        settle("photos", output="photos/out")
    Path("photos/x.gif").unlink()
    with pytest.raises(ExportError, match="all photos lie in the output folder"):
        settle("photos", output="photos/out")


@pytest.mark.parametrize("link", ["out/deep", "out"])
def test_photos_are_not_replaced_through_a_link_in_the_output_folder(folder, touch, link):
    touch("more/deep/x.jpg", "photos/deep/x.jpg")
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(folder / "photos" / Path(link).relative_to("out"))
    with pytest.raises(ExportError, match="is a photo that is read"):
        settle("more", "photos/deep/x.jpg", may_exist=True)


def test_number_of_existing_pictures_is_told(touch):
    touch(*(f"{folder}/{name}.jpg" for folder in ("photos", "out") for name in "abc"))
    with pytest.raises(ExportError, match=r"'out/a.jpg' and 2 more would be overwritten; pass --resume"):
        settle("photos")
    assert len(settle("photos", may_exist=True)) == 3


def test_a_format_that_is_asked_for_ends_the_names_of_the_others(touch):
    touch("photos/a.jpg", "photos/a.png", "photos/b.PNG", "photos/deep/c.gif")
    jobs = settle("photos", kind="PNG")
    assert [job.output.as_posix() for job in jobs] == [
        "out/a.jpg.png",
        "out/a.png",
        "out/b.PNG",
        "out/deep/c.gif.png",
    ]
    assert next(iter(settle("photos/a.png", "photos/b.PNG", kind="JPEG"))).output.as_posix() == "out/a.png.jpg"
    touch("out/a.jpg.png")
    with pytest.raises(ExportError, match=r"'out/a.jpg.png' would be overwritten; pass --resume"):
        settle("photos", kind="PNG")
    assert len(settle("photos", kind="PNG", may_exist=True)) == 4


@pytest.mark.parametrize(
    ("names", "photos"), [(["a/x.png", "a/x.png.jpg"], ["a"]), (["a/x.png", "x.png.jpg"], ["x.png.jpg", "a"])]
)
def test_two_photos_of_one_picture_are_refused_in_a_format_that_is_asked_for_too(touch, names, photos):
    touch(*names)
    with pytest.raises(ExportError, match="would both become"):
        settle(*photos, kind="JPEG")


def test_every_photo_that_is_found_is_told(touch):
    touch("photos/a.jpg", "photos/b.jpg")
    ticks = []
    settle("photos", watch=lambda: ticks.append(1))
    assert len(ticks) == 2


def test_folder_that_vanishes_is_reported_when_its_turn_comes(folder, touch):
    touch("a/x.jpg", "b/y.jpg")
    jobs = iter(FolderJobs([folder / "a", folder / "b"], folder / "out"))
    assert next(jobs).photo.name == "x.jpg"
    (folder / "b/y.jpg").unlink()
    with pytest.raises(ImageError, match="holds no picture"):
        next(jobs)
