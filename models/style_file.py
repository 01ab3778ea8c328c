"""Style files: a network's weights and where they came from, in one ``.safetensors`` file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.errors import ModelFileError, first_line
from models.header import read_card, read_config, read_object
from models.network import StyleNetwork
from models.quantization import quantize_weights
from models.tensor_file import write_tensors

FORMAT = "onestroke-style-1"
"""Value of the header's ``format``, which identifies a style file."""

FORMAT_8_BIT = "onestroke-style-2"
"""The same for a file with 8-bit kernels, so that versions that cannot read it say so."""


@dataclass(frozen=True)
class StyleCard:
    """Where a style came from: everything needed to name it and to train it again.

    Args:
        name: The style's name, such as ``wave``.
        license: Under what terms the network may be used.
        perceptual_source: Where the weights of the frozen perceptual network came from.
        training_config: The whole configuration of the run, as YAML.
        project_version: The version of this program that trained it.
        steps: Optimizer steps taken.
        held_out_loss: The finished network's loss on the photos that were held out; None where it was not measured.
    """

    name: str
    license: str = ""
    perceptual_source: str = ""
    training_config: str = ""
    project_version: str = ""
    steps: int = 0
    held_out_loss: float | None = None


def save_style(path: Path, network: StyleNetwork, card: StyleCard, dtype: torch.dtype = torch.float32) -> None:
    """Write a style file under a temporary name and rename it.

    Args:
        path: The file to write; an existing one is replaced.
        network: The network, on any device.
        card: Stored in the file's header as JSON.
        dtype: Precision of the stored weights; float16 halves the file. int8 makes it a quarter: kernels have 8 bits
            and a float32 scale per output channel (tensor ``<name>.scale``), everything else is float16.

    Raises:
        ValueError: For an integer type other than int8.
        OSError: If it cannot be written; an existing file is kept.
    """
    if not dtype.is_floating_point and dtype != torch.int8:
        raise ValueError(f"dtype is {dtype}; it must be a floating-point type, or torch.int8 for 8-bit kernels")
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in network.state_dict().items()}
    if dtype == torch.int8:
        tensors = _quantize(tensors)
    else:
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    header = {
        "format": FORMAT_8_BIT if dtype == torch.int8 else FORMAT,
        "network": json.dumps(network.config.to_dict(), sort_keys=True),
        "card": json.dumps(asdict(card), sort_keys=True),
    }
    write_tensors(path, tensors, header)


def load_style(path: Path) -> tuple[StyleNetwork, StyleCard]:
    """Read a style file back.

    Args:
        path: A file that ``save_style`` wrote.

    Returns:
        The network in float32 and evaluation mode, on the CPU, and its card.

    Raises:
        ModelFileError: If the file is absent, is not a style file, or its weights do not fit its network.
    """
    if not path.is_file():
        raise ModelFileError(f"style file '{path}' does not exist; name the .safetensors file of a training run")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") not in {FORMAT, FORMAT_8_BIT}:
                raise ModelFileError(
                    f"'{path}' is a .safetensors file but not a style file (format {str(header.get('format'))[:40]!r}, "
                    f"needed {FORMAT!r} or {FORMAT_8_BIT!r}); name the file that training wrote"
                )
            config = read_config(header["network"], {name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118
            tensors = _dequantize({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        told = read_object(header["card"])
        # The spelling of versions before 0.2.
        told.setdefault("license", told.get("licence", ""))
        card = read_card(StyleCard, told)
        network = StyleNetwork(config)
        network.load_state_dict(tensors)
    except ModelFileError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise ModelFileError(f"style file '{path}' cannot be read ({reason}); copy it again or train anew") from error
    return network.eval(), card


def _quantize(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Store kernels as int8 with a scale beside each, shape (C_out, 1, 1, 1), and everything else as float16."""
    stored = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.ndim == 4:
            levels, scales = quantize_weights(tensor.float().numpy())
            stored[name] = torch.from_numpy(levels)
            stored[f"{name}.scale"] = torch.from_numpy(scales)[:, None, None, None].contiguous()
        else:
            stored[name] = tensor.to(torch.float16)
    return stored


def _dequantize(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return every tensor in float32; KeyError for an int8 tensor without its scale, ValueError for one of its own."""
    scales = {name: stored.pop(f"{name}.scale") for name, tensor in list(stored.items()) if tensor.dtype == torch.int8}
    for name, scale in scales.items():
        # A scale of another shape could make a tensor of any size of a small kernel.
        if scale.shape != (len(stored[name]), 1, 1, 1):
            raise ValueError(f"{name}.scale has shape {tuple(scale.shape)}, needed {(len(stored[name]), 1, 1, 1)}")
    return {name: tensor.float() * scales.get(name, 1) for name, tensor in stored.items()}
