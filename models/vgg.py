"""The frozen perceptual network: VGG's convolutions (Simonyan and Zisserman 2015), only as deep as a loss reaches.

``vgg_small`` is a narrow VGG-19 of our own, distilled from it (``python -m train.distill``) and kept in the repository.

Layers go by the papers' names: ``relu3_3`` is the third convolution of the third block after its ReLU, ``conv4_2`` a
convolution before its ReLU, ``pool2`` the end of the second block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args
from urllib.error import URLError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, VGG19_Weights
from torchvision.models.vgg import cfgs as vgg_layouts

from models.archive import load_archive
from models.errors import ModelFileError, first_line
from models.names import PerceptualName as PerceptualName  # noqa: PLC0414  (exported from here, too)
from models.names import PoolingName as PoolingName  # noqa: PLC0414

LAYOUTS: Mapping[str, tuple[int | str, ...]] = {
    "vgg16": tuple(vgg_layouts["D"]),
    "vgg19": tuple(vgg_layouts["E"]),
    "vgg_small": (16, 32, "M", 48, 48, "M", 96, 96, 96, 96, "M", 112, 112, 112, 112, "M", 80, 80),
}
"""Channels of each convolution, and M for each pooling (Simonyan and Zisserman 2015, table 1, columns D and E).

``vgg_small`` has VGG-19's layers as far as relu5_2, which is as deep as the literature's losses reach.
"""

AVERAGE_GAIN = 1.4
"""What the mean of four neighbors is multiplied by, so that activations keep their size.

On 16 photos the root mean square of VGG-19's activations down to relu4_1 is 0.92 to 1.09 of that with max pooling.
"""

SMALL_WEIGHTS = Path(__file__).resolve().parent / "vgg_small.safetensors"
"""The kept weights of ``vgg_small``."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PerceptualWeightsError(ModelFileError):
    """The frozen network's weights are absent or do not fit; the message is one sentence for the user."""

    def with_flag(self, flag: str) -> PerceptualWeightsError:
        """Return the same error, with the flag that names the weights at the beginning of its message."""
        return PerceptualWeightsError(f"{flag}: {self}")


def name_layers(network: str) -> list[str]:
    """List the layers of a network in order, as torchvision's ``features`` holds them.

    Args:
        network: ``vgg16``, ``vgg19`` or ``vgg_small``.

    Returns:
        Names such as ``conv1_1``, ``relu1_1``, ..., ``pool5``; the position is torchvision's index.

    Raises:
        ValueError: For another network.
    """
    if network not in LAYOUTS:
        raise ValueError(f"perceptual network is {network!r}; choose one of {', '.join(get_args(PerceptualName))}")
    names: list[str] = []
    block, position = 1, 1
    for entry in LAYOUTS[network]:
        if entry == "M":
            names.append(f"pool{block}")
            block, position = block + 1, 1
        else:
            names += [f"conv{block}_{position}", f"relu{block}_{position}"]
            position += 1
    return names


