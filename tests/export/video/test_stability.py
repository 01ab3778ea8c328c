"""The measurement of flicker knows what is still, what moves, and what is hidden."""

import json
from itertools import pairwise

import numpy as np
import PIL.Image
import pytest

from export.video.stability import (
    SAMPLE,
    draw_pan,
    draw_still,
    follow_motion,
    main,
    measure_clips,
    measure_stability,
)
from tests.export.video.clips import write_clip
from tests.pictures import noise

pytest.importorskip("cv2", reason="the measurement needs OpenCV; pip install opencv-python-headless")


@pytest.fixture(scope="module")
def texture():
    """Return a smooth texture that optical flow can follow, 160 x 128."""
    return np.asarray(PIL.Image.fromarray(noise(40, 32)).resize((160, 128), PIL.Image.Resampling.BICUBIC))


def crop(texture, left, top=16):
    return np.ascontiguousarray(texture[top : top + 96, left : left + 120])


def test_a_clip_that_stands_still_has_no_error(texture):
    frame = crop(texture, 8)
    found = measure_stability([frame] * 3, [follow_motion(frame, frame)] * 2)
    assert found.warping == pytest.approx(0, abs=1e-6)
    assert found.flicker == 0


def test_flicker_is_the_mean_difference_where_the_clip_stands_still(texture):
    frame = crop(texture, 8)
    painted = [np.full_like(frame, level) for level in (100, 110, 104)]
    found = measure_stability(painted, [follow_motion(frame, frame)] * 2)
    assert found.flicker == pytest.approx(8)
    assert found.warping == pytest.approx(((10**2 + 6**2) / 2) ** 0.5)


def test_strokes_that_move_with_the_clip_are_steady_and_those_on_the_glass_are_not(texture):
    frames = [crop(texture, 8 + 3 * step) for step in range(4)]
    motions = [follow_motion(a, b) for a, b in pairwise(frames)]
    assert np.median(motions[0].flow[..., 0]) == pytest.approx(3, abs=0.2)
    carried = measure_stability([255 - frame for frame in frames], motions)
    fixed = measure_stability([crop(texture, 0)] * 4, motions)
    assert carried.warping < 3
    assert fixed.warping > 5 * carried.warping
    assert carried.flicker is None


def test_what_comes_out_of_hiding_does_not_count(texture):
    earlier, later = crop(texture, 8), crop(texture, 8)
    earlier[30:60, 30:60] = 255 - earlier[30:60, 30:60]
    later[30:60, 42:72] = earlier[30:60, 30:60]
    motion = follow_motion(earlier, later)
    assert motion.certain[30:60, 31:40].mean() < 0.5
    assert motion.certain[:20].mean() > 0.95
    assert motion.still[:20].mean() > 0.95
    assert not motion.still[35:55, 35:65].any()


def test_drawn_clips_move_or_stand_as_they_say():
    photo = PIL.Image.open(SAMPLE).convert("RGB")
    pan = draw_pan(photo, 120, 3)
    assert max(pan[0].shape) == 120
    flow = follow_motion(pan[0], pan[1]).flow
    assert np.median(flow[..., 0]) == pytest.approx(1.3, abs=0.2)
    assert np.median(flow[..., 1]) == pytest.approx(0.7, abs=0.2)
    still = draw_still(photo, 120, 2)
    assert follow_motion(*still).still.mean() > 0.8


def test_the_filter_halves_the_flicker_of_a_still_clip_and_a_steadier_network_shows(texture):
    frames = draw_still(PIL.Image.fromarray(texture), 96, 16)
    seeds = iter(range(1000))

    def flickering(spread):
        def paint(photo):
            return np.clip(photo + np.random.default_rng(next(seeds)).normal(0, spread, photo.shape), 0, 255).astype(
                np.uint8
            )

        return paint

    rows = measure_clips({"still": frames}, {"a": flickering(20), "b": flickering(5)}, lambda: None)
    own, first, first_eased, second, _ = rows
    assert own.network == "(the clip itself)"
    assert (first.warping_ratio, first.flicker_ratio) == (1, 1)
    assert first_eased.steady
    assert first_eased.flicker_ratio < 0.5
    assert second.warping_ratio < 0.6


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path, same, capsys):
    clip = write_clip(tmp_path / "mine.mp4")
    words = [str(same), "--clips", str(clip), "--size", "64", "--frames", "4", "--threads", "1"]
    assert main([*words, "--json", str(tmp_path / "figures.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| clip | network | filter | ")
    assert [line.split(" | ")[0][2:] for line in lines[2::3]][:3] == [
        "mine",
        "pan over a photo",
        "noise before a photo",
    ]
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert len(rows) == 9
    assert all(row["warping_ratio"] == 1 for row in rows if not row["steady"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clips", "absent.mp4"], "clip 'absent.mp4' does not exist"),
        (["--size", "1"], "must be an integer between 64"),
        (["--json", "same.onnx", "--overwrite"], "'same.onnx' is also an input"),
    ],
)
def test_a_line_that_cannot_work_is_one_sentence(same, one_error, monkeypatch, words, said):
    monkeypatch.chdir(same.parent)
    clips = [] if "--clips" in words else ["--clips", "same.onnx"]
    try:
        code = main(["same.onnx", *clips, *words])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert said in one_error()
