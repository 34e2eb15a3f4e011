"""The scans beside the kernels of mamba-ssm and flash-linear-attention; `kernels/bench.py` measures them.

The layer is the one of Mamba-2 with 3584 channels, expanded twice, between its two projections: short convolution, scan
both ways, skip, gate and norm; 256 tokens a frame. mamba-ssm scans one way, so it is called twice, the second time on
flipped tensors, and its answer is flipped back.

Its kernels tune themselves at their first call, some forty of them, compiled one after the other: minutes. Here
processes side by side compile them first, into Triton's cache on disk.
"""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.bench import Op, _tensors, hold_near
from tvu.kernels.causal_conv import causal_conv_silu, causal_conv_silu_plain
from tvu.kernels.gated_norm import gated_norm, gated_norm_plain, gated_norm_pool, gated_norm_pool_plain
from tvu.kernels.selective_scan import selective_scan, selective_scan_plain
from tvu.kernels.ssd_scan import StepSizes, ssd_bidirectional

TOKENS_PER_FRAME, HEADS, WIDTH = 256, 112, 64
INNER = HEADS * WIDTH
HELD_HEADS, HELD_TOKENS = 2, 128  # of the scan, in float64
HELD_FRAMES = 16  # of the Mamba-1 scan, whose twin goes token by token: those that no later token reaches
SECONDS_TO_COMPILE = 90
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
    return gated_norm(_scans(x, dt, rates, steps, skip, B, C).flatten(2), weight, z)


def _causal_conv1d() -> Callable[..., Any] | None:
    try:
        return importlib.import_module("causal_conv1d").causal_conv1d_fn
    except (ImportError, OSError):
        return None


def _mamba_core(states: int) -> Callable[..., Any] | str:
    """mamba-ssm's own kernels on the same tensors; its convolution is in a package of its own."""
    try:
        scan = importlib.import_module("mamba_ssm.ops.triton.ssd_combined").mamba_chunk_scan_combined
        norm = importlib.import_module("mamba_ssm.ops.triton.layernorm_gated").rmsnorm_fn
    except (ImportError, OSError, RuntimeError) as error:
        return f"mamba-ssm cannot be imported: {error}"
    convolve = _causal_conv1d()

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


def both_directions_at(
    at: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, bias: Tensor
) -> Tensor:
    """`ssd_bidirectional_plain` of one video at a few tokens, `[len(at), H, P]`: the sum of what all tokens tell them.

    The decay from j to i is that of the steps after j up to i, or of those from i on before j where j comes later.
    """
    x, dt, B, C = x[0], F.softplus(dt[0] + bias), B[0, :, 0], C[0, :, 0]
    S = (dt * A).cumsum(0)  # [L, H]
    E = S - dt * A
    decay = torch.minimum(S[at, None] - S[None], E[None] - E[at, None]).exp()  # [len(at), L, H]
    weight = decay * (C[at] @ B.mT)[..., None] * dt
    weight[torch.arange(len(at)), at] *= 2  # a token sees itself both ways
    return torch.einsum("ijh,jhp->ihp", weight, x) + x[at] * skip[:, None]


def _hold_scan(y: Tensor, x: Tensor, dt: Tensor, rates: Tensor, steps: Tensor, skip: Tensor, *BC: Tensor) -> None:
    """A few heads at a few tokens, each of which all tokens reach; heads know nothing of each other."""
    at = torch.linspace(0, y.shape[1] - 1, HELD_TOKENS, device="cuda").long()
    few = slice(HEADS - HELD_HEADS, HEADS)
    wide = [t.double() for t in (x[:, :, few], dt[..., few], rates[few], *BC, skip[few], steps[few])]
    # states between chunks are bfloat16 too
    hold_near("ssd_bidirectional", y[0, at][:, few], both_directions_at(at, *wide), 2e-2)


def _hold_core(states: int, inputs: tuple[Any, ...]) -> None:
    """Step by step: the convolution, the scan of what it gives, and the gated norm of that."""
    projected, taps, bias, rates, steps, skip, weight = inputs
    z, xBC, dt = _split(projected, states)
    convolved = causal_conv_silu(xBC, taps, bias)
    hold_near("causal_conv_silu", convolved[:, :4096], causal_conv_silu_plain(xBC[:, :4096].double(), taps, bias))
    x, B, C = _cut(convolved, states)
    y = _scans(x, dt, rates, steps, skip, B, C)
    _hold_scan(y, x, dt, rates, steps, skip, B, C)
    some = slice(0, None, 16)
    exact = gated_norm_plain(y.flatten(2)[:, some].double(), weight.double(), z[:, some].double())
    hold_near("gated_norm", _core(states, *inputs)[:, some], exact)


def _scan_inputs(frames: int, states: int) -> tuple[Any, ...]:
    projected, taps, bias, rates, steps, skip, _ = _layer_inputs(frames, states)
    _, xBC, dt = _split(projected, states)
    x, B, C = _cut(causal_conv_silu(xBC, taps, bias), states)
    return x, dt, rates, steps, skip, B, C


def _scans(x: Tensor, dt: Tensor, rates: Tensor, steps: Tensor, skip: Tensor, B: Tensor, C: Tensor) -> Tensor:
    return ssd_bidirectional(x, dt, rates, B, C, D=skip, steps=StepSizes(steps, softplus=True))


