import pytest
import torch
import torch.nn.functional as F

from tvu.temporal.scan.conv import causal_conv1d


def case(length=11, taps=4, batch=2, channels=3):
    random = torch.Generator().manual_seed(length * 10 + taps)
    x, weight, bias = (
        torch.randn(*shape, generator=random, dtype=torch.float64)
        for shape in ((batch, channels, length), (channels, taps), (channels,))
    )
    return x, weight, bias


@pytest.mark.parametrize("length", [1, 2, 3, 11])
@pytest.mark.parametrize("taps", [1, 2, 4])
def test_a_position_sees_itself_and_those_before_it(length, taps):
    x, weight, bias = case(length, taps)
    y, _ = causal_conv1d(x, weight, bias)
    for i in range(length):
        expected = bias + sum(weight[:, taps - 1 - k] * x[:, :, i - k] for k in range(min(taps, i + 1)))
        torch.testing.assert_close(y[:, :, i], expected)


@pytest.mark.parametrize(("length", "taps"), [(1, 4), (3, 4), (11, 4), (11, 1), (5, 2)])
def test_reverse_is_flip_convolve_flip(length, taps):
    x, weight, bias = case(length, taps)
    y, window = causal_conv1d(x, weight, bias, reverse=True)
    flipped, flipped_window = causal_conv1d(x.flip(-1), weight, bias)
    torch.testing.assert_close(y, flipped.flip(-1), rtol=0, atol=1e-14)
    torch.testing.assert_close(window, flipped_window.flip(-1), rtol=0, atol=0)


@pytest.mark.parametrize("taps", [1, 2, 4])
@pytest.mark.parametrize("cuts", [[11], [1] * 11, [2, 1, 5, 3], [10, 1]])
def test_pieces_give_what_the_whole_gives(taps, cuts):
    x, weight, bias = case(11, taps)
    whole, last = causal_conv1d(x, weight, bias)
    window, pieces = None, []
    for piece in x.split(cuts, dim=-1):
        y, window = causal_conv1d(piece, weight, bias, state=window)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=-1), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(window, last, rtol=0, atol=0)


def test_pieces_give_what_the_whole_gives_from_the_end_backwards():
    x, weight, bias = case()
    whole, first = causal_conv1d(x, weight, bias, reverse=True)
    window, pieces = None, []
    for piece in reversed(x.split([2, 1, 5, 3], dim=-1)):
        y, window = causal_conv1d(piece, weight, bias, state=window, reverse=True)
        pieces.insert(0, y)
    torch.testing.assert_close(torch.cat(pieces, dim=-1), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(window, first, rtol=0, atol=0)


def test_the_window_holds_the_last_inputs_after_zeros():
    x, weight, _ = case(length=2, taps=4)
    window = causal_conv1d(x, weight)[1]
    assert torch.equal(window, F.pad(x, (2, 0)))


def test_a_state_of_one_input_less_will_do():
    x, weight, bias = case()
    _, window = causal_conv1d(x[..., :7], weight, bias)
    wide = causal_conv1d(x[..., 7:], weight, bias, state=window)
    narrow = causal_conv1d(x[..., 7:], weight, bias, state=window[..., 1:])
    assert all(torch.equal(a, b) for a, b in zip(wide, narrow, strict=True))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_equation(reverse):
    leaves = tuple(leaf.requires_grad_() for leaf in (*case(5, 3, 1, 2), case(2, 3, 1, 2)[0].detach()))
    assert torch.autograd.gradcheck(
        lambda x, weight, bias, state: causal_conv1d(x, weight, bias, state=state, reverse=reverse), leaves
    )


def test_the_answer_has_the_dtype_of_the_input():
    x, weight, bias = case()
    y, window = causal_conv1d(x.bfloat16(), weight.float(), bias.float())
    assert y.dtype == window.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), causal_conv1d(x, weight, bias)[0], rtol=0.02, atol=0.05)


def test_nothing_and_a_strange_state_are_refused():
    x, weight, bias = case()
    with pytest.raises(ValueError, match="at least one"):
        causal_conv1d(x[..., :0], weight, bias)
    with pytest.raises(ValueError, match="state"):
        causal_conv1d(x, weight, bias, state=x[..., :2])
