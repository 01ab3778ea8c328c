"""Other noise for a trained style: what flat regions are painted with, chosen after the training."""

from __future__ import annotations

from dataclasses import replace

from models.network import StyleNetwork
from models.style_file import StyleCard
from train.errors import TrainError


def change_noise(network: StyleNetwork, card: StyleCard, noise: float) -> tuple[StyleNetwork, StyleCard]:
    """Give a style other noise, and leave its weights as they are.

    Args:
        network: The style.
        card: Its card.
        noise: Standard deviation of the noise, in levels of 255; 0 for none.

    Returns:
        The network, and the card, whose configuration begins with the change, and in which the held-out loss is open:
        nobody measured this network's.

    Raises:
        TrainError: If no network has that noise.
    """
    try:
        config = replace(network.config, noise=noise)
    except ValueError as error:
        raise TrainError(f"--noise: {error}") from error
    changed = StyleNetwork(config).eval()
    changed.start_from(network)
    told = f"# Noise of {noise:g} in place of {network.config.noise:g}, after the training.\n{card.training_config}"
    return changed, replace(card, training_config=told, held_out_loss=None)
