"""The shared start: one network that has learned many paintings, from which the training of a new style starts.

The convolutions are the same for all paintings. The scales and shifts of the norms are a painting's own (Dumoulin et
al. 2017) and are predicted from its statistics by a small network (Ghiasi et al. 2017), so that a painting that was not
trained on has some, too. With them the shared network is a plain ``StyleNetwork`` of one style, which is then trained
further.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import ModelFileError, first_line
from models.header import read_card, read_config, read_object
from models.layers import InstanceNorm
from models.network import NetworkConfig, StyleNetwork
from models.tensor_file import write_tensors
from models.vgg import LAYOUTS, VGGFeatures, dequantize, name_layers, quantize

START_FILE = Path(__file__).resolve().parent / "start.safetensors"
"""Where the shared start is kept, from which trainings start unless told otherwise."""

FORMAT = "onestroke-start-1"
"""Value of the header's ``format``: what tells a start file from any other ``.safetensors`` file."""

STATISTICS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Layers of ``vgg_small`` whose statistics describe a painting. It ships with the project, so that a description does
not depend on the frozen network of the loss."""

STATISTICS_SIZE = 256
"""Pixels of a painting's short side when it is described."""

HIDDEN = 64
"""Width of the predictor's hidden layer, narrow so that it cannot memorize each of some hundred paintings."""

MOST_DEVIATIONS = 3.0
"""Standard deviations to which statistics are clamped, so that the prediction for a painting unlike all that were
trained on stays within what was trained."""

ARCHITECTURE = ("width", "residual_blocks", "padding", "upsampling")
"""Fields of ``NetworkConfig`` that two networks must share to have weights of the same meaning."""


def count_statistics() -> int:
    """Return D, the length of a painting's description."""
    channels = (entry for entry in LAYOUTS["vgg_small"] if entry != "M")
    convolutions = (name for name in name_layers("vgg_small") if name.startswith("conv"))
    found = dict(zip(convolutions, channels, strict=True))
    return 2 * sum(int(found[layer.replace("relu", "conv")]) for layer in STATISTICS_LAYERS)


@torch.no_grad()
def describe_painting(features: VGGFeatures, painting: Tensor) -> Tensor:
    """Compute a painting's statistics: the standard deviation and the mean of every channel.

    Args:
        features: ``vgg_small`` with ``STATISTICS_LAYERS``.
        painting: RGB in [0, 1], shape (1, 3, H, W), short side about ``STATISTICS_SIZE``.

    Returns:
        Shape (D,), float32; D is twice the number of channels of all layers.
    """
    activations = features(painting, STATISTICS_LAYERS)
    found = [torch.cat(torch.std_mean(activations[layer].float(), dim=(0, 2, 3))) for layer in STATISTICS_LAYERS]
    return torch.cat(found)


