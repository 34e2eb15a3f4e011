"""One recurrence, written a token at a time and a chunk at a time."""

import pytest
import torch

from tvu.temporal.encoders.gated_recurrence import (
    gated_recurrence,
    gated_recurrence_reference,
    scalar_gated_recurrence,
)

close = torch.testing.assert_close


def sequence(length, *, batch=2, heads=3, key=5, value=4, gate=2.0, dtype=torch.float64, seed=0):
    """query, key, value, log_gate, initial_state."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    shape = (batch, length, heads, key)
    gates = -gate * draw(*shape).abs()
    return draw(*shape), draw(*shape), draw(*shape[:3], value), gates, draw(batch, heads, key, value)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 150])
@pytest.mark.parametrize("chunk_size", [1, 16, 64])
def test_chunks_give_what_the_recurrence_gives(length, chunk_size):
    arguments = sequence(length)
    close(gated_recurrence(*arguments, chunk_size=chunk_size), gated_recurrence_reference(*arguments))


@pytest.mark.parametrize("length", [1, 37, 130])
@pytest.mark.parametrize("chunk_size", [1, 5, 64])
def test_one_gate_per_head_is_the_scan_of_mamba2(length, chunk_size):
    q, k, v, g, state = sequence(length)
    scalar = scalar_gated_recurrence(q, k, v, g[..., 0], state, chunk_size=chunk_size)
    close(scalar, gated_recurrence_reference(q, k, v, g[..., 0], state))
    close(scalar, gated_recurrence_reference(q, k, v, g[..., :1].expand_as(g), state))


@pytest.mark.parametrize("recurrence", [gated_recurrence, scalar_gated_recurrence])
def test_any_cut_into_pieces_gives_the_same(recurrence):
    q, k, v, g, state = sequence(97)
    g = g if recurrence is gated_recurrence else g[..., 0]
    whole, last = recurrence(q, k, v, g, state)
    pieces = []
    for cut in (slice(0, 1), slice(1, 40), slice(40, 97)):
        y, state = recurrence(q[:, cut], k[:, cut], v[:, cut], g[:, cut], state)
        pieces.append(y)
    close((torch.cat(pieces, dim=1), state), (whole, last))


def test_gates_that_would_overflow_a_split_into_two_exponentials_do_not():
    q, k, v, g, state = sequence(130, gate=400.0, dtype=torch.float32)
    y, last = gated_recurrence(q, k, v, g, state)
    exact, exact_last = gated_recurrence_reference(*(t.double() for t in (q, k, v, g, state)))
    close(y.double(), exact, rtol=0, atol=1e-5)
    close(last.double(), exact_last, rtol=0, atol=1e-5)


def test_a_long_forgetful_sequence_keeps_the_digits_of_its_last_tokens():
    q, k, v, g, state = sequence(4096, batch=1, heads=1, gate=50.0, dtype=torch.float32)
    g[:, -64:] = -1e-3  # after a prefix sum of -160,000 such gates would be lost in float32
    y, _ = gated_recurrence(q, k, v, g, state, chunk_size=4096)
    exact, _ = gated_recurrence_reference(*(t.double() for t in (q, k, v, g, state)))
    close(y.double(), exact, rtol=0, atol=1e-4)


def test_a_gate_of_minus_infinity_forgets_everything():
    q, k, v, g, state = sequence(80)
    g[:, 33] = -torch.inf
    y, last = gated_recurrence(q, k, v, g, state)
    fresh, fresh_last = gated_recurrence(q[:, 33:], k[:, 33:], v[:, 33:], g[:, 33:])
    close((y[:, 33:], last), (fresh, fresh_last))


@pytest.mark.parametrize("recurrence", [gated_recurrence, scalar_gated_recurrence])
def test_gradients_are_those_of_finite_differences(recurrence):
    q, k, v, g, state = sequence(5, batch=1, heads=2, key=2, value=3)
    g = g if recurrence is gated_recurrence else g[..., 0]
    inputs = [tensor.requires_grad_() for tensor in (q, k, v, g, state)]
    assert torch.autograd.gradcheck(lambda *t: recurrence(*t, chunk_size=4), inputs)


def test_gradients_over_several_chunks_are_those_of_the_recurrence():
    def gradients(recurrence):
        inputs = [tensor.requires_grad_() for tensor in sequence(70, batch=1)]
        y, last = recurrence(*inputs)
        return torch.autograd.grad(y.square().sum() + last.sum(), inputs)

    close(gradients(gated_recurrence), gradients(gated_recurrence_reference))


def test_half_precision_is_scanned_in_float32():
    arguments = sequence(70, dtype=torch.bfloat16)
    y, state = gated_recurrence(*arguments)
    exact, _ = gated_recurrence_reference(*(tensor.double() for tensor in arguments))
    assert (y.dtype, state.dtype) == (torch.bfloat16, torch.float32)
    close(y.double(), exact, rtol=2**-8, atol=1e-3)  # only the last rounding is bfloat16's


def test_shapes_that_disagree_are_told():
    q, k, v, g, state = sequence(4)
    for wrong in (
        (q, k[:, :3], v, g),
        (q, k, v, g[..., :2]),
        (q, k, v, g, state.mT),
        (q[:, :0], k[:, :0], v[:, :0], g),
    ):
        with pytest.raises(ValueError):
            gated_recurrence(*wrong)
    with pytest.raises(ValueError, match="power of two"):
        gated_recurrence(q, k, v, g, chunk_size=48)
