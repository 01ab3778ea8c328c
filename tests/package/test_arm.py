"""The wheel paints on an emulated 64-bit ARM processor what it paints here, with every variant."""

from pathlib import Path

import numpy as np
import platformdirs
import pytest

from export.contract import FILES
from tests.export.small_export import export_folder, make_network
from tests.package import arm
from tests.package.arm import AbsentError, Emulator, Run, compare, prepare_emulator
from tests.pictures import noise, write


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_variant_paints_on_arm_what_it_paints_here(wheel, tmp_path, capsys):
    try:
        emulator = prepare_emulator(platformdirs.user_cache_path("onestroke"))
        models = export_folder(tmp_path, make_network(seed=2, spread=0.3))
        photo = write(tmp_path / "photo.jpg", noise(48, 40))
        assert compare(emulator, wheel, models, photo) == []
    except AbsentError as error:
        pytest.skip(str(error))
    said = capsys.readouterr().out
    assert [file for file in FILES.values() if file not in said] == []


def test_program_that_is_absent_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, **_: None)
    with pytest.raises(AbsentError, match="apt-get install qemu-user-static"):
        prepare_emulator(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name, **_: name if "qemu" in name else None)
    with pytest.raises(AbsentError, match="apt-get install debootstrap"):
        prepare_emulator(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def compare_with(tmp_path, monkeypatch):
    """Compare a folder of all variants whose pictures, there and here, are given."""
    for file in FILES.values():
        (tmp_path / file).touch()
    monkeypatch.setattr(arm, "install", lambda *_: None)

    def run(there, here):
        def stylize(python, packages, model, *_):
            return Run((here if packages == arm.ROOT else there)(model.name), 1.0, 100.0)

        monkeypatch.setattr(arm, "stylize", stylize)
        return compare(Emulator("qemu", tmp_path), Path("wheel"), tmp_path, Path("photo.jpg"))

    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.11").touch()
    return run


GRAY = np.full((16, 16, 3), 128, np.uint8)


def test_one_level_is_right_and_two_are_a_fault(compare_with):
    assert compare_with(lambda name: GRAY + np.uint8(name != FILES["int8"]), lambda name: GRAY) == []
    (fault,) = compare_with(lambda name: GRAY + np.uint8(2 * (name == FILES["w8"])), lambda name: GRAY)
    assert FILES["w8"] in fault
    assert "2 levels" in fault


def test_int8_may_differ_as_long_as_it_is_no_farther_from_float32(compare_with):
    def shift(levels):
        return lambda name: (GRAY + np.int64(levels if name == FILES["int8"] else 0)).astype(np.uint8)

    assert compare_with(shift(-8), shift(8)) == []
    (fault,) = compare_with(shift(12), shift(8))
    assert "dB from style.onnx there" in fault
