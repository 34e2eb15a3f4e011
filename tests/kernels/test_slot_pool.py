import pytest
import torch

from tvu.kernels.slot_pool import slot_pool, slot_pool_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [
    # shape of x [B, T, N, C], slots
    ((2, 5, 13, 19), 21),
    ((1, 1, 1, 40), 1),
    ((2, 3, 32, 16), 16),
]


def operands(shape, slots, dtype=torch.float32):
    x = torch.randn(shape, dtype=dtype, device=DEVICE)
    lengths = torch.randint(1, shape[1] + 1, shape[:1], device=DEVICE)
    return (
        x,
        torch.randn(shape[-1], slots, device=DEVICE).to(dtype),
        torch.rand(*shape[:3], 3, device=DEVICE),
        lengths,
    )


def small_tiling():
    from tvu.kernels.slot_pool_triton import Tiling

    return Tiling(tokens=32, slots=16, depth=16, stages=1)


@pytest.mark.parametrize(("shape", "slots"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernels_equal_their_twin(shape, slots, dtype):
    if dtype == torch.bfloat16 and DEVICE == "cpu":
        pytest.skip("the interpreter multiplies the bits of bfloat16 as integers")
    from tvu.kernels.slot_pool_triton import SlotPool

    x, keys, places, lengths = operands(shape, slots, dtype)
    for real in (None, lengths):
        ours = SlotPool.apply(x, keys, places, real, small_tiling())
        expected = slot_pool_plain(x.double(), keys.double(), places.double(), real)
        # weights are rounded to the dtype of x, one by one, and so is their mean
        bound = 1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
        for got, right in zip(ours, expected, strict=True):
            torch.testing.assert_close(got.double(), right, rtol=bound, atol=bound)


@pytest.mark.parametrize(("shape", "slots"), SIZES)
def test_gradients_are_those_of_the_twin(shape, slots):
    from tvu.kernels.slot_pool_triton import SlotPool

    x, keys, places, lengths = operands(shape, slots)
    leaves = [x.requires_grad_(), keys.requires_grad_()]
    for real in (None, lengths):
        ours = SlotPool.apply(*leaves, places, real, small_tiling())[0]
        direction = torch.randn_like(ours)
        got = torch.autograd.grad(ours, leaves, direction)
        plain = slot_pool_plain(*leaves, places, real)[0]
        for one, right in zip(got, torch.autograd.grad(plain, leaves, direction), strict=True):
            torch.testing.assert_close(one, right, rtol=1e-4, atol=1e-5)  # float32 sums over tokens and channels


def test_padding_is_not_read_and_an_empty_video_gives_zeros():
    x, keys, places, _ = operands((2, 3, 4, 8), 5)
    broken, lengths = x.clone(), torch.tensor([2, 0], device=DEVICE)
    broken[0, 2:], broken[1] = torch.nan, torch.nan
    for function in (slot_pool, slot_pool_plain):
        pooled, mass, where = function(broken, keys, places, lengths)
        alone = slot_pool_plain(x[:1, :2], keys, places[:1, :2])
        torch.testing.assert_close(pooled[0], alone[0][0])
        torch.testing.assert_close(mass[0, :2].sum(0), torch.ones(5, device=DEVICE))
        assert not pooled[1].any() and not mass[1].any() and not where[1].any()


def test_a_slot_that_points_at_one_token_takes_it_and_knows_where_it_was():
    x = torch.eye(6, device=DEVICE).reshape(1, 3, 2, 6)
    places = torch.arange(18.0, device=DEVICE).reshape(1, 3, 2, 3)
    pooled, mass, where = slot_pool(x, 100 * torch.eye(6, device=DEVICE)[:, 3:4], places)
    torch.testing.assert_close(pooled[0, 0], x[0, 1, 1])
    assert mass[0, :, 0].tolist() == [0, 1, 0]
    torch.testing.assert_close(where[0, 0], places[0, 1, 1])
