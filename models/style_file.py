"""Style files: a network's weights and where they came from, in one ``.safetensors`` file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from models.errors import ModelFileError
from models.network import NetworkConfig, StyleNetwork

FORMAT = "onestroke-style-1"
"""Value of the header's ``format``, which identifies a style file."""


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
        dtype: Precision of the stored weights; float16 halves the file.

    Raises:
        OSError: If it cannot be written; an existing file is kept.
    """
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in network.state_dict().items()}
    header = {
        "format": FORMAT,
        "network": json.dumps(network.config.to_dict(), sort_keys=True),
        "card": json.dumps(asdict(card), sort_keys=True),
    }
    partial = path.with_name(path.name + ".tmp")
    try:
        # Not save_file, whose files only their owner may read: a web server could not.
        partial.write_bytes(save(tensors, metadata=header))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
            if header.get("format") != FORMAT:
                raise ModelFileError(
                    f"'{path}' is a .safetensors file but not a style file (format {header.get('format')!r}, "
                    f"needed {FORMAT!r}); name the file that training wrote"
                )
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        network = StyleNetwork(NetworkConfig(**json.loads(header["network"])))
        known = {field.name for field in fields(StyleCard)}
        told = json.loads(header["card"])
        # The spelling of versions before 0.2.
        told.setdefault("license", told.get("licence", ""))
        card = StyleCard(**{key: value for key, value in told.items() if key in known})
        network.load_state_dict(tensors)
    except ModelFileError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"style file '{path}' cannot be read ({reason}); copy it again or train anew") from error
    return network.eval(), card
