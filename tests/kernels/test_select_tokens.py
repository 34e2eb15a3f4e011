import pytest
import torch

from tvu.kernels.select_tokens import select_tokens, select_tokens_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize(
    ("videos", "length", "budget"), [(1, 1, 1), (2, 37, 5), (1, 1025, 1024), (3, 2100, 2100), (2, 2500, 9)]
)
def test_the_kernel_finds_the_same_tokens(videos, length, budget):
    from tvu.kernels.select_tokens_triton import lowest

    scores = torch.randn(videos, length, device=DEVICE)
    x = torch.zeros(videos, length, 1, device=DEVICE)
    assert torch.equal(lowest(scores, budget), select_tokens_plain(x, scores, budget)[1])


@pytest.mark.parametrize("values", [[0.0, -0.0], [1.0], [-1.0, 1.0, float("inf")], [0.5, 0.5000001, -3e38, 1e-40]])
def test_ties_and_odd_values_are_taken_in_the_same_order(values):
    from tvu.kernels.select_tokens_triton import lowest

    scores = torch.tensor(values, device=DEVICE)[torch.randint(len(values), (2, 1500), device=DEVICE)]
    for budget in (1, 700, 1500):
        expected = select_tokens_plain(torch.zeros(2, 1500, 1, device=DEVICE), scores, budget)[1]
        assert torch.equal(lowest(scores, budget), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_and_their_gradients_are_those_of_the_twin(dtype):
    from tvu.kernels.select_tokens_triton import Gather

    x = torch.randn(2, 9, 33, dtype=dtype, device=DEVICE, requires_grad=True)
    expected, index = select_tokens_plain(x, torch.randn(2, 9, device=DEVICE), 4)
    ours = Gather.apply(x, index)
    assert torch.equal(ours, expected)
    direction = torch.randn_like(ours)
    (got,) = torch.autograd.grad((ours * direction).sum(), x)
    (right,) = torch.autograd.grad((expected * direction).sum(), x)
    assert torch.equal(got, right)


def test_kept_tokens_stay_in_order_and_the_earlier_of_equals_stays():
    x = torch.arange(5.0).reshape(1, 5, 1)
    kept, index = select_tokens(x, torch.tensor([[3.0, 1.0, 2.0, 1.0, 2.0]]), 3)
    assert index.tolist() == [[1, 2, 3]]
    assert kept.flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize("budget", [0, 6])
def test_a_budget_lies_between_one_and_all(budget):
    with pytest.raises(ValueError, match="budget"):
        select_tokens(torch.zeros(1, 5, 1), torch.zeros(1, 5), budget)
