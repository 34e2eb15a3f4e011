import pytest
import torch

from tvu.kernels.half_weight import HalfWeight
from tvu.kernels.norm_linear import linear_add, norm_gated_linear, norm_linear

needs_fbgemm = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM has wheels for x86 only"
)


def representable(*shape):
    return torch.randn(shape).half().float()


@needs_fbgemm
@pytest.mark.parametrize(("rows", "outputs", "width"), [(1, 37, 75), (3, 64, 576), (16, 1, 8), (5, 130, 1030)])
def test_the_product_is_that_of_float32(rows, outputs, width):
    x, weight = torch.randn(1, rows, width), representable(outputs, width)
    exact = x.double() @ weight.double().T
    assert (HalfWeight(weight).product(x) - exact).norm() / exact.norm() < 1e-6


@needs_fbgemm
def test_it_may_stand_for_the_weight_of_a_layer():
    x, norm, weight, residual = torch.randn(2, 24), torch.rand(24), representable(32, 24), torch.randn(2, 32)
    half, bias = HalfWeight(weight), torch.randn(32)
    torch.testing.assert_close(norm_linear(x, norm, 1e-5, half, bias), norm_linear(x, norm, 1e-5, weight, bias))
    torch.testing.assert_close(norm_gated_linear(x, norm, 1e-5, half), norm_gated_linear(x, norm, 1e-5, weight))
    torch.testing.assert_close(linear_add(x, half, residual), linear_add(x, weight, residual))


@needs_fbgemm
@pytest.mark.parametrize("value", [2.0**-24, 65504.0, -0.1240234375])
def test_the_ends_of_the_range_are_kept(value):
    weight = torch.full((4, 16), value)
    assert torch.equal(HalfWeight(weight).product(torch.eye(16)), weight.T)


@pytest.mark.parametrize("weight", [torch.tensor([[0.1]]), torch.tensor([[7e4]]), torch.ones(1, 1).half()])
def test_what_would_lose_something_is_refused(weight):
    assert not HalfWeight.fits(weight)
    with pytest.raises(ValueError, match="not exact"):
        HalfWeight(weight)
