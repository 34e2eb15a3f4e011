import pytest
import torch

from tvu.kernels.frame_similarity import frame_similarity, frame_similarity_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 33), (1, 19, 2, 600)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernel_equals_its_twin(shape, dtype):
    from tvu.kernels.frame_similarity_triton import frame_similarity_triton

    x = torch.randn(shape, dtype=dtype, device=DEVICE)
    x[:, -1] = x[:, max(shape[1] - 2, 0)] * 2  # a frame that only grew brighter
    expected = frame_similarity_plain(x.double())
    torch.testing.assert_close(frame_similarity_triton(x).double(), expected, rtol=0, atol=2e-6)  # float32 sums


def test_a_frame_that_did_not_change_has_similarity_one():
    x = torch.randn(1, 1, 3, 8).expand(1, 4, 3, 8)
    torch.testing.assert_close(frame_similarity(x)[:, 1:], torch.ones(1, 3, 3))


def test_nothing_is_like_the_first_frame():
    assert (frame_similarity(torch.randn(2, 3, 4, 5))[:, 0] == -1).all()


def test_a_black_token_resembles_nothing():
    x = torch.randn(1, 2, 1, 4)
    x[:, 0] = 0
    assert frame_similarity(x)[0, 1, 0] == 0
