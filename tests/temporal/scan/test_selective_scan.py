from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from tvu.temporal.scan import selective_scan as module
from tvu.temporal.scan.selective_scan import selective_scan, selective_scan_sequential, selective_state_update


def case(length=13, batch=2, channels=6, states=3, groups=None, dtype=torch.float64, seed=0):
    """Everything a scan takes; groups None: one set of B and C, 0: constant ones."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)

    shape = {None: (batch, states, length), 0: (channels, states)}.get(groups, (batch, groups, states, length))
    return {
        "u": normal(batch, channels, length),
        "delta": normal(batch, channels, length),
        "A": -normal(channels, states).exp(),
        "B": normal(*shape),
        "C": normal(*shape),
        "D": normal(channels),
        "z": normal(batch, channels, length),
        "delta_bias": normal(channels),
        "initial_state": normal(batch, channels, states),
        "delta_softplus": True,
    }


def agree(ours, expected, atol=1e-12):
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


def piece(arguments, start, stop):
    """The arguments for positions `start` to `stop`; what does not vary along the sequence stays."""
    length = arguments["u"].shape[-1]
    return {
        name: value[..., start:stop]
        if name in ("u", "delta", "B", "C", "z") and value.shape[-1] == length and value.ndim > 2
        else value
        for name, value in arguments.items()
    }


@pytest.mark.parametrize("groups", [None, 0, 1, 2, 6])
@pytest.mark.parametrize("chunk_size", [1, 4, 13, 64, None])
@pytest.mark.parametrize("reverse", [False, True])
def test_chunks_give_what_the_equation_gives(groups, chunk_size, reverse):
    arguments = case(groups=groups)
    ours = selective_scan(**arguments, chunk_size=chunk_size, reverse=reverse)
    agree(ours, selective_scan_sequential(**arguments, reverse=reverse))


def test_the_equation_is_the_recurrence_of_the_paper():
    u, dt, A, B, C = 0.7, 0.3, -1.5, 0.4, 2.0
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    y, state = selective_scan_sequential(u * one, dt * one, A * one[0], B * one, C * one, initial_state=5 * one)
    expected = torch.tensor(dt * A, dtype=torch.float64).exp() * 5 + dt * B * u
    agree((y, state), (C * expected * one, expected * one))


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 40),
    groups=st.sampled_from([None, 0, 2, 3]),
    chunk_size=st.integers(1, 50),
    cuts=st.lists(st.integers(1, 39), max_size=4),
)
def test_any_cut_into_pieces_gives_what_the_whole_gives(length, groups, chunk_size, cuts):
    arguments = case(length, groups=groups, seed=length)
    whole, last = selective_scan(**arguments)
    borders = [0, *sorted({cut for cut in cuts if cut < length}), length]
    state, ys = arguments["initial_state"], []
    for start, stop in pairwise(borders):
        here = piece(arguments, start, stop) | {"initial_state": state}
        y, state = selective_scan(**here, chunk_size=chunk_size)
        ys.append(y)
    agree((torch.cat(ys, dim=-1), state), (whole, last))


@pytest.mark.parametrize("groups", [None, 0, 2])
def test_reverse_is_flip_scan_flip(groups):
    arguments = case(groups=groups)
    flipped = {
        name: value.flip(-1) if name in ("u", "delta", "z") or (name in ("B", "C") and groups != 0) else value
        for name, value in arguments.items()
    }
    y, state = selective_scan(**flipped, chunk_size=4)
    agree(selective_scan(**arguments, chunk_size=5, reverse=True), (y.flip(-1), state))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_position_without_a_step_changes_nothing(reverse):
    arguments = case(length=9) | {"delta_softplus": False, "delta_bias": None}
    arguments["delta"] = arguments["delta"].abs()
    arguments["delta"][..., 6:] = 0
    real = piece(arguments, 0, 6)
    y, state = selective_scan(**arguments, reverse=reverse, chunk_size=4)
    agree((y[..., :6], state), selective_scan(**real, reverse=reverse))


@pytest.mark.parametrize("groups", [None, 0, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_equation(groups, reverse):
    arguments = case(length=11, groups=groups)
    names = [name for name in arguments if name != "delta_softplus"]
    grads = []
    for scan in (lambda **k: selective_scan(**k, chunk_size=4), selective_scan_sequential):
        leaves = {name: arguments[name].clone().requires_grad_() for name in names}
        y, state = scan(**leaves, delta_softplus=True, reverse=reverse)
        loss = (y * torch.cos(arguments["u"])).sum() + (state * torch.sin(arguments["initial_state"])).sum()
        grads.append(torch.autograd.grad(loss, [leaves[name] for name in names]))
    agree(*grads)


def test_gradcheck():
    arguments = case(length=4, batch=1, channels=2, states=2)
    names = [name for name in arguments if name != "delta_softplus"]
    leaves = tuple(arguments[name].requires_grad_() for name in names)
    assert torch.autograd.gradcheck(
        lambda *tensors: selective_scan(**dict(zip(names, tensors, strict=True)), delta_softplus=True, chunk_size=3),
        leaves,
    )


def test_b_and_c_may_have_groups_of_their_own():
    arguments = case(groups=2) | {"C": case(groups=3)["C"]}
    agree(selective_scan(**arguments), selective_scan_sequential(**arguments))


def test_the_layout_in_memory_does_not_matter():
    arguments = case()
    other = {
        name: value.mT.contiguous().mT if name in ("u", "delta", "B", "C", "z") else value
        for name, value in arguments.items()
    }
    agree(selective_scan(**other), selective_scan(**arguments))


def test_large_steps_and_long_sequences_stay_finite():
    arguments = case(length=700, batch=1, dtype=torch.float32)
    arguments["delta"] = arguments["delta"] * 50
    arguments["A"] = arguments["A"] * 20
    y, state = selective_scan(**arguments)
    assert y.isfinite().all() and state.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_state_in_float32(dtype):
    arguments = case(length=300, dtype=dtype) | {"A": case()["A"].float()}
    y, state = selective_scan(**arguments)
    assert y.dtype == dtype and state.dtype == torch.float32
    exact = {name: x.double() if isinstance(x, torch.Tensor) else x for name, x in arguments.items()}
    expected, expected_state = selective_scan_sequential(**exact)
    torch.testing.assert_close(y.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-4)
    torch.testing.assert_close(state.double(), expected_state, rtol=1e-4, atol=1e-4)


def test_autocast_does_not_reach_the_states():
    arguments = case(dtype=torch.float32)
    expected = selective_scan(**arguments)
    with torch.autocast("cpu", torch.bfloat16):
        agree(selective_scan(**arguments), expected, atol=0)


def test_the_states_of_the_whole_sequence_are_never_held():
    arguments = case(length=2048, batch=1, channels=32, states=16, dtype=torch.float32)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            answer = function(*args, **(kwargs or {}))
            if isinstance(answer, torch.Tensor):
                largest = max(largest, answer.numel())
            return answer

    with Watch():
        selective_scan(**arguments)
    assert largest <= 2**18  # all states at once would be 2**20


def test_one_position_is_the_step_of_the_official_decoding():
    arguments = case(length=1)
    state = arguments["initial_state"]
    now = {name: arguments[name][..., 0] for name in ("u", "delta", "B", "C", "z")}
    y, new = selective_state_update(
        state,
        now["u"],
        now["delta"],
        arguments["A"],
        now["B"],
        now["C"],
        arguments["D"],
        now["z"],
        arguments["delta_bias"],
        dt_softplus=True,
    )
    agree((y[..., None], new), selective_scan(**arguments))


def test_heads_of_a_step_are_channels_that_share_b_and_c():
    random = torch.Generator().manual_seed(0)
    state, x, dt, A, B, C = (
        torch.randn(*shape, generator=random, dtype=torch.float64)
        for shape in ((2, 4, 5, 6), (2, 4, 5), (2, 4, 5), (4, 5, 6), (2, 2, 6), (2, 2, 6))
    )
    y, new = selective_state_update(state, x, dt.abs(), A, B, C)
    for head in range(4):
        mine = [tensor[:, head] for tensor in (state, x, dt.abs())]
        agree(selective_state_update(*mine, A[head], B[:, head // 2], C[:, head // 2]), (y[:, head], new[:, head]))


def test_what_does_not_fit_is_refused():
    arguments = case()
    with pytest.raises(ValueError, match="L >= 1"):
        selective_scan(**piece(arguments, 0, 0))
    with pytest.raises(ValueError, match="A is real"):
        selective_scan(**arguments | {"A": arguments["A"] + 1j})
    with pytest.raises(ValueError, match="B"):
        selective_scan(**case(groups=4))
    with pytest.raises(ValueError, match="at least one position"):
        selective_scan(**arguments, chunk_size=-1)
    with pytest.raises(ValueError, match="heads"):
        selective_state_update(*(torch.zeros(1, 3, 2, 2), *[torch.zeros(1, 3, 2)] * 2, *[torch.zeros(1, 2, 2)] * 3))


def test_the_kernel_of_mamba_ssm_is_asked_only_for_what_it_knows(monkeypatch):
    class OnCuda(torch.Tensor):
        is_cuda = True

    def as_if(**changes):
        arguments = case(dtype=torch.float32) | changes
        tensors = (arguments[name].as_subclass(OnCuda) for name in ("u", "delta", "A", "B", "C", "z"))
        return module._native_takes(*tensors)

    monkeypatch.setattr(module, "mamba_ssm_selective_scan", lambda: print)
    assert as_if()
    assert not as_if(u=case()["u"])  # float64
    assert not as_if(A=torch.zeros(6, 257))
    assert not module._native_takes(*(case(dtype=torch.float32)[name] for name in ("u", "delta", "A", "B", "C", "z")))
    monkeypatch.setattr(module, "mamba_ssm_selective_scan", lambda: None)
    assert not as_if()
