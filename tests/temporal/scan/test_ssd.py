"""State space duality: every way to scan gives what the recurrence gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tvu.temporal.scan import chunks
from tvu.temporal.scan.ssd import discretise, ssd_bidirectional, ssd_discrete, ssd_packed, ssd_scan, ssd_sequential
from tvu.temporal.scan.ssd import ssd_step as step

OPTIONS = {"dt_softplus": True, "dt_limit": (0.02, 2.0)}


def operands(batch=2, length=37, heads=4, width=3, groups=2, states=5, dtype=torch.float64, seed=0):
    """x, dt, A, B, C and what may come with them."""
    made = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=made, dtype=torch.float64).to(dtype)

    return {
        "x": random(batch, length, heads, width),
        "dt": random(batch, length, heads),
        "A": -3 * random(heads).abs(),
        "B": random(batch, length, groups, states),
        "C": random(batch, length, groups, states),
        "D": random(heads, width),
        "z": random(batch, length, heads, width),
        "dt_bias": random(heads),
    }


PER_TOKEN = ("x", "dt", "B", "C", "z")


def cut(given, piece):
    return {name: tensor[:, piece] if name in PER_TOKEN else tensor for name, tensor in given.items()}


def state_of(given, seed=1):
    (batch, _, heads, width), states = given["x"].shape, given["B"].shape[-1]
    made = torch.Generator().manual_seed(seed)
    return torch.randn(batch, heads, width, states, generator=made, dtype=torch.float64)


def assert_same(ours, theirs, bound=1e-12):
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= bound


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chunk_size", [1, 3, 8, 37, 100])
def test_chunks_of_any_size_give_the_recurrence(chunk_size, reverse):
    given, lengths = operands(), torch.tensor([37, 11])
    options = {**OPTIONS, "initial_state": state_of(given), "lengths": lengths, "reverse": reverse}
    assert_same(ssd_scan(**given, **options, chunk_size=chunk_size), ssd_sequential(**given, **options))


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 40),
    chunk_size=st.integers(1, 50),
    groups=st.sampled_from([1, 2, 4]),
    reverse=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_length_groups_and_chunks_give_the_recurrence(length, chunk_size, groups, reverse, seed):
    given = operands(length=length, groups=groups, seed=seed)
    scanned = ssd_scan(**given, **OPTIONS, chunk_size=chunk_size, reverse=reverse)
    assert_same(scanned, ssd_sequential(**given, **OPTIONS, reverse=reverse))


@pytest.mark.parametrize("length", [1, 8, 29])
def test_reverse_is_flip_scan_flip(length):
    given = operands(length=length)
    flipped = {name: tensor.flip(1) if name in PER_TOKEN else tensor for name, tensor in given.items()}
    y, state = ssd_sequential(**flipped, **OPTIONS)
    assert_same(ssd_scan(**given, **OPTIONS, reverse=True, chunk_size=8), (y.flip(1), state))


def test_both_directions_at_once_are_two_scans_added():
    given, lengths = operands(), torch.tensor([37, 20])
    bare = {name: tensor for name, tensor in given.items() if name not in ("D", "z")}
    options = {**OPTIONS, "lengths": lengths}
    both = sum(ssd_sequential(**bare, **options, reverse=reverse)[0] for reverse in (False, True))
    for chunk_size in (1, 8, 64):
        assert_same([ssd_bidirectional(**bare, **options, chunk_size=chunk_size)], [both])
    gated = (both + given["D"] * given["x"]) * torch.nn.functional.silu(given["z"])
    assert_same(
        [ssd_bidirectional(**given, **options)], [gated * (torch.arange(37) < lengths[:, None])[..., None, None]]
    )


def test_a_token_may_see_itself_once():
    given = {name: tensor for name, tensor in operands().items() if name not in ("D", "z")}
    dt, _ = discretise(given["dt"], given["A"], dt_bias=given["dt_bias"], **OPTIONS)
    itself = (given["B"] * given["C"]).sum(-1).repeat_interleave(2, dim=-1) * dt  # [B, L, H]
    twice, once = (ssd_bidirectional(**given, **OPTIONS, itself_twice=twice) for twice in (True, False))
    assert_same([twice - once], [itself[..., None] * given["x"]])


@pytest.mark.parametrize("cuts", [[5, 16, 16], [1, 36], [36, 1], [37]])
def test_any_cut_of_a_stream_gives_the_whole(cuts):
    given, state, pieces, start = operands(), None, [], 0
    for length in cuts:
        piece = cut(given, slice(start, start + length))
        y, state = ssd_scan(**piece, **OPTIONS, initial_state=state, chunk_size=4)
        pieces.append(y)
        start += length
    assert_same((torch.cat(pieces, dim=1), state), ssd_sequential(**given, **OPTIONS))


def test_token_after_token_gives_the_whole():
    given, state, pieces = operands(), None, []
    for t in range(37):
        now = {name: tensor[:, t] if name in PER_TOKEN else tensor for name, tensor in given.items()}
        y, state = step(**now, state=state, **OPTIONS)
        pieces.append(y)
    assert_same((torch.stack(pieces, dim=1), state), ssd_scan(**given, **OPTIONS))


@pytest.mark.parametrize("reverse", [False, True])
def test_packed_sequences_do_not_know_each_other(reverse):
    lengths, given = [5, 17, 1, 12], operands(batch=1, length=35)
    first = state_of(operands(batch=4))
    options = {**OPTIONS, "reverse": reverse}
    y, states = ssd_packed(**given, lengths=lengths, **options, initial_state=first, chunk_size=4)
    start = 0
    for row, length in enumerate(lengths):
        alone = ssd_sequential(
            **cut(given, slice(start, start + length)), **options, initial_state=first[row : row + 1]
        )
        assert_same((y[:, start : start + length], states[row : row + 1]), alone)
        start += length


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_is_never_read_whatever_it_holds(reverse):
    given, lengths = operands(length=20), torch.tensor([20, 7])
    alone = cut({name: tensor[1:] if name in PER_TOKEN else tensor for name, tensor in given.items()}, slice(0, 7))
    for name in PER_TOKEN:
        given[name][1, 7:] = torch.nan
        given[name].requires_grad_()
    y, state = ssd_scan(**given, **OPTIONS, lengths=lengths, reverse=reverse, chunk_size=8)
    expected_y, expected_state = ssd_sequential(**alone, **OPTIONS, reverse=reverse)
    assert_same((y[1:, :7], state[1:]), (expected_y, expected_state))
    assert (y[1, 7:] == 0).all()
    y.square().sum().backward()
    assert all(given[name].grad.isfinite().all() for name in PER_TOKEN)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_recurrence_also_a_few_chunks_at_a_time(reverse, monkeypatch):
    monkeypatch.setattr(chunks, "CPU_ELEMENTS", 1)  # every chunk alone, computed again in the backward pass
    given = {name: tensor.requires_grad_() for name, tensor in operands(length=11).items()}
    state = state_of(given).requires_grad_()
    wanted = [*given.values(), state]
    gradients = []
    for scan, options in ((ssd_scan, {"chunk_size": 4}), (ssd_sequential, {})):
        y, final = scan(**given, **options, dt_softplus=True, initial_state=state, reverse=reverse)
        gradients.append(torch.autograd.grad(y.sin().sum() + final.cos().sum(), wanted))
    assert_same(*gradients)


def test_gradients_of_both_directions_pass_gradcheck():
    given = operands(batch=1, length=5, heads=2, width=2, groups=1, states=2)
    names = list(given)

    def of(*tensors):
        return ssd_bidirectional(**dict(zip(names, tensors, strict=True)), dt_softplus=True, chunk_size=2)

    assert torch.autograd.gradcheck(of, [tensor.requires_grad_() for tensor in given.values()])


def test_float32_loses_nothing_where_the_state_forgets_at_once():
    given = operands(length=300, dtype=torch.float32)
    given["A"] = torch.tensor([-0.01, -1.0, -30.0, -1000.0])
    expected, _ = ssd_sequential(**{name: tensor.double() for name, tensor in given.items()}, **OPTIONS)
    for reverse in (False, True):
        expected, _ = ssd_sequential(**{name: t.double() for name, t in given.items()}, **OPTIONS, reverse=reverse)
        y, _ = ssd_scan(**given, **OPTIONS, chunk_size=256, reverse=reverse)
        assert (y - expected).abs().max() <= 3e-5 * expected.abs().max()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_is_only_rounded_at_the_end(dtype, bound):
    given = operands(dtype=dtype)
    y, state = ssd_scan(**given, dt_softplus=True)
    assert y.dtype == dtype and state.dtype == torch.float32
    expected, _ = ssd_sequential(**{name: tensor.double() for name, tensor in given.items()}, dt_softplus=True)
    assert ((y - expected).abs() <= bound * expected.abs() + 1e-5).all()


def test_the_discrete_scan_takes_decays_of_its_own():
    x, log_decay = torch.ones(1, 4, 1, 1, dtype=torch.float64), torch.full((1, 4, 1), 0.5, dtype=torch.float64).log()
    ones = torch.ones(1, 4, 1, 1, dtype=torch.float64)
    y, state = ssd_discrete(x, log_decay, ones, ones, chunk_size=3)
    assert y.flatten().tolist() == pytest.approx([1, 1.5, 1.75, 1.875])
    assert state.item() == pytest.approx(1.875)


@pytest.mark.parametrize(
    "broken",
    [
        {"x": torch.zeros(2, 0, 4, 3)},
        {"dt": torch.zeros(2, 37, 3)},
        {"A": torch.zeros(3)},
        {"B": torch.zeros(2, 37, 3, 5), "C": torch.zeros(2, 37, 3, 5)},
        {"C": torch.zeros(2, 37, 2, 6)},
        {"chunk_size": 0},
    ],
)
def test_shapes_that_disagree_are_refused(broken):
    with pytest.raises(ValueError, match=r"not|at least"):
        ssd_scan(**operands() | broken)


@pytest.mark.parametrize("lengths", [[5, 17], [35, 0], [20, 16]])
def test_packed_lengths_must_fill_the_sequence(lengths):
    with pytest.raises(ValueError, match="do not fill"):
        ssd_packed(**operands(batch=1, length=35), lengths=lengths)
