import pytest
import torch

from tvu.kernels.gated_norm import gated_norm, gated_norm_plain, gated_norm_pool, gated_norm_pool_plain
from tvu.kernels.pool_tokens import pool_tokens

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gate_last", [False, True])
@pytest.mark.parametrize(("shape", "size"), [((2, 3, 40), 40), ((5, 130), 65), ((1, 1, 21), 7)])
def test_the_kernel_equals_its_twin(shape, size, gate_last, dtype):
    from tvu.kernels.gated_norm_triton import GatedNorm

    x, z = torch.randn(*shape[:-1], 2, shape[-1], device=DEVICE).to(dtype).unbind(-2)  # cut from wider rows
    weight = torch.randn(shape[-1], device=DEVICE).to(dtype)
    exact = gated_norm_plain(x.double(), weight.double(), z.double(), group_size=size, gate_last=gate_last)
    ours = GatedNorm.apply(x, weight, z, 1e-5, size, gate_last)
    # one rounding to the output's dtype after float32 arithmetic
    torch.testing.assert_close(ours.double(), exact, rtol=torch.finfo(dtype).eps, atol=4e-6)


def test_the_gated_norm_is_torchs_own_of_what_is_gated():
    x, z, weight = torch.randn(3, 8), torch.randn(3, 8), torch.randn(8)
    gate = torch.nn.functional.silu(z)
    torch.testing.assert_close(gated_norm(x, weight, z), torch.nn.functional.rms_norm(x * gate, [8], weight, 1e-5))
    last = torch.nn.functional.rms_norm(x, [8], weight, 1e-5) * gate
    torch.testing.assert_close(gated_norm(x, weight, z, gate_last=True), last)


@pytest.mark.parametrize("gate_last", [False, True])
@pytest.mark.parametrize(("shape", "size"), [((2, 3, 40), 40), ((5, 26), 13)])
def test_gradients_are_those_of_its_twin(shape, size, gate_last):
    from tvu.kernels.gated_norm_triton import GatedNorm

    leaves = [torch.randn(*sizes, device=DEVICE, requires_grad=True) for sizes in (shape, shape[-1:], shape)]
    y = GatedNorm.apply(*leaves, 1e-5, size, gate_last)
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, leaves, direction)
    plain = gated_norm_plain(*leaves, group_size=size, gate_last=gate_last)
    for ours, right in zip(got, torch.autograd.grad(plain, leaves, direction), strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)  # float32 sums over C terms


POOLED = [  # [B, T, H, W, C], channels under one mean, lengths, frames, cells, every
    ((1, 4, 4, 4, 32), 32, None, 4, 2, 1),
    ((2, 5, 3, 5, 42), 21, [5, 2], 2, 2, 1),
    ((2, 7, 1, 3, 9), 9, [0, 6], 2, 3, 2),
]


def blocks(shape, lengths, frames, cells, every):
    from tvu.kernels.gated_norm_triton import Pooling

    return None if lengths is None else torch.tensor(lengths, device=DEVICE), Pooling(shape[:4], frames, cells, every)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gate_last", [False, True])
@pytest.mark.parametrize(("shape", "size", "lengths", "frames", "cells", "every"), POOLED)
def test_the_pooling_kernel_equals_its_twin(shape, size, lengths, frames, cells, every, gate_last, dtype):
    from tvu.kernels.gated_norm_triton import GatedNorm

    x, z = torch.randn(*shape[:-1], 2, shape[-1], device=DEVICE).to(dtype).unbind(-2)  # cut from wider rows
    weight = torch.randn(shape[-1], device=DEVICE).to(dtype)
    counts, pooling = blocks(shape, lengths, frames, cells, every)
    exact = gated_norm_pool_plain(
        x.double(), weight.double(), z.double(), counts,
        group_size=size, gate_last=gate_last, frames=frames, cells=cells, every=every,
    )  # fmt: skip
    for video, length in enumerate(lengths or []):
        x[video, length:] = torch.nan  # padding is never read
    ours = GatedNorm.apply(x, weight, z, 1e-5, size, gate_last, counts, pooling)
    # one rounding to the output's dtype after float32 sums
    torch.testing.assert_close(ours.double(), exact, rtol=torch.finfo(dtype).eps, atol=4e-6)


@pytest.mark.parametrize("gate_last", [False, True])
@pytest.mark.parametrize(("shape", "size", "lengths", "frames", "cells", "every"), POOLED)
def test_gradients_of_the_pooled_norm_are_those_of_its_twin(shape, size, lengths, frames, cells, every, gate_last):
    from tvu.kernels.gated_norm_triton import GatedNorm

    leaves = [torch.randn(*sizes, device=DEVICE, requires_grad=True) for sizes in (shape, shape[-1:], shape)]
    counts, pooling = blocks(shape, lengths, frames, cells, every)
    y = GatedNorm.apply(*leaves, 1e-5, size, gate_last, counts, pooling)
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, leaves, direction)
    plain = gated_norm_pool_plain(
        *leaves, counts, group_size=size, gate_last=gate_last, frames=frames, cells=cells, every=every
    )
    for ours, right in zip(got, torch.autograd.grad(plain, leaves, direction), strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)  # float32 sums over C terms


def test_pooling_after_the_norm_is_the_norm_and_then_the_pooling():
    x, z, weight = torch.randn(2, 3, 4, 4, 6), torch.randn(2, 3, 4, 4, 6), torch.randn(6)
    lengths, settings = torch.tensor([3, 1]), {"frames": 2, "cells": 2}
    right = pool_tokens(gated_norm(x, weight, z), lengths, **settings)
    torch.testing.assert_close(gated_norm_pool(x, weight, z, lengths, **settings), right)


@pytest.mark.parametrize("wrong", [{"group_size": 4}, {"frames": 0}, {"cells": 0}, {"every": 0}])
def test_a_pooled_norm_refuses_sizes_that_mean_nothing(wrong):
    x = torch.randn(1, 2, 2, 2, 6)
    with pytest.raises(ValueError, match=r"whole groups|at least 1"):
        gated_norm_pool(x, torch.ones(6), x, **wrong)
