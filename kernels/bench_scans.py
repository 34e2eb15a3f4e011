"""The scans beside the kernels of mamba-ssm and flash-linear-attention; `kernels/bench.py` measures them.

The layer is the one of Mamba-2 with 3584 channels, expanded twice, between its two projections: short convolution, scan
both ways, skip, gate and norm; 256 tokens a frame. mamba-ssm scans one way, so it is called twice, the second time on
flipped tensors whose answer is flipped back.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.bench import Op, hold_near
from tvu.kernels.causal_conv import causal_conv_silu, causal_conv_silu_plain
from tvu.kernels.gated_norm import gated_norm, gated_norm_plain
from tvu.kernels.selective_scan import selective_scan, selective_scan_plain
from tvu.kernels.ssd_scan import StepSizes, ssd_bidirectional, ssd_bidirectional_plain

TOKENS_PER_FRAME, HEADS, WIDTH = 256, 112, 64
INNER = HEADS * WIDTH
HELD_HEADS = 2  # the twin goes token by token, so it is held against a few heads, each of which knows nothing of others
NO_LOOP = "the twin is a loop over tokens: a graph of that many nodes is not compiled"


def _layer_inputs(frames: int, states: int) -> tuple[Any, ...]:
    """What the input projection gives, one row a token, and the parameters of the core."""
    channels = INNER + 2 * states
    projected = torch.randn(1, frames * TOKENS_PER_FRAME, INNER + channels + HEADS, device="cuda").bfloat16()
    taps = torch.randn(channels, 4, device="cuda").bfloat16() / 2
    bias = torch.randn(channels, device="cuda").bfloat16() / 2
    rates = -torch.empty(HEADS, device="cuda").uniform_(1, 16)
    steps = torch.empty(HEADS, device="cuda").uniform_(
        -7, -2
    )  # softplus of it: 0.001 to 0.1, as at the start of training
    return projected, taps, bias, rates, steps, torch.ones(HEADS, device="cuda"), torch.rand(INNER, device="cuda")


def _split(projected: Tensor, states: int) -> tuple[Tensor, Tensor, Tensor]:
    return projected.split([INNER, INNER + 2 * states, HEADS], dim=-1)


def _cut(xBC: Tensor, states: int) -> tuple[Tensor, Tensor, Tensor]:
    """x `[1, L, H, P]`, B and C `[1, L, 1, N]`."""
    x, B, C = xBC.split([INNER, states, states], dim=-1)
    return x.unflatten(-1, (HEADS, WIDTH)), B[:, :, None], C[:, :, None]


def _core(states: int, projected: Tensor, taps: Tensor, bias: Tensor, *parameters: Tensor) -> Tensor:
    rates, steps, skip, weight = parameters
    z, xBC, dt = _split(projected, states)
    x, B, C = _cut(causal_conv_silu(xBC, taps, bias), states)
    y = ssd_bidirectional(x, dt, rates, B, C, D=skip, steps=StepSizes(steps, softplus=True))
    return gated_norm(y.flatten(2), weight.to(y.dtype), z)


def _mamba_core(states: int) -> Callable[..., Any] | str:
    """mamba-ssm's own kernels on the same tensors; its convolution is in a package of its own."""
    try:
        scan = importlib.import_module("mamba_ssm.ops.triton.ssd_combined").mamba_chunk_scan_combined
        norm = importlib.import_module("mamba_ssm.ops.triton.layernorm_gated").rmsnorm_fn
    except (ImportError, OSError, RuntimeError) as error:
        return f"mamba-ssm cannot be imported: {error}"
    try:
        convolve = importlib.import_module("causal_conv1d").causal_conv1d_fn
    except (ImportError, OSError):
        convolve = None

    def core(projected: Tensor, taps: Tensor, bias: Tensor, *parameters: Tensor) -> Tensor:
        rates, steps, skip, weight = parameters
        z, xBC, dt = _split(projected, states)
        if convolve is not None:
            xBC = convolve(xBC.mT, taps, bias, activation="silu").mT
        else:
            xBC = F.silu(F.conv1d(xBC.mT, taps[:, None], bias, padding=3, groups=len(taps))[..., :-3]).mT
        x, B, C = _cut(xBC, states)
        settings = {"chunk_size": 256, "dt_bias": steps, "dt_softplus": True}
        y = scan(x, dt, rates, B, C, D=skip, **settings)
        y = y + scan(*(t.flip(1) for t in (x, dt)), rates, *(t.flip(1) for t in (B, C)), **settings).flip(1)
        return norm(y.flatten(2), weight, None, z=z, eps=1e-5, norm_before_gate=False)

    return core


