import pytest
import torch

from tvu.kernels.add_norm_pool import add_norm_pool, add_norm_pool_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [((1, 4, 4, 4, 32), 4, 2), ((2, 3, 5, 3, 19), 2, 3), ((1, 1, 1, 1, 130), 1, 1)]


@pytest.mark.parametrize("centred", [False, True], ids=["RMSNorm", "LayerNorm"])
@pytest.mark.parametrize(("shape", "frames", "cells"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernel_equals_its_twin(shape, frames, cells, centred, dtype):
    from tvu.kernels.add_norm_pool_triton import AddNormPool

    inputs = torch.randn(3, *shape, dtype=dtype, device=DEVICE)
    weight, bias = torch.randn(2, shape[-1], dtype=dtype, device=DEVICE)
    settings = {"eps": 1e-5, "frames": frames, "cells": cells}
    wide = bias.double() if centred else None
    expected = add_norm_pool_plain(*inputs.double(), weight.double(), wide, **settings)
    ours = AddNormPool.apply(*inputs, weight, bias if centred else None, *settings.values())
    # one rounding to the output's dtype after float32 sums
    torch.testing.assert_close(ours.double(), expected, rtol=torch.finfo(dtype).eps, atol=4e-6)


@pytest.mark.parametrize("centred", [False, True], ids=["RMSNorm", "LayerNorm"])
@pytest.mark.parametrize(("shape", "frames", "cells"), SIZES)
def test_gradients_are_those_of_its_twin(shape, frames, cells, centred):
    from tvu.kernels.add_norm_pool_triton import AddNormPool

    leaves = [*torch.randn(3, *shape, device=DEVICE), *torch.randn(2, shape[-1], device=DEVICE)]
    leaves = [leaf.requires_grad_() for leaf in leaves[: 5 if centred else 4]]
    ours = AddNormPool.apply(*leaves[:4], leaves[4] if centred else None, 1e-5, frames, cells)
    direction = torch.randn_like(ours)
    got = torch.autograd.grad((ours * direction).sum(), leaves)
    plain = add_norm_pool_plain(*leaves, frames=frames, cells=cells)
    for one, right in zip(got, torch.autograd.grad((plain * direction).sum(), leaves), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-4, atol=1e-5)  # float32 sums over C terms


def test_layer_norm_is_torchs_own():
    x, forward, backward = torch.randn(3, 1, 2, 3, 3, 8)
    weight, bias = torch.randn(2, 8)
    ours = add_norm_pool(x, forward, backward, weight, bias)
    torch.testing.assert_close(ours, torch.nn.functional.layer_norm(x + forward + backward, [8], weight, bias))


def test_rms_norm_is_torchs_own():
    x, forward, backward = torch.randn(3, 1, 2, 3, 3, 8)
    weight = torch.randn(8)
    ours = add_norm_pool(x, forward, backward, weight, eps=1e-6)
    torch.testing.assert_close(ours, torch.nn.functional.rms_norm(x + forward + backward, [8], weight, 1e-6))