class VGGFeatures(nn.Module):
    """Activations of a frozen VGG at chosen layers.

    The weights are buffers that no checkpoint keeps: they come from a file that every user can get, they never train,
    and they would make each checkpoint thirty times larger.

    Args:
        network: ``vgg16``, ``vgg19`` or ``vgg_small``.
        layers: Every layer that will ever be asked for; the network ends at the deepest.
        weights: ``default`` for torchvision's ImageNet weights (downloaded once and cached as torchvision does) or,
            with ``vgg_small``, the kept file; or a ``.safetensors`` or ``.pth`` file in torchvision's layout, which may
            end after the deepest layer; or what such a file holds.
        pooling: ``max``, as the networks were trained, or ``average``, which Gatys et al. (2016) found to give smoother
            gradients; its result is scaled so that activations keep their size.

    Raises:
        ValueError: For an unknown network, layer or pooling.
        PerceptualWeightsError: If weights are absent or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: PerceptualName,
        layers: Iterable[str],
        weights: str | Mapping[str, Tensor] = "default",
        pooling: PoolingName = "max",
    ) -> None:
        super().__init__()
        names = name_layers(network)
        wanted = list(layers)
        for layer in wanted:
            if layer not in names:
                raise ValueError(f"{network} has no layer {layer!r}; its layers are {', '.join(names)}")
        if not wanted:
            raise ValueError("no layer was asked for; name at least one, such as relu3_3")
        if pooling not in get_args(PoolingName):
            raise ValueError(f"pooling is {pooling!r}; choose one of {', '.join(get_args(PoolingName))}")
        self.network = network
        self.pooling = pooling
        self.layer_names = names[: max(names.index(layer) for layer in wanted) + 1]
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        state = load_perceptual_weights(network, weights) if isinstance(weights, str) else weights
        source = f"'{weights}'" if isinstance(weights, str) else "in memory"
        for index, name in enumerate(self.layer_names):
            if name.startswith("conv"):
                kernel, bias = self._take(state, index, name, source)
                self.register_buffer(f"{name}_weight", kernel, persistent=False)
                self.register_buffer(f"{name}_bias", bias, persistent=False)

    def _take(self, state: Mapping[str, Tensor], index: int, name: str, source: str) -> tuple[Tensor, Tensor]:
        try:
            kernel, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
        except KeyError:
            raise PerceptualWeightsError(
                f"perceptual weights {source} hold no features.{index}, which {self.network} needs for {name}; "
                "choose shallower layers or a file that reaches further"
            ) from None
        channels = [entry for entry in LAYOUTS[self.network] if entry != "M"]
        position = sum(other.startswith("conv") for other in self.layer_names[:index])
        needed = (channels[position], channels[position - 1] if position else 3, 3, 3)
        if tuple(kernel.shape) != needed or tuple(bias.shape) != needed[:1]:
            raise PerceptualWeightsError(
                f"perceptual weights {source} have shape {tuple(kernel.shape)} at {name}, {self.network} needs "
                f"{needed}; they belong to another network"
            )
        return kernel.float().contiguous(memory_format=torch.channels_last), bias.float()

    def forward(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute activations, no deeper than asked.

        Args:
            pictures: RGB in [0, 1], shape (B, 3, H, W).
            layers: Names among those given at construction, or shallower.

        Returns:
            For each layer its activations, shape (B, C, H', W'), in the precision of the computation.
        """
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        hidden = (pictures - self.mean) / self.std
        for name in self.layer_names:
            if name.startswith("conv"):
                hidden = F.conv2d(hidden, getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"), padding=1)
            elif name.startswith("relu"):
                hidden = F.relu(hidden)
            else:
                hidden = F.max_pool2d(hidden, 2) if self.pooling == "max" else AVERAGE_GAIN * F.avg_pool2d(hidden, 2)
            if name in wanted:
                found[name] = hidden
                if len(found) == len(wanted):
                    return found
        missing = sorted(wanted - found.keys())
        raise ValueError(f"layers {', '.join(missing)} lie deeper than this network was built")


def quantize(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Store kernels in eight bits, each output channel with a scale of its own, and everything else in float16.

    Args:
        state: Tensors by name, ``features.0.weight`` and so on; what has four dimensions is a kernel.

    Returns:
        The same names, kernels as int8, and beside each its ``features.0.scale``, float32, shape (C_out, 1, 1, 1).
    """
    stored = {}
    for name, value in state.items():
        if value.ndim == 4:
            scale = (value.abs().amax((1, 2, 3), keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
            stored[name] = (value / scale).round().to(torch.int8).contiguous()
            stored[name.removesuffix("weight") + "scale"] = scale
        else:
            stored[name] = value.to(torch.float16).contiguous()
    return stored


def dequantize(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Undo ``quantize``; what was not quantized stays as it is. ValueError for a scale that is not one per channel."""
    scales = {name.removesuffix("scale") + "weight": value for name, value in state.items() if name.endswith(".scale")}
    for name, scale in scales.items():
        # A scale of another shape could make a tensor of any size of a small kernel.
        if name in state and scale.shape != (len(state[name]), 1, 1, 1):
            raise ValueError(f"the scale of {name} has shape {tuple(scale.shape)}, needed one per output channel")
    return {
        name: value * scales[name] if name in scales else value
        for name, value in state.items()
        if not name.endswith(".scale")
    }


def load_perceptual_weights(network: str, weights: str) -> Mapping[str, Tensor]:
    """Read weights in torchvision's layout.

    Args:
        network: ``vgg16``, ``vgg19`` or ``vgg_small``.
        weights: ``default`` or a path.

    Returns:
        Tensors by torchvision's names, ``features.0.weight`` and so on.

    Raises:
        PerceptualWeightsError: If there is no such file, it cannot be read, or the download failed.
    """
    if weights == "default" and network == "vgg_small":
        weights = str(SMALL_WEIGHTS)
    if weights == "default":
        source = VGG16_Weights.IMAGENET1K_V1 if network == "vgg16" else VGG19_Weights.IMAGENET1K_V1
        try:
            state: Mapping[str, Tensor] = source.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise PerceptualWeightsError(
                f"{network}'s weights could not be downloaded from {source.url} ({error}); fetch that file elsewhere "
                "and name it as the perceptual weights"
            ) from error
        return state
    path = Path(weights)
    if not path.is_file():
        raise PerceptualWeightsError(
            f"perceptual weights '{weights}' do not exist; name a .safetensors or .pth file in torchvision's "
            "layout, or none to take the default"
        )
    try:
        if path.suffix == ".safetensors":
            return dequantize(load_file(path))
        loaded = load_archive(path)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError, AttributeError) as error:
        reason = first_line(error)
        raise PerceptualWeightsError(
            f"perceptual weights '{weights}' cannot be read ({reason}); download them again"
        ) from error
    except Exception as error:  # torch.load raises pickle.UnpicklingError, and others for files that are not archives
        raise PerceptualWeightsError(
            f"perceptual weights '{weights}' are not a PyTorch weight file; download them again"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise PerceptualWeightsError(f"perceptual weights '{weights}' hold no state dict; save model.state_dict()")
    return loaded
