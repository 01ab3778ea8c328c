"""8-bit kernels: each output channel's weights as integers of -127 to 127 and one float scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_CLIPS = np.linspace(0.6, 1, 21)
"""Shares of a channel's largest weight among which the largest of its 8-bit values is chosen: cutting one outlier off
rounds all other weights more finely. The last is 1, so weights that were quantized before keep their levels."""


def quantize_weights(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Quantize weights symmetrically to -127 to 127, one scale per output channel, the one of least squared error.

    Levels times scales, quantized again, give the same levels.

    Args:
        weights: Shape (O, C, K, K).

    Returns:
        The levels, shape (O, C, K, K), and the scales, shape (O,).
    """
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    peaks = np.maximum(np.abs(rows).max(1, keepdims=True), np.finfo(np.float32).tiny * 127)
    best, scales = np.full(len(rows), np.inf), np.zeros(len(rows))
    for clip in _CLIPS:
        scale = clip * peaks / 127
        error = np.square(np.clip(np.rint(rows / scale), -127, 127) * scale - rows).sum(1)
        scales = np.where(error < best, scale[:, 0], scales)
        best = np.minimum(error, best)
    quantized = np.clip(np.rint(rows / scales[:, None]), -127, 127).astype(np.int8)
    return quantized.reshape(weights.shape), scales.astype(np.float32)
