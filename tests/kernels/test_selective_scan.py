"""The kernels of the Mamba-1 scan against the recurrence, one token at a time in float64."""

import pytest
import torch

from tvu.kernels.selective_scan import selective_scan, selective_scan_plain

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")


def operands(batch=2, length=21, channels=12, groups=1, states=3, dtype=torch.float32, device=DEVICE):
    """u and z cut from wider rows, as a projection gives them."""

    def random(*shape):
        return torch.randn(*shape, device=device).to(dtype)

    u, z = random(batch, length, 2, channels).unbind(2)
    return {
        "u": u,
        "delta": random(batch, length, channels),
        "A": -3 * torch.rand(channels, states, device=device),
        "B": random(batch, length, groups, states),
        "C": random(batch, length, groups, states),
        "D": torch.randn(channels, device=device),
        "z": z,
        "delta_bias": torch.randn(channels, device=device),
        "initial_state": torch.randn(batch, channels, states, device=device),
    }


def exact(given):
    return {name: None if tensor is None else tensor.double() for name, tensor in given.items()}


def kernels(given, *, softplus=True, reverse=False):
    from tvu.kernels.selective_scan_triton import Tiling, scan

    tiling = Tiling(chunk=8, channels=8, span=8, lanes=4)
    return scan(*(given[name] for name in NAMES[:8]), softplus, given["initial_state"], reverse, tiling)


def assert_near(ours, right, bound):
    assert ours.shape == right.shape
    assert (ours.double() - right).abs().max() <= bound * right.abs().max()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sizes", [{}, {"length": 5, "channels": 6, "groups": 2, "states": 1}, {"length": 1}])
def test_the_kernel_is_the_recurrence(sizes, dtype, reverse):
    given = operands(dtype=dtype, **sizes)
    y, state = kernels(given, reverse=reverse)
    right_y, right_state = selective_scan_plain(**exact(given), softplus=True, reverse=reverse)
    assert_near(y, right_y, 1e-5 + torch.finfo(dtype).eps)  # one rounding of the output, after float32 sums
    assert_near(state, right_state, 1e-5)


def test_what_may_come_need_not_come():
    given = operands()
    given |= {"delta": given["delta"].abs(), "D": None, "z": None, "delta_bias": None, "initial_state": None}
    assert_near(kernels(given, softplus=False)[0], selective_scan_plain(**exact(given))[0], 1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_are_those_of_the_recurrence(groups, reverse):
    from tvu.kernels.selective_scan_triton import SelectiveScan, Tiling

    given = operands(batch=1, length=10, channels=4, groups=groups, states=2)
    leaves = [given[name].clone().requires_grad_() for name in NAMES if name not in ("D", "z")]
    u, delta, A, B, C, bias, initial = leaves
    tiling = Tiling(chunk=4, channels=2, span=8, lanes=2)
    y, state = SelectiveScan.apply(u, delta, A, B, C, bias, True, initial, reverse, tiling)
    directions = torch.randn_like(y), torch.randn_like(state)
    got = torch.autograd.grad((y, state), leaves, directions)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    plain = selective_scan_plain(*wide[:5], delta_bias=wide[5], softplus=True, initial_state=wide[6], reverse=reverse)
    for ours, right in zip(got, torch.autograd.grad(plain, wide, [d.double() for d in directions]), strict=True):
        assert_near(ours, right, 1e-5)


def test_both_directions_of_a_mirrored_sequence_mirror_each_other():
    given = {name: tensor for name, tensor in operands(batch=1).items() if name != "initial_state"}
    mirrored = {name: x.flip(1) if x.ndim > 2 else x for name, x in given.items()}
    y, state = selective_scan(**given, softplus=True)
    back, back_state = selective_scan(**mirrored, softplus=True, reverse=True)
    torch.testing.assert_close(back.flip(1), y)
    torch.testing.assert_close(back_state, state)
