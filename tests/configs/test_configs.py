"""Every shipped configuration is short, and builds and trains as it stands."""

from pathlib import Path

import pytest
import yaml

from export.widths.table import PRESETS
from models.names import FORMER_LOSS
from models.network import NetworkConfig, StyleNetwork
from models.style_file import StyleCard, load_style, save_style
from tests import ROOT
from tests.train.small_run import arguments
from train.fit.command import main

NO_STYLES = {"distill", "figures", "refine", "stable", "start"}
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.stem not in NO_STYLES)
WIDTHS = sorted((ROOT / "configs" / "widths").glob("*.yaml"))
PAINTINGS = [
    "calavera",
    "composition_vii",
    "dynamism_of_a_cyclist",
    "fulfilment",
    "oyster_bay",
    "portrait_of_jean_metzinger",
    "shipwreck",
    "starry_night",
    "the_revolt",
    "the_scream",
    "udnie",
    "wave",
]


def test_there_is_a_config_for_each_painting():
    assert [path.stem for path in CONFIGS if path.stem != "demo"] == PAINTINGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_holds_only_what_differs(path: Path):
    settings = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(settings) <= 16


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_config_needs_a_style_weight_of_its_own(path: Path):
    model = yaml.safe_load(path.read_text())["model"]
    assert not {"style_weight", "content_weight", "tv_weight"} & model.keys()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds(path: Path, tmp_path: Path):
    command, *flags = arguments(tmp_path, steps=1, name=None, model__perceptual="vgg19", model__start_from="null")
    assert main([command, "--config", str(path), *flags]) == 0
    _, card = load_style(tmp_path / "runs" / path.stem / "style.safetensors")
    assert card.name == path.stem
    assert card.license
    assert ("public domain" in card.license) == (path.stem in PAINTINGS)


def test_widths_are_the_presets_that_are_not_the_default():
    presets = {path.stem: yaml.safe_load(path.read_text()) for path in WIDTHS}
    widths = {name: settings["model"]["network"]["width"] for name, settings in presets.items()}
    assert widths | {"full": NetworkConfig().width} == PRESETS
    assert all(settings == {"model": {"network": {"width": widths[name]}}} for name, settings in presets.items())


@pytest.mark.parametrize("path", WIDTHS, ids=lambda path: path.stem)
def test_every_width_stacks_on_a_style(path: Path, tmp_path: Path):
    command, *flags = arguments(tmp_path, steps=1, **{"model.network.width": None, "name": f"wave_{path.stem}"})
    configs = ["--config", str(ROOT / "configs" / "wave.yaml"), "--config", str(path)]
    assert main([command, *configs, *flags]) == 0
    network, card = load_style(tmp_path / "runs" / f"wave_{path.stem}" / "style.safetensors")
    assert network.config.width == PRESETS[path.stem]
    assert card.license == yaml.safe_load((ROOT / "configs" / "wave.yaml").read_text())["license"]


@pytest.mark.slow
def test_loss_of_version_0_2_is_a_configuration(tmp_path: Path):
    distances = ROOT / "configs" / "loss" / "distances.yaml"
    settings = yaml.safe_load(distances.read_text())["model"]
    assert settings == FORMER_LOSS
    options = dict.fromkeys(("model.content_layers", "model.style_layers", "model.style_size"))
    command, *flags = arguments(tmp_path, steps=1, **options, model__perceptual="vgg_small", name="stacked")
    flags = [flag for flag in flags if not flag.startswith("--model.perceptual_weights")]
    configs = ["--config", str(ROOT / "configs" / "wave.yaml"), "--config", str(distances)]
    assert main([command, *configs, *flags]) == 0
    _, card = load_style(tmp_path / "runs" / "stacked" / "style.safetensors")
    model = yaml.safe_load(card.training_config)["model"]
    assert {name: model[name] for name in settings} == settings


@pytest.mark.parametrize("stage", ["figures", "refine", "stable"])
def test_a_finished_style_goes_on_by_one_more_configuration(stage: str, tmp_path: Path):
    settings = yaml.safe_load((ROOT / "configs" / f"{stage}.yaml").read_text())
    start = tmp_path / "finished.safetensors"
    save_style(start, StyleNetwork(NetworkConfig(4, 1)), StyleCard("finished"))
    options = dict.fromkeys(f"{part}.{name}" for part in ("model", "data") for name in settings.get(part, {}))
    options |= {"model.start_from": start, "trainer.val_check_interval": None, "name": "tuned"}
    options |= {name: 64 for name in ("data.image_size", "data.early_size") if name in options}
    if "emd_weight" in settings["model"]:
        options["model.emd_layers"] = "{relu2_1: 1}"  # the small run's frozen network is no deeper
    command, *flags = arguments(tmp_path, steps=2, **options)
    configs = ["--config", str(ROOT / "configs" / "wave.yaml"), "--config", str(ROOT / "configs" / f"{stage}.yaml")]
    assert main([command, *configs, *flags]) == 0
    _, card = load_style(tmp_path / "runs" / "tuned" / "style.safetensors")
    model = yaml.safe_load(card.training_config)["model"]
    network = settings["model"].pop("network", {})
    assert {name: model[name] for name in settings["model"]} == settings["model"]
    assert {name: model["network"][name] for name in network} == network


def test_a_later_config_overrides_an_earlier_one(tmp_path: Path):
    (tmp_path / "narrow.yaml").write_text("model:\n  network:\n    width: 3\n")
    options = {"model.network.width": None, "name": "stacked"}
    command, *flags = arguments(tmp_path, steps=1, **options)
    configs = ["--config", str(ROOT / "configs" / "wave.yaml"), "--config", str(tmp_path / "narrow.yaml")]
    assert main([command, *configs, *flags]) == 0
    network, _ = load_style(tmp_path / "runs" / "stacked" / "style.safetensors")
    assert network.config.width == 3