def _fla_scans(states: int) -> Callable[..., Any] | str:
    """Simple gated linear attention: the scans alone, given step sizes that went through softplus for nothing."""
    try:
        scan = importlib.import_module("fla.ops.simple_gla").chunk_simple_gla
    except (ImportError, OSError, RuntimeError) as error:
        return f"flash-linear-attention cannot be imported: {error}"

    def scans(x: Tensor, dt: Tensor, rates: Tensor, steps: Tensor, skip: Tensor, B: Tensor, C: Tensor) -> Tensor:
        step = F.softplus(dt.float() + steps)
        value, decay = (x * step[..., None]).to(x.dtype), step * rates
        key, query = (t.expand(-1, -1, HEADS, -1) for t in (B, C))
        y = scan(query, key, value, decay, scale=1.0)[0]
        back = scan(*(t.flip(1) for t in (query, key, value, decay)), scale=1.0)[0]
        return y + back.flip(1) + x * skip[:, None].to(x.dtype)

    return scans


def _mamba_scans(states: int) -> Callable[..., Any] | str:
    try:
        scan = importlib.import_module("mamba_ssm.ops.triton.ssd_combined").mamba_chunk_scan_combined
    except (ImportError, OSError, RuntimeError) as error:
        return f"mamba-ssm cannot be imported: {error}"

    def scans(x: Tensor, dt: Tensor, rates: Tensor, steps: Tensor, skip: Tensor, B: Tensor, C: Tensor) -> Tensor:
        settings = {"chunk_size": 256, "dt_bias": steps, "dt_softplus": True}
        y = scan(x, dt, rates, B, C, D=skip, **settings)
        return y + scan(*(t.flip(1) for t in (x, dt)), rates, *(t.flip(1) for t in (B, C)), **settings).flip(1)

    return scans


def _hold_core(states: int, inputs: tuple[Any, ...]) -> None:
    """A few heads against the twins, in float64: before the norm, which mixes heads, and the norm by itself."""
    projected, taps, bias, rates, steps, skip, weight = inputs
    z, xBC, dt = _split(projected, states)
    convolved = causal_conv_silu(xBC, taps, bias)
    hold_near("causal_conv_silu", convolved[:, :4096], causal_conv_silu_plain(xBC[:, :4096].double(), taps, bias))
    x, B, C = _cut(convolved, states)
    y = ssd_bidirectional(x, dt, rates, B, C, D=skip, steps=StepSizes(steps, softplus=True))
    few = slice(HEADS - HELD_HEADS, HEADS)
    wide = [t.double() for t in (x[:, :, few], dt[..., few], rates[few], B, C, skip[few], steps[few])]
    exact = ssd_bidirectional_plain(*wide[:5], D=wide[5], steps=StepSizes(wide[6], softplus=True))
    hold_near("ssd_bidirectional", y[:, :, few], exact, 2e-2)  # states between chunks are bfloat16 too
    gated = gated_norm(y.flatten(2), weight.to(y.dtype), z)[:, :4096]
    exact = gated_norm_plain(y.flatten(2)[:, :4096].double(), weight.to(y.dtype).double(), z[:, :4096].double())
    hold_near("gated_norm", gated, exact)


def _scan_inputs(frames: int, states: int) -> tuple[Any, ...]:
    projected, taps, bias, rates, steps, skip, _ = _layer_inputs(frames, states)
    _, xBC, dt = _split(projected, states)
    x, B, C = _cut(causal_conv_silu(xBC, taps, bias), states)
    return x, dt, rates, steps, skip, B, C


def _scans(x: Tensor, dt: Tensor, rates: Tensor, steps: Tensor, skip: Tensor, B: Tensor, C: Tensor) -> Tensor:
    return ssd_bidirectional(x, dt, rates, B, C, D=skip, steps=StepSizes(steps, softplus=True))


def _hold_scans(inputs: tuple[Any, ...]) -> None:
    x, dt, rates, steps, skip, B, C = inputs
    few = slice(HELD_HEADS)
    wide = [t.double() for t in (x[:, :, few], dt[..., few], rates[few], B, C, skip[few], steps[few])]
    exact = ssd_bidirectional_plain(*wide[:5], D=wide[5], steps=StepSizes(wide[6], softplus=True))
    hold_near("ssd_bidirectional", _scans(*inputs)[:, :, few], exact, 2e-2)