class StylePredictor(nn.Module):
    """From a painting's statistics to the difference of its norms from those that all paintings share.

    Args:
        statistics: D, the length of a description.
        outputs: Number of scales and shifts of all norms together.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(statistics))
        self.register_buffer("std", torch.ones(statistics))
        self.hidden = nn.Linear(statistics, HIDDEN)
        self.output = nn.Linear(HIDDEN, outputs)
        # Training begins with the norms that all paintings share.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def standardize(self, descriptions: Tensor) -> None:
        """Set the mean and the standard deviation of the statistics.

        Args:
            descriptions: Of all paintings that are trained on, shape (N, D), N at least 2.

        Raises:
            ValueError: If there are fewer than two.
        """
        if len(descriptions) < 2:
            raise ValueError(f"{len(descriptions)} description has no standard deviation; give at least 2")
        std, mean = torch.std_mean(descriptions, dim=0)
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))

    def forward(self, descriptions: Tensor) -> Tensor:
        """Map (B, D) to (B, outputs)."""
        standard = ((descriptions - self.mean) / self.std).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        return self.output(self.hidden(standard).relu())  # type: ignore[no-any-return]


class StartNetwork(nn.Module):
    """The shared style network and the predictor of its norms.

    Args:
        statistics: D, the length of a painting's description.
        config: Architecture of the style network; the default if None.
    """

    def __init__(self, statistics: int, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.statistics = statistics
        self.network = StyleNetwork(config)
        self.norms = {
            name: module.weight.numel()
            for name, module in self.network.named_modules()
            if isinstance(module, InstanceNorm)
        }
        self.predictor = StylePredictor(statistics, 2 * sum(self.norms.values()))

    def predict_norms(self, descriptions: Tensor) -> dict[str, Tensor]:
        """Return the scales and shifts of the norms for paintings.

        Args:
            descriptions: What ``describe_painting`` returned, shape (B, D).

        Returns:
            By the parameter's name in ``StyleNetwork``, each of shape (B, C).
        """
        parameters = dict(self.network.named_parameters())
        # Not in bfloat16: these are a few thousand numbers for the whole picture.
        with torch.autocast(descriptions.device.type, enabled=False):
            scales, shifts = self.predictor(descriptions).chunk(2, dim=1)
        found: dict[str, Tensor] = {}
        counts = list(self.norms.values())
        for name, scale, shift in zip(self.norms, scales.split(counts, 1), shifts.split(counts, 1), strict=True):
            found[f"{name}.weight"] = parameters[f"{name}.weight"] + scale
            found[f"{name}.bias"] = parameters[f"{name}.bias"] + shift
        return found

    def forward(self, photos: Tensor, descriptions: Tensor, has_noise: bool = False) -> Tensor:
        """Repaint photos, each in the style of a painting of its own.

        Args:
            photos: RGB in [0, 1], shape (B, 3, H, W).
            descriptions: Of the paintings, shape (B, D), or (1, D) for one painting for all photos.
            has_noise: Whether the network's noise was added to the photos already.

        Returns:
            Stylized pictures, as ``StyleNetwork`` returns them.
        """
        norms = self.predict_norms(descriptions)
        return torch.func.functional_call(self.network, norms, (photos, has_noise))  # type: ignore[no-any-return]

    @torch.no_grad()
    def make_style(self, descriptions: Sequence[Tensor]) -> StyleNetwork:
        """Return the network of one style, to be trained further.

        Args:
            descriptions: Of the style's paintings, each of shape (D,); their mean counts.

        Returns:
            A network that repaints photos as ``forward`` does with that mean.
        """
        norms = self.predict_norms(torch.stack(list(descriptions)).mean(0, keepdim=True))
        style = StyleNetwork(self.network.config)
        style.load_state_dict({**self.network.state_dict(), **{name: value[0] for name, value in norms.items()}})
        return style.to(next(self.parameters()).device)


@dataclass(frozen=True)
class StartCard:
    """Where a shared start came from: everything needed to credit it and to train it again.

    Args:
        license: Under what terms it may be used.
        perceptual_source: Where the weights of the loss's frozen network came from.
        training_config: The whole configuration of the run, as YAML.
        project_version: The version of this program that trained it.
        steps: Optimizer steps taken.
        paintings: File names, without ending, of the paintings that it was trained on.
        held_out_paintings: Those that it was not trained on.
        held_out_loss: Its loss on held-out photos, mean over some held-out paintings; None where it was not measured.
    """

    license: str = ""
    perceptual_source: str = ""
    training_config: str = ""
    project_version: str = ""
    steps: int = 0
    paintings: tuple[str, ...] = ()
    held_out_paintings: tuple[str, ...] = ()
    held_out_loss: float | None = None


def save_start(path: Path, start: StartNetwork, card: StartCard) -> None:
    """Write a start file under a temporary name and rename it; kernels have 8 bits, the rest float16.

    Args:
        path: Where to; an existing file is replaced.
        start: The network, on any device.
        card: Stored in the file's header as JSON.

    Raises:
        OSError: If it cannot be written; an existing file is kept.
    """
    state = {name: value.detach().cpu() for name, value in start.state_dict().items()}
    tensors = quantize(state)
    # Statistics are divided by them, and float16 would round small ones to 0.
    tensors |= {name: state[name].contiguous() for name in ("predictor.mean", "predictor.std")}
    header = {
        "format": FORMAT,
        "network": json.dumps(start.network.config.to_dict(), sort_keys=True),
        "card": json.dumps(asdict(card), sort_keys=True),
    }
    write_tensors(path, tensors, header)


def is_start_file(path: Path) -> bool:
    """Tell whether a file says of itself that it is a start file; False for what cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return bool((file.metadata() or {}).get("format") == FORMAT)
    except (SafetensorError, OSError):
        return False


def read_start_config(path: Path) -> NetworkConfig:
    """Read the architecture of a start file's network, without its weights; raises what ``load_start`` does."""
    return _read(path, weights=False)[0]


def load_start(path: Path) -> tuple[StartNetwork, StartCard]:
    """Read a start file back.

    Args:
        path: A file that ``save_start`` wrote.

    Returns:
        The network in float32 and evaluation mode, on the CPU, and its card.

    Raises:
        ModelFileError: If the file is absent, is not a start file, is damaged, or its weights do not fit its network.
    """
    config, card, tensors = _read(path)
    try:
        state = {name: value.float() for name, value in dequantize(tensors).items()}
        start = StartNetwork(len(state["predictor.mean"]), config)
        start.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    return start.eval(), card


def _read(path: Path, weights: bool = True) -> tuple[NetworkConfig, StartCard, dict[str, Tensor]]:
    if not path.is_file():
        raise ModelFileError(f"start file '{path}' does not exist; train one with python -m train.start")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in shapes} if weights else {}
        if header.get("format") == FORMAT:
            told = read_object(header["card"])
            for name in ("paintings", "held_out_paintings"):
                told[name] = tuple(told.get(name, ()))
            return read_config(header["network"], shapes, "network."), read_card(StartCard, told), tensors
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    found = str(header.get("format"))[:40]
    raise ModelFileError(
        f"'{path}' is a .safetensors file but not a start file (format {found!r}, needed {FORMAT!r}); "
        "name the file that python -m train.start wrote"
    )


def _unreadable(path: Path, error: Exception) -> ModelFileError:
    reason = first_line(error)
    return ModelFileError(f"start file '{path}' cannot be read ({reason}); copy it again or train one anew")
