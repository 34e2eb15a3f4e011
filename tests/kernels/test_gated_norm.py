import pytest
import torch

from tvu.kernels.gated_norm import gated_norm, gated_norm_plain

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