def _hold_scans(inputs: tuple[Any, ...]) -> None:
    _hold_scan(_scans(*inputs), *inputs)


def _norm_inputs(frames: int) -> tuple[Tensor, ...]:
    """What the scan gives of 16 x 16 tokens a frame, the weight, and a gate that lies in the rows of a projection."""
    y = torch.randn(1, frames, 16, 16, INNER, device="cuda").bfloat16()
    rows = torch.randn(1, frames, 16, 16, INNER + 128, device="cuda").bfloat16()
    return y, torch.rand(INNER, device="cuda").bfloat16(), rows[..., :INNER]


def _norm_and_pool(y: Tensor, weight: Tensor, z: Tensor) -> Tensor:
    return gated_norm_pool(y, weight, z, frames=4, cells=2)


def _eager_norm_and_pool(y: Tensor, weight: Tensor, z: Tensor) -> Tensor:
    normed = F.rms_norm(y * F.silu(z), weight.shape, weight, 1e-5)
    return normed.reshape(1, y.shape[1] // 4, 4, 8, 2, 8, 2, INNER).mean((2, 4, 6))


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
    held = min(inputs[0].shape[1], HELD_FRAMES * TOKENS_PER_FRAME)
    some = slice(-held, None) if reverse else slice(held)
    u, z, delta, B, C = (t[:, some].double() for t in inputs[:5])
    A, skip, bias = (t.double() for t in inputs[5:])
    exact = selective_scan_plain(
        u[..., :few], delta[..., :few], A[:few], B, C, D=skip[:few], z=z[..., :few],
        delta_bias=bias[:few], softplus=True, reverse=reverse,
    )[0]  # fmt: skip
    hold_near("selective_scan", _selective(reverse, *inputs)[:, some, :few], exact)


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


def compile_side_by_side(sizes: Sequence[int]) -> None:
    """Runs every contender of the scans once, each process its share of what there is to tune.

    What has not ended in SECONDS_TO_COMPILE is stopped: the measurement compiles what is missing.
    """
    parts = max(2, min(14, (os.cpu_count() or 2) - 2))
    some = sorted({min(sizes), max(sizes)})  # Triton compiles numbers that 16 divides apart from others
    command = "from tvu.kernels.bench_scans import compile_share; compile_share({}, {}, {})"
    started = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", command.format(part, parts, [min(size, 32) for size in some])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for part in range(parts)
    ]
    until = time.monotonic() + SECONDS_TO_COMPILE
    for process in started:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def compile_share(part: int, parts: int, sizes: Sequence[int]) -> None:
    """One process of `compile_side_by_side`: our operations in turn, of each peer's kernels every parts-th choice."""
    share = 0
    for frames in sizes:
        for op in SCANS:
            functions = [op.ours] * (share % parts == part)
            share += 1
            peers = [peer for name, peer in op.peers.items() if not isinstance(peer, str) and "core" not in op.name]
            inputs = op.make(frames) if functions or peers else ()
            for function in functions:
                function(*inputs)
            for tuner in _tuners():  # again at every size: a tuner remembers, whatever 16 divides
                tuner.configs = _every(tuner, part, parts)
                tuner.cache.clear()
            for function in peers:
                function(*inputs)


_all_choices: dict[int, list[Any]] = {}


def _every(tuner: Any, part: int, parts: int) -> list[Any]:
    choices = _all_choices.setdefault(id(tuner), tuner.configs)
    return choices[part::parts] or [choices[part % len(choices)]]


def _tuners() -> Iterator[Any]:
    """Every kernel of the peers that tunes itself."""
    from triton.runtime.autotuner import Autotuner

    for name, module in list(sys.modules.items()):
        if name.startswith(("mamba_ssm.", "fla.")):
            for value in list(vars(module).values()):
                while value is not None and not isinstance(value, Autotuner) and type(value).__name__ == "Heuristics":
                    value = value.fn
                if isinstance(value, Autotuner):
                    yield value


def _layer_bytes(inputs: tuple[Any, ...], out: Any) -> int:
    """One pass over memory: all that the projection gave, and what the next one takes."""
    return sum(t.numel() * t.element_size() for t in (*inputs, *_tensors(out)))


def _scan_flops(states: int, inputs: tuple[Any, ...]) -> int:
    """Chunks of 128: C B^T once, one product inside a chunk, a state written and one read in either direction."""
    length = inputs[0].shape[1]
    return length * (2 * 128 * states + HEADS * (2 * 128 * WIDTH + 8 * WIDTH * states))


def _of_layer(states: int) -> tuple[Op, ...]:
    convolution = "" if _causal_conv1d() else ", torch's convolution"
    return (
        Op(
            f"core of a bidirectional Mamba-2 layer, {states} states",
            partial(_layer_inputs, states=states),
            partial(_core, states),
            NO_LOOP,
            _layer_bytes,
            hold=partial(_hold_core, states),
            flops=partial(_scan_flops, states),
            peers={f"mamba-ssm twice, flipped{convolution}": _mamba_core(states)},
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
    Op(
        "gated_norm_pool",
        _norm_inputs,
        _norm_and_pool,
        _eager_norm_and_pool,
        _layer_bytes,
        partial(gated_norm_pool_plain, frames=4, cells=2),
    ),
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
