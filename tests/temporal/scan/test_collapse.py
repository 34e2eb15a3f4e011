"""Mitigations for scans longer than those of training."""

import pytest
import torch

from tvu.temporal.scan.collapse import clip_states, forget_more, sliding_window, state_health
from tvu.temporal.scan.ssd import ssd_bidirectional, ssd_scan, ssd_sequential


def operands(length=37):
    torch.manual_seed(0)
    x, B, C = torch.randn(2, length, 4, 3), torch.randn(2, length, 2, 5), torch.randn(2, length, 2, 5)
    return [t.double() for t in (x, 0.01 + 0.2 * torch.rand(2, length, 4), -torch.rand(4), B, C)]


def attention(x, dt, A, B, C, seen):
    """y_i = sum over the j that i sees of (C_i . B_j) exp(-|S_i - S_j|) dt_j x_j."""
    S = (dt * A).cumsum(1)
    decay = (-(S[:, :, None] - S[:, None]).abs()).exp()
    scores = torch.einsum("bign,bjgn->bijg", C, B).repeat_interleave(2, dim=-1) * decay * seen[None, :, :, None]
    return torch.einsum("bijh,bjhp->bihp", scores, x * dt[..., None])


@pytest.mark.parametrize("window", [4, 8, 36, 40])
def test_a_window_sees_its_own_chunk_and_so_many_tokens_before(window):
    x, dt, A, B, C = operands()
    i = torch.arange(37)
    borders = i // 4 * 4
    seen = (i <= i[:, None]) & (i >= (borders - window)[:, None])
    y, _ = ssd_scan(x, dt, A, B, C, chunk_size=4, passing=sliding_window(window, chunk_size=4))
    torch.testing.assert_close(y, attention(x, dt, A, B, C, seen), rtol=0, atol=1e-12)


def test_the_window_of_the_other_direction_is_its_mirror():
    tokens = operands(36)  # whole chunks, so that both directions have the same borders
    passing = sliding_window(8, chunk_size=4)
    y, state = ssd_scan(*tokens, chunk_size=4, passing=passing, reverse=True)
    x, dt, A, B, C = tokens
    flipped, flipped_state = ssd_scan(x.flip(1), dt.flip(1), A, B.flip(1), C.flip(1), chunk_size=4, passing=passing)
    torch.testing.assert_close(y, flipped.flip(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(state, flipped_state, rtol=0, atol=1e-12)


def test_a_window_in_both_directions_bounds_what_a_token_sees():
    tokens = operands(36)
    far = [t.clone() for t in tokens]
    far[0][:, 0] += 100
    options = {"chunk_size": 4, "passing": sliding_window(8, chunk_size=4)}
    moved = (ssd_bidirectional(*far, **options) - ssd_bidirectional(*tokens, **options)).abs().amax(dim=(0, 2, 3))
    assert (moved[12:] < 1e-10).all() and (moved[:12] > 1e-6).all()


def test_clipped_states_never_exceed_their_norm_and_small_ones_are_left():
    tokens = operands()
    health = state_health(*tokens[:4], chunk_size=4, passing=clip_states(0.1))
    assert health.log_norm.exp().max() <= 0.1 + 1e-12
    for reverse in (False, True):
        clipped = ssd_scan(*tokens, chunk_size=4, passing=clip_states(1e9), reverse=reverse)
        torch.testing.assert_close(clipped, ssd_sequential(*tokens, reverse=reverse), rtol=0, atol=1e-12)


def test_forgetting_more_is_a_faster_decay_and_a_smaller_step():
    x, dt, A, B, C = operands()
    y, state = ssd_scan(x, dt, *forget_more(A, B, forget=0.5, insert_less=0.25), C)
    expected, expected_state = ssd_sequential(0.75 * x, dt, 1.5 * A, B, C)
    torch.testing.assert_close((y, state), (expected, expected_state), rtol=0, atol=1e-12)


def test_health_tells_heads_that_grow_from_heads_that_forget():
    length, heads = 64, 2
    x, dt = torch.ones(1, length, heads, 3), torch.full((1, length, heads), 0.1)
    health = state_health(x, dt, torch.tensor([-1e-4, -20.0]), torch.ones(1, length, 1, 5), chunk_size=8)
    assert health.log_norm.shape == (1, 8, heads)
    assert health.grows_past(2).tolist() == [[True, False]]
    assert health.retention[0] > 0.99 and health.retention[1] < 1e-3


def test_the_norms_are_those_of_the_recurrence():
    x, dt, A, B, C = operands(12)
    health = state_health(x, dt, A, B, chunk_size=4)
    _, state = ssd_sequential(x[:, :8], dt[:, :8], A, B[:, :8], C[:, :8])
    torch.testing.assert_close(health.log_norm[:, 1], torch.linalg.matrix_norm(state).log())


@pytest.mark.parametrize(
    "broken",
    [
        lambda: sliding_window(10, chunk_size=4),
        lambda: sliding_window(0, chunk_size=4),
        lambda: clip_states(0),
        lambda: forget_more(torch.zeros(1), torch.zeros(1), forget=-0.1),
        lambda: forget_more(torch.zeros(1), torch.zeros(1), insert_less=1.0),
    ],
)
def test_settings_that_mean_nothing_are_refused(broken):
    with pytest.raises(ValueError, match=r"not"):
        broken()
