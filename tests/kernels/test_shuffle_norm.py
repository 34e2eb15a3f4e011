import pytest
import torch

from tvu.kernels.shuffle_norm import shuffle_norm, shuffle_norm_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [(1, 4, 4, 16), (2, 5, 3, 19), (3, 1, 1, 40)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernel_equals_its_twin(shape, dtype):
    from tvu.kernels.shuffle_norm_triton import ShuffleNorm

    x = torch.randn(shape, dtype=dtype, device=DEVICE)
    weight, bias = torch.randn(2, 4 * shape[-1], dtype=dtype, device=DEVICE)
    expected = shuffle_norm_plain(x.double(), weight.double(), bias.double())
    # one rounding to the output's dtype after float32 statistics
    ours = ShuffleNorm.apply(x, weight, bias, 1e-5).double()
    torch.testing.assert_close(ours, expected, rtol=torch.finfo(dtype).eps, atol=4e-6)


@pytest.mark.parametrize("shape", SIZES)
def test_gradients_are_those_of_its_twin(shape):
    from tvu.kernels.shuffle_norm_triton import ShuffleNorm

    x = torch.randn(shape, device=DEVICE, requires_grad=True)
    weight = torch.randn(4 * shape[-1], device=DEVICE, requires_grad=True)
    bias = torch.randn(4 * shape[-1], device=DEVICE, requires_grad=True)
    y = ShuffleNorm.apply(x, weight, bias, 1e-5)
    direction = torch.randn_like(y)
    ours = torch.autograd.grad((y * direction).sum(), (x, weight, bias))
    expected = torch.autograd.grad((shuffle_norm_plain(x, weight, bias) * direction).sum(), (x, weight, bias))
    for got, right in zip(ours, expected, strict=True):
        torch.testing.assert_close(got, right, rtol=1e-4, atol=1e-5)  # float32 sums over 4 C terms


def test_an_odd_side_gets_a_border_of_zeros():
    x = torch.ones(1, 1, 1, 2)
    y = shuffle_norm(x, torch.ones(8), torch.zeros(8))
    assert y.shape == (1, 1, 1, 8)
    assert (y[0, 0, 0, :2] > 1).all() and (y[0, 0, 0, 2:] < 0).all()


def test_channels_go_left_to_right_then_down():
    x = torch.arange(4.0).reshape(1, 2, 2, 1)
    assert shuffle_norm(x, torch.ones(4), torch.zeros(4)).flatten().diff().gt(0).all()
