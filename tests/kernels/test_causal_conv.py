import pytest
import torch

from tvu.kernels.causal_conv import causal_conv_silu, causal_conv_silu_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "taps", "biased"), [((2, 37, 19), 4, True), ((1, 1, 130), 4, False), ((1, 70, 5), 2, True)]
)
def test_the_kernel_equals_its_twin(shape, taps, biased, dtype, reverse):
    from tvu.kernels.causal_conv_triton import CausalConvSilu

    x = torch.randn(*shape[:2], shape[2] + 3, device=DEVICE).to(dtype)[..., 3:]  # cut from wider rows
    weight, bias = torch.randn(shape[2], taps, device=DEVICE).to(dtype), torch.randn(shape[2], device=DEVICE).to(dtype)
    ours = CausalConvSilu.apply(x, weight, bias if biased else None, reverse)
    wide = bias.double() if biased else None
    exact = causal_conv_silu_plain(x.double(), weight.double(), wide, reverse=reverse)
    # one rounding to the output's dtype after float32 sums
    torch.testing.assert_close(ours.double(), exact, rtol=torch.finfo(dtype).eps, atol=4e-6)


def test_it_is_torchs_own_padded_on_the_left():
    x, weight, bias = torch.randn(2, 9, 5), torch.randn(5, 4), torch.randn(5)
    y = torch.nn.functional.conv1d(x.mT, weight[:, None], bias, padding=3, groups=5)[..., :9]
    torch.testing.assert_close(causal_conv_silu(x, weight, bias), torch.nn.functional.silu(y.mT))


def test_anti_causal_is_causal_on_the_mirrored_sequence():
    x, weight, bias = torch.randn(2, 9, 5), torch.randn(5, 4), torch.randn(5)
    mirrored = causal_conv_silu(x.flip(1), weight, bias).flip(1)
    torch.testing.assert_close(causal_conv_silu(x, weight, bias, reverse=True), mirrored)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("shape", "taps"), [((2, 70, 9), 4), ((1, 2, 130), 3)])
def test_gradients_are_those_of_its_twin(shape, taps, reverse):
    from tvu.kernels.causal_conv_triton import CausalConvSilu

    leaves = [torch.randn(*sizes, device=DEVICE, requires_grad=True) for sizes in (shape, (shape[2], taps), shape[2:])]
    y = CausalConvSilu.apply(*leaves, reverse)
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, leaves, direction)
    plain = causal_conv_silu_plain(*leaves, reverse=reverse)
    for ours, right in zip(got, torch.autograd.grad(plain, leaves, direction), strict=True):
        torch.testing.assert_close(ours, right, rtol=1e-4, atol=1e-5)  # float32 sums over the tokens
