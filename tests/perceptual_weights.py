"""Random weights in torchvision's layout, small enough to make in each test that needs a frozen network."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from models import vgg
from models.vgg import name_layers

SHALLOW_CONTENT = {"relu2_1": 1.0}
SHALLOW_STYLE = {"relu1_1": 1.0, "relu2_1": 1.0}


def random_state(network: str = "vgg19", deepest: str = "relu2_1", scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Draw He-initialized kernels up to ``deepest``; ``scale`` multiplies every activation."""
    generator = torch.Generator().manual_seed(1)
    channels = [entry for entry in vgg.LAYOUTS[network] if entry != "M"]
    names = name_layers(network)
    state, inputs, position = {}, 3, 0
    for index, name in enumerate(names[: names.index(deepest) + 1]):
        if name.startswith("conv"):
            outputs = int(channels[position])
            spread = (2 / (9 * inputs)) ** 0.5
            # Scaling the first kernel and every bias scales all activations, for the network is positively homogeneous.
            kernel = spread * torch.randn(outputs, inputs, 3, 3, generator=generator)
            state[f"features.{index}.weight"] = kernel * (scale if position == 0 else 1)
            state[f"features.{index}.bias"] = 0.1 * scale * torch.randn(outputs, generator=generator)
            inputs, position = outputs, position + 1
    return state


def write_weights(path: Path, **options) -> Path:
    """Write ``random_state`` as a .safetensors file."""
    save_file(random_state(**options), path)
    return path
