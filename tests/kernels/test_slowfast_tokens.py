import pytest
import torch

from tvu.kernels.slowfast_tokens import slowfast_tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("shape", "slow", "cells"), [((2, 3, 5, 7, 19), (0, 0, 2), 3), ((1, 1, 1, 1, 13), (), 2)])
def test_fast_tokens_are_means_of_frames_and_slow_ones_of_what_a_cell_has(shape, slow, cells, dtype):
    x = torch.randn(shape, dtype=dtype)
    tokens = slowfast_tokens(x, slow, cells=cells)
    rows, columns = -(-shape[2] // cells), -(-shape[3] // cells)
    expected = [x[:, t].double().mean((1, 2)) for t in range(shape[1])]
    for frame in slow:
        for i in range(rows):
            for j in range(columns):
                cell = x[:, frame, i * cells : (i + 1) * cells, j * cells : (j + 1) * cells]
                expected.append(cell.double().mean((1, 2)))
    # one rounding of the mean to the output's dtype
    torch.testing.assert_close(tokens.double(), torch.stack(expected, 1), rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_the_published_layout_has_356_tokens_fast_ones_first():
    x = torch.randn(1, 100, 16, 16, 3)
    tokens = slowfast_tokens(x, (0, 33, 66, 99))
    assert tokens.shape == (1, 356, 3)
    torch.testing.assert_close(tokens[0, 33], x[0, 33].mean((0, 1)))
    torch.testing.assert_close(tokens[0, 100 + 64], x[0, 33, :2, :2].mean((0, 1)))


def test_a_slow_frame_outside_the_video_is_told():
    with pytest.raises(ValueError, match="not all among 3"):
        slowfast_tokens(torch.zeros(1, 3, 1, 1, 1), (3,))
