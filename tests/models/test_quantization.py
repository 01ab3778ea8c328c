"""8-bit kernels are as near to the weights as one scale per channel allows."""

import numpy as np

from models.quantization import quantize_weights


def test_8_bit_weights_have_the_error_of_their_scale():
    weights = np.random.default_rng(0).standard_normal((5, 4, 3, 3)).astype(np.float32) * np.array(
        [1, 10, 0.1, 0, 1e-3], np.float32
    ).reshape(5, 1, 1, 1)
    quantized, scales = quantize_weights(weights)
    assert quantized.dtype == np.int8
    assert quantized.min() >= -127
    restored = quantized * scales[:, None, None, None]
    peaks = np.abs(weights).max((1, 2, 3))
    rows = np.square(restored - weights).mean((1, 2, 3)) ** 0.5
    # A uniform error over one step of the peak's 127th part has a deviation of a root of twelve.
    assert (rows <= peaks / 127 / 12**0.5 * 1.25).all()
    assert not quantized[3].any()


def test_an_outlier_is_cut_off_where_that_rounds_the_rest_more_finely():
    weights = np.random.default_rng(0).standard_normal((1, 1024, 3, 3)).astype(np.float32)
    weights[0, 0, 0, 0] = 1.2 * np.abs(weights).max()
    levels, scales = quantize_weights(weights)
    whole = np.abs(weights).max() / 127
    rounded = np.rint(weights / whole) * whole
    assert scales[0] < whole
    assert np.square(levels * scales[0] - weights).sum() < np.square(rounded - weights).sum()


def test_quantized_weights_keep_their_levels():
    weights = np.random.default_rng(1).standard_normal((6, 8, 3, 3)).astype(np.float32)
    levels, scales = quantize_weights(weights)
    again, same = quantize_weights(levels * scales[:, None, None, None])
    np.testing.assert_array_equal(again, levels)
    np.testing.assert_allclose(same, scales, rtol=1e-6)
