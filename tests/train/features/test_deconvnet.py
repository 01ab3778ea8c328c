"""The deconvnet sends activations back as Zeiler and Fergus describe it, which small networks show by hand."""

import torch
import torch.nn.functional as F

from models.network import NetworkConfig, StyleNetwork
from models.vgg import IMAGENET_STD, VGGFeatures
from tests.perceptual_weights import random_state
from train.features.deconvnet import project, rectified_activations

STD = torch.tensor(IMAGENET_STD).view(3, 1, 1)


def draw_picture(height, width):
    generator = torch.Generator().manual_seed(7)
    return torch.rand(1, 3, height, width, generator=generator).requires_grad_()


def watch(network, picture, number):
    return rectified_activations(network, picture, [number])[number]


def test_one_unit_of_the_first_layer_becomes_its_filter():
    state = random_state(deepest="relu1_1")
    features = VGGFeatures("vgg19", ["relu1_1"], state)
    picture = draw_picture(16, 16)
    activations = watch(lambda pictures: features(pictures, ["relu1_1"]), picture, 0)
    channel = int(activations[0, :, 7, 9].argmax())
    projection = project(activations, picture, (channel, 7, 9))
    expected = torch.zeros(3, 16, 16)
    expected[:, 6:9, 8:11] = activations[0, channel, 7, 9].detach() * state["features.0.weight"][channel] / STD
    torch.testing.assert_close(projection, expected)


def test_signals_are_unpooled_by_switches_rectified_and_filtered_by_transposed_kernels():
    state = random_state(deepest="relu2_1")
    features = VGGFeatures("vgg19", ["relu2_1"], state)
    picture = draw_picture(20, 24)
    activations = watch(lambda pictures: features(pictures, ["relu2_1"]), picture, 2)

    def convolve(hidden, index):
        return F.relu(F.conv2d(hidden, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1))

    def send_back(signal, index):
        return F.conv_transpose2d(signal, state[f"features.{index}.weight"], padding=1)

    hidden = convolve(convolve((picture.detach() - features.mean) / features.std, 0), 2)
    pooled, switches = F.max_pool2d(hidden, 2, return_indices=True)
    last = convolve(pooled, 5)
    torch.testing.assert_close(activations.detach(), last)
    row, column = 4, 6
    channel = int(last[0, :, row, column].argmax())
    signal = torch.zeros_like(last)
    signal[0, channel, row, column] = last[0, channel, row, column]
    signal = F.max_unpool2d(send_back(signal, 5), switches, 2, output_size=hidden.shape)
    signal = send_back(F.relu(signal), 2)
    expected = send_back(F.relu(signal), 0)[0] / STD
    torch.testing.assert_close(project(activations, picture, (channel, row, column)), expected)


def test_the_means_and_variances_of_norms_are_constants_on_the_way_back():
    torch.manual_seed(5)
    network = StyleNetwork(NetworkConfig(width=4, residual_blocks=1, noise=0))
    picture = draw_picture(32, 32)
    activations = watch(network, picture, 0)
    channel = int(activations[0, :, 16, 16].argmax())
    projection = project(activations, picture, (channel, 16, 16))
    inside = projection[:, 12:21, 12:21]
    kernel = network.conv1.weight[channel].detach()
    # A norm's scale is above 0 here, so that what is left is the filter.
    torch.testing.assert_close(inside / inside.norm(), kernel / kernel.norm(), rtol=1e-4, atol=1e-6)
    assert projection.count_nonzero() == inside.count_nonzero()


def test_outside_of_it_rectifiers_keep_their_gradient():
    values = torch.tensor([-1.0, 2.0], requires_grad=True)
    rectified_activations(F.relu, torch.rand(1, 3, 4, 4), [0])
    (-F.relu(values).sum()).backward()
    assert values.grad.tolist() == [0, -1]
