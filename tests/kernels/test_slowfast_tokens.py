import pytest
import torch

from tvu.kernels.slowfast_tokens import slowfast_tokens, slowfast_tokens_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [
    # shape of x [B, T, H, W, C], slow frames, cells
    ((1, 5, 4, 4, 32), (0, 2, 4), 2),
    ((2, 3, 5, 7, 19), (0, 0, 2), 3),
    ((1, 1, 1, 1, 130), (), 2),
]


@pytest.mark.parametrize(("shape", "slow", "cells"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernel_equals_its_twin(shape, slow, cells, dtype):
    from tvu.kernels.slowfast_tokens_triton import SlowFastTokens

    x = torch.randn(shape, dtype=dtype, device=DEVICE)
    expected = slowfast_tokens_plain(x.double(), slow, cells=cells)
    # one rounding of the mean to the output's dtype
    torch.testing.assert_close(
        SlowFastTokens.apply(x, slow, cells).double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6
    )


@pytest.mark.parametrize(("shape", "slow", "cells"), SIZES)
def test_gradients_are_those_of_its_twin(shape, slow, cells):
    from tvu.kernels.slowfast_tokens_triton import SlowFastTokens

    x = torch.randn(shape, device=DEVICE, requires_grad=True)
    y = SlowFastTokens.apply(x, slow, cells)
    weight = torch.randn_like(y)
    (ours,) = torch.autograd.grad((y * weight).sum(), x)
    (expected,) = torch.autograd.grad((slowfast_tokens_plain(x, slow, cells=cells) * weight).sum(), x)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)


def test_the_published_layout_has_356_tokens_fast_ones_first():
    x = torch.randn(1, 100, 16, 16, 3)
    tokens = slowfast_tokens(x, (0, 33, 66, 99))
    assert tokens.shape == (1, 356, 3)
    torch.testing.assert_close(tokens[0, 33], x[0, 33].mean((0, 1)))
    torch.testing.assert_close(tokens[0, 100 + 64], x[0, 33, :2, :2].mean((0, 1)))


def test_a_slow_frame_outside_the_video_is_told():
    with pytest.raises(ValueError, match="not all among 3"):
        slowfast_tokens(torch.zeros(1, 3, 1, 1, 1), (3,))
