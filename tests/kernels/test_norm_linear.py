import pytest
import torch

from tvu.kernels.norm_linear import (
    linear_add,
    linear_add_plain,
    norm_gated_linear,
    norm_gated_linear_plain,
    norm_linear,
    norm_linear_plain,
)

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
EPS = 1e-5


def layer(rows, outputs, width, dtype, gated=False):
    x = torch.randn(rows, width, dtype=dtype, device=DEVICE)
    weight = torch.randn((1 + gated) * outputs, width, device=DEVICE).to(dtype) / width**0.5
    return x, 0.5 + torch.rand(width, device=DEVICE).to(dtype), weight


def error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


# float32 sums; bfloat16 rounds x * norm_weight and the output, and Triton's interpreter cuts instead of rounding
BOUNDS = {torch.float32: 1e-6, torch.bfloat16: 2e-2}
each_dtype = pytest.mark.parametrize("dtype", BOUNDS)
each_shape = pytest.mark.parametrize(
    ("rows", "outputs", "width"), [(1, 37, 75), (1, 8, 1030), (1, 1, 130), (1, 40, 2050)]
)


@each_dtype
@each_shape
def test_the_kernel_equals_its_twin(rows, outputs, width, dtype):
    from tvu.kernels.norm_linear_triton import skinny

    x, norm, weight = layer(rows, outputs, width, dtype)
    bias, residual = torch.randn(outputs, device=DEVICE).to(dtype), torch.randn(rows, outputs, device=DEVICE).to(dtype)
    wide = [t.double() for t in (x, norm, weight, bias, residual)]
    for given in (None, bias):
        exact = norm_linear_plain(wide[0], wide[1], EPS, wide[2], None if given is None else wide[3])
        assert error(skinny(x, weight, norm=(norm, EPS), bias=given), exact) < BOUNDS[dtype]
        exact = linear_add_plain(wide[0], wide[2], wide[4], None if given is None else wide[3])
        assert error(skinny(x, weight, residual=residual, bias=given), exact) < BOUNDS[dtype]


@each_dtype
@each_shape
def test_the_gated_kernel_equals_its_twin(rows, outputs, width, dtype):
    from tvu.kernels.norm_linear_triton import skinny

    x, norm, weight = layer(rows, outputs, width, dtype, gated=True)
    exact = norm_gated_linear_plain(x.double(), norm.double(), EPS, weight.double())
    assert error(skinny(x, weight, norm=(norm, EPS), gated=True), exact) < BOUNDS[dtype]


def test_half_precision_may_hold_a_product_with_the_norm_that_it_cannot():
    from tvu.kernels.norm_linear_triton import skinny

    x, norm, weight = layer(1, 19, 70, torch.float16)
    x *= 1000
    norm *= 100
    exact = norm_linear_plain(x.double(), norm.double(), EPS, weight.double())
    assert error(skinny(x, weight, norm=(norm, EPS)), exact) < 1e-2


def test_rows_of_a_weight_may_lie_apart():
    from tvu.kernels.norm_linear_triton import skinny

    x, norm, weight = layer(1, 20, 48, torch.float32)
    apart = torch.full((20, 64), torch.nan, device=DEVICE)
    apart[:, :48] = weight
    assert torch.equal(skinny(x, apart[:, :48], norm=(norm, EPS)), skinny(x, weight, norm=(norm, EPS)))


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
@pytest.mark.parametrize("rows", [1, 4, 16, 17])
def test_the_public_functions_agree_with_their_twins_on_a_gpu(rows):
    x, norm, weight = layer(rows, 1500, 1030, torch.bfloat16, gated=True)
    residual = torch.randn(rows, 3000, device=DEVICE).bfloat16()
    wide = [t.double() for t in (x, norm, weight, residual)]
    assert error(norm_linear(x, norm, EPS, weight), norm_linear_plain(wide[0], wide[1], EPS, wide[2])) < 1e-2
    assert error(norm_gated_linear(x, norm, EPS, weight), norm_gated_linear_plain(*wide[:2], EPS, wide[2])) < 1e-2
    assert error(linear_add(x, weight, residual), linear_add_plain(wide[0], wide[2], wide[3])) < 1e-2


def test_gradients_flow_through_the_plain_twin():
    x, norm, weight = (t.requires_grad_() for t in layer(2, 6, 9, torch.float32))
    norm_linear(x, norm, EPS, weight).sum().backward()
    assert x.grad.abs().sum() > 0 and norm.grad.abs().sum() > 0 and weight.grad.abs().sum() > 0