def _selective_inputs(frames: int) -> tuple[Any, ...]:
    """Of Mamba-1 as wide, 16 states: u, z, delta, B, C in rows, and A, D, the bias of delta."""
    length = frames * TOKENS_PER_FRAME
    u, z, delta = torch.randn(3, 1, length, INNER, device="cuda").bfloat16()
    B, C = torch.randn(2, 1, length, 1, 16, device="cuda").bfloat16()
    A = -torch.arange(1.0, 17, device="cuda").expand(INNER, -1).contiguous()
    return u, z, delta, B, C, A, torch.ones(INNER, device="cuda"), torch.randn(INNER, device="cuda") - 4


def _selective(reverse: bool, *inputs: Tensor) -> Tensor:
    u, z, delta, B, C, A, skip, bias = inputs
    return selective_scan(u, delta, A, B, C, D=skip, z=z, delta_bias=bias, softplus=True, reverse=reverse)[0]


def _hold_selective(reverse: bool, inputs: tuple[Any, ...]) -> None:
    few = 256
    u, z, delta, B, C, A, skip, bias = (t.double() for t in inputs)
    exact = selective_scan_plain(
        u[..., :few], delta[..., :few], A[:few], B, C, D=skip[:few], z=z[..., :few],
        delta_bias=bias[:few], softplus=True, reverse=reverse,
    )[0]  # fmt: skip
    hold_near("selective_scan", _selective(reverse, *inputs)[..., :few], exact)


def _mamba_selective() -> Callable[..., Any] | str:
    """Channels before tokens is how mamba-ssm wants them, and it is given them so: the copies are not timed."""
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except (ImportError, OSError, RuntimeError) as error:
        return f"mamba-ssm cannot be imported: {error}"
    if getattr(module, "selective_scan_cuda", None) is None:
        return "mamba-ssm is installed without its CUDA extension"
    kept: dict[int, tuple[Tensor, ...]] = {}

    def scan(*inputs: Tensor) -> Tensor:
        u, z, delta, B, C, A, skip, bias = inputs
        if u.data_ptr() not in kept:
            kept.clear() if len(kept) > 2 else None
            rows = (u, z, delta, B[:, :, 0], C[:, :, 0])
            kept[u.data_ptr()] = tuple(t.mT.contiguous() for t in rows)
        u, z, delta, B, C = kept[u.data_ptr()]
        return module.selective_scan_fn(u, delta, A, B, C, skip, z, bias, True)

    return scan


def _layer_bytes(inputs: tuple[Any, ...], out: Tensor) -> int:
    """One pass over memory: all that the projection gave, and what the next one takes."""
    return sum(t.numel() * t.element_size() for t in (*inputs, out))


def _scan_flops(states: int, inputs: tuple[Any, ...]) -> int:
    """Chunks of 128: C B^T once, one product inside a chunk, a state written and one read in either direction."""
    length = inputs[0].shape[1]
    return length * (2 * 128 * states + HEADS * (2 * 128 * WIDTH + 8 * WIDTH * states))


def _of_layer(states: int) -> tuple[Op, ...]:
    return (
        Op(
            f"core of a bidirectional Mamba-2 layer, {states} states",
            partial(_layer_inputs, states=states),
            partial(_core, states),
            NO_LOOP,
            _layer_bytes,
            hold=partial(_hold_core, states),
            flops=partial(_scan_flops, states),
            peers={"mamba-ssm twice, flipped": _mamba_core(states)},
            compiled=NO_LOOP,
        ),
        Op(
            f"ssd_bidirectional, {states} states",
            partial(_scan_inputs, states=states),
            _scans,
            NO_LOOP,
            _layer_bytes,
            hold=_hold_scans,
            flops=partial(_scan_flops, states),
            peers={"mamba-ssm twice, flipped": _mamba_scans(states), "simple GLA twice, flipped": _fla_scans(states)},
            compiled=NO_LOOP,
        ),
    )


SCANS = (
    *_of_layer(64),
    *_of_layer(128),
    *(
        Op(
            f"selective_scan, {'backward' if reverse else 'forward'}",
            _selective_inputs,
            partial(_selective, reverse),
            NO_LOOP,
            _layer_bytes,
            hold=partial(_hold_selective, reverse),
            peers={"mamba-ssm": "scans forward only" if reverse else _mamba_selective()},
            compiled=NO_LOOP,
        )
        for reverse in (False, True)
    ),
)
