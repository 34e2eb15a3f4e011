import pytest
import torch

from tvu.kernels.add_layer_norm import add_layer_norm, add_layer_norm_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("shape", [(5, 19), (2, 3, 128), (1, 1), (7, 1152)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernel_equals_its_twin(shape, dtype):
    from tvu.kernels.add_layer_norm_triton import add_layer_norm_triton

    x, update = torch.randn(2, *shape, dtype=dtype, device=DEVICE) + 3
    weight, bias = torch.randn(2, shape[-1], dtype=dtype, device=DEVICE)
    total, normal = add_layer_norm_triton(x, update, weight, bias, 1e-6)
    # to the nearest on a device; the interpreter cuts bfloat16 off
    torch.testing.assert_close(total, x + update, rtol=torch.finfo(dtype).eps if dtype == torch.bfloat16 else 0, atol=0)
    _, expected = add_layer_norm_plain(total.double(), 0 * total.double(), weight.double(), bias.double(), eps=1e-6)
    # one rounding to the output's dtype after float32 statistics
    torch.testing.assert_close(normal.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-5)


def test_rows_that_are_not_contiguous_are_taken_as_they_are_meant():
    from tvu.kernels.add_layer_norm_triton import add_layer_norm_triton

    x, update = torch.randn(2, 6, 4, device=DEVICE).transpose(1, 2)
    weight, bias = torch.randn(2, 6, device=DEVICE)
    for got, right in zip(
        add_layer_norm_triton(x, update, weight, bias, 1e-5), add_layer_norm_plain(x, update, weight, bias), strict=True
    ):
        torch.testing.assert_close(got, right, rtol=1e-5, atol=1e-5)


def test_it_is_torchs_layer_norm_of_the_sum_and_differentiable():
    x, update = torch.randn(2, 3, 8, dtype=torch.float64, device=DEVICE).requires_grad_()
    weight, bias = torch.randn(2, 8, dtype=torch.float64, device=DEVICE)
    total, normal = add_layer_norm(x, update, weight, bias, eps=1e-6)
    torch.testing.assert_close(total, x + update)
    torch.testing.assert_close(normal, torch.nn.functional.layer_norm(x + update, [8], weight, bias, 1e-6))
    assert torch.autograd.gradcheck(lambda x, y: add_layer_norm(x, y, weight, bias), (x, update))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"two \[..., C\]"):
        add_layer_norm(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2), torch.zeros(2))
