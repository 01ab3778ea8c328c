"""The mean of several stages of one style: between one with more of the painting and one with more of the photo.

Networks that were trained from one another lie near each other, and a mean of their weights paints as well as they do
(Wang et al. 2019, deep network interpolation; Wortsman et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from models.network import StyleNetwork
from models.style_file import StyleCard
from train.errors import TrainError


@torch.no_grad()
def average_stages(
    stages: Mapping[Path, tuple[StyleNetwork, StyleCard]], shares: Mapping[Path, float]
) -> tuple[StyleNetwork, StyleCard]:
    """Average the weights of several stages of a style.

    Args:
        stages: What two or more style files hold, from the first stage to the last.
        shares: The share of each, above 0; they are divided by their sum.

    Returns:
        The network, with the mean of the noises and without strength, and the last stage's card, whose configuration
        begins with the shares, and in which the held-out loss is open: nobody measured this network's.

    Raises:
        TrainError: If the networks differ.
    """
    *earlier, last = stages
    network, card = stages[last]
    for path in earlier:
        config = stages[path][0].config
        if config.bare != network.config.bare:
            raise TrainError(
                f"'{path}' holds a network of {config.bare.to_dict()}, '{last}' one of "
                f"{network.config.bare.to_dict()}; only stages of one style have a mean"
            )
    states = {path: stage.state_dict() for path, (stage, _) in stages.items()}
    total = sum(shares.values())
    noise = sum(share / total * stages[path][0].config.noise for path, share in shares.items())
    mean = StyleNetwork(replace(network.config, noise=round(noise, 3), strength=False)).eval()
    for name, weights in mean.state_dict().items():
        weights.copy_(torch.stack([states[path][name] * (share / total) for path, share in shares.items()]).sum(0))
    recipe = ", ".join(f"{stages[path][1].name} {share / total:.3g}" for path, share in shares.items())
    told = f"# The mean of {recipe}; this is the configuration of the last.\n{card.training_config}"
    return mean, replace(card, training_config=told, held_out_loss=None)
