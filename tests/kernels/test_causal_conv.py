import pytest
import torch

from tvu.kernels.causal_conv import causal_conv_silu, causal_conv_silu_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "taps", "biased"), [((2, 37, 19), 4, True), ((1, 1, 130), 4, False), ((1, 70, 5), 2, True)]
)
def test_the_kernel_equals_its_twin(shape, taps, biased, dtype):
    from tvu.kernels.causal_conv_triton import convolve

    x = torch.randn(*shape[:2], shape[2] + 3, device=DEVICE).to(dtype)[..., 3:]  # cut from wider rows
    weight, bias = torch.randn(shape[2], taps, device=DEVICE).to(dtype), torch.randn(shape[2], device=DEVICE).to(dtype)
    ours = convolve(x, weight, bias if biased else None)
    exact = causal_conv_silu_plain(x.double(), weight.double(), bias.double() if biased else None)
    # one rounding to the output's dtype after float32 sums
    torch.testing.assert_close(ours.double(), exact, rtol=torch.finfo(dtype).eps, atol=4e-6)


def test_it_is_torchs_own_padded_on_the_left():
    x, weight, bias = torch.randn(2, 9, 5), torch.randn(5, 4), torch.randn(5)
    y = torch.nn.functional.conv1d(x.mT, weight[:, None], bias, padding=3, groups=5)[..., :9]
    torch.testing.assert_close(causal_conv_silu(x, weight, bias), torch.nn.functional.silu(y.mT))


def test_gradients_come_from_the_plain_twin():
    x = torch.randn(1, 6, 3, device=DEVICE, requires_grad=True)
    causal_conv_silu(x, torch.ones(3, 4, device=DEVICE)).sum().backward()
    assert x.grad.isfinite().all()
