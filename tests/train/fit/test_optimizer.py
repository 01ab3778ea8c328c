"""Muon makes a kernel's step orthogonal, and moves all else as Adam does."""

import pytest
import torch
from torch import nn

from train.fit.optimizer import KERNEL_STEP, Muon, orthogonalize


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_singular_values_come_near_one_and_their_vectors_stay():
    left, _, right = torch.linalg.svd(draw(8, 30), full_matrices=False)
    values = torch.logspace(0, -2, 8)
    (found,) = orthogonalize([left * values @ right])
    share = left.T @ found @ right.T
    assert share.diagonal().min() > 0.65
    assert share.diagonal().max() < 1.25
    assert (share - share.diagonal().diag()).abs().max() < 1e-3


def test_matrices_of_all_shapes_are_treated_as_each_by_itself():
    matrices = [draw(4, 9), draw(9, 4, seed=1), draw(4, 9, seed=2), draw(1, 5, seed=3), torch.zeros(3, 3)]
    together = orthogonalize(matrices)
    for matrix, found in zip(matrices, together, strict=True):
        assert found.shape == matrix.shape
        assert torch.allclose(found, orthogonalize([matrix])[0], atol=1e-6)
        assert torch.allclose(found.T, orthogonalize([matrix.T])[0], atol=1e-5)
    assert not together[-1].any()


@pytest.mark.parametrize("shape", [(6, 3, 3, 3), (40, 2, 3, 3)])
def test_a_kernels_step_has_one_size_whatever_its_shape_and_its_gradient(shape):
    kernel = nn.Parameter(torch.zeros(shape).to(memory_format=torch.channels_last))
    optimizer = Muon([kernel], lr=1e-3)
    kernel.grad = 1e-6 * draw(*shape)
    optimizer.step()
    assert kernel.square().mean().sqrt().item() == pytest.approx(1e-3 * KERNEL_STEP, rel=0.3)
    assert (kernel * kernel.grad).sum() < 0


def test_a_step_goes_on_in_the_direction_of_the_former_ones():
    kernel = nn.Parameter(torch.zeros(2, 2, 1, 1))
    optimizer = Muon([kernel], lr=1)
    # The second gradient is too small to turn the momentum of the first.
    for gradient in (torch.eye(2), -0.05 * torch.eye(2)):
        before = kernel.detach().clone()
        kernel.grad = gradient[..., None, None]
        optimizer.step()
    assert ((kernel - before).flatten(1).diagonal() < 0).all()


def test_what_is_no_kernel_moves_as_with_adam():
    found = []
    for make in (Muon, torch.optim.Adam):
        vector = nn.Parameter(torch.ones(5))
        optimizer = make([vector], lr=0.1)
        for step in range(4):
            vector.grad = draw(5, seed=step)
            optimizer.step()
        found.append(vector.detach())
    assert torch.allclose(*found, atol=1e-6)


def test_weights_without_a_gradient_stay():
    kernel, vector = nn.Parameter(torch.ones(2, 2, 1, 1)), nn.Parameter(torch.ones(2))
    Muon([kernel, vector], lr=1).step()
    assert (kernel == 1).all()
    assert (vector == 1).all()
