import pytest
import torch

from tvu.kernels.pool_tokens import pool_and_compare, pool_and_compare_plain, pool_tokens, pool_tokens_plain

triton = pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [
    # shape of x [B, T, H, W, C], frames, cells, every
    ((1, 4, 6, 6, 32), 4, 3, 1),
    ((2, 7, 5, 3, 17), 4, 2, 1),
    ((1, 9, 4, 4, 300), 2, 2, 3),
    ((3, 1, 1, 1, 5), 4, 3, 2),
]


@pytest.mark.parametrize(("shape", "frames", "cells", "every"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernel_equals_its_twin(shape, frames, cells, every, dtype):
    from tvu.kernels.pool_tokens_triton import PoolTokens

    x = torch.randn(shape, dtype=dtype, device=DEVICE)
    lengths = torch.randint(0, shape[1] + 1, (shape[0],), device=DEVICE)
    for real in (None, lengths):
        ours = PoolTokens.apply(x, real, frames, cells, every)
        expected = pool_tokens_plain(x.double(), real, frames=frames, cells=cells, every=every)
        # one rounding of the mean to the output's dtype, and float32 sums of at most 36 terms
        torch.testing.assert_close(ours.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize(("shape", "frames", "cells", "every"), SIZES)
def test_gradients_are_those_of_its_twin(shape, frames, cells, every):
    from tvu.kernels.pool_tokens_triton import PoolTokens

    lengths = torch.randint(0, shape[1] + 1, (shape[0],), device=DEVICE)
    x = torch.randn(shape, device=DEVICE, requires_grad=True)
    y = PoolTokens.apply(x, lengths, frames, cells, every)
    weight = torch.randn_like(y)
    (ours,) = torch.autograd.grad((y * weight).sum(), x)
    plain = pool_tokens_plain(x, lengths, frames=frames, cells=cells, every=every)
    (expected,) = torch.autograd.grad((plain * weight).sum(), x)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("shape", "frames", "cells"), [(shape, k, p) for shape, k, p, _ in SIZES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_changed_is_told_from_the_same_read(shape, frames, cells, dtype):
    from tvu.kernels.pool_tokens_triton import PoolAndCompare

    x = torch.randn(shape, dtype=dtype, device=DEVICE, requires_grad=True)
    pooled, similarity, norms = PoolAndCompare.apply(x, frames, cells)
    right = pool_and_compare_plain(x.double(), frames=frames, cells=cells)
    torch.testing.assert_close(pooled.double(), right[0], rtol=torch.finfo(dtype).eps, atol=1e-6)  # as above
    for ours, expected in ((similarity, right[1]), (norms, right[2])):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-6, atol=2e-6)  # float32 sums over C
    direction = torch.randn_like(pooled)
    (got,) = torch.autograd.grad(pooled, x, direction)
    (expected,) = torch.autograd.grad(right[0], x, direction.double())
    torch.testing.assert_close(got, expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-6)


def test_a_group_is_compared_to_the_frame_before_it():
    x = torch.randn(1, 5, 2, 2, 3)
    x[0, 2] = 4 * x[0, 1]
    similarity = pool_and_compare(x, frames=2)[1]
    torch.testing.assert_close(similarity[0, 2], torch.ones(2, 2))
    assert (similarity[0, 0] == -1).all()


def test_padding_is_not_read():
    x = torch.randn(2, 5, 3, 3, 4)
    broken = x.clone()
    broken[0, 3:] = float("nan")
    lengths = torch.tensor([3, 5])
    ours = pool_tokens(broken, lengths, frames=2, cells=2)
    assert torch.equal(ours, pool_tokens(x, lengths, frames=2, cells=2))


def test_equal_groups_keep_the_mean():
    x = torch.randn(2, 8, 6, 6, 4, dtype=torch.float64)
    pooled = pool_tokens(x, frames=4, cells=3)
    torch.testing.assert_close(pooled.mean((1, 2, 3)), x.mean((1, 2, 3)))


def test_sampling_keeps_the_first_group_of_each_run():
    x = torch.arange(12.0).reshape(1, 12, 1, 1, 1)
    assert pool_tokens(x, frames=2, every=3).flatten().tolist() == [0.5, 6.5]


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"cells": -1}, {"every": 0}])
def test_sizes_are_positive(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        pool_tokens(torch.zeros(1, 1, 1, 1, 1), **wrong)
