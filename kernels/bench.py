"""The fused operations beside eager PyTorch, torch.compile and other libraries' kernels, on one CUDA device.

An operation is timed only after its result was held against its plain twin in float64. Inputs are random and take
turns, so that none of them waits in the cache. Where a graph can be captured, it holds one call on each of the inputs,
and its replay is timed: no launch is.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tvu.kernels.add_norm_pool import add_norm_pool, add_norm_pool_plain
from tvu.kernels.frame_similarity import frame_similarity, frame_similarity_plain
from tvu.kernels.pool_tokens import pool_and_compare, pool_and_compare_plain, pool_tokens, pool_tokens_plain
from tvu.kernels.select_tokens import select_tokens, select_tokens_plain
from tvu.kernels.shuffle_norm import shuffle_norm, shuffle_norm_plain
from tvu.kernels.slot_pool import slot_pool, slot_pool_plain
from tvu.kernels.slowfast_tokens import slowfast_tokens

SIZES = (8, 32, 64, 256)  # frames of SigLIP-So400m at 384 pixels
GRID, CHANNELS = 27, 1152
CACHE_BYTES = 256 * 2**20  # several times the L2 cache of any GPU so far
SLOW, SLOTS = 4, 256


@dataclass(frozen=True)
class Ceilings:
    """What this device can do, measured: bytes read per second, and products and sums of bfloat16 matrices."""

    bytes_per_second: float
    flops_per_second: float


@dataclass(frozen=True)
class Row:
    """One operation at one size, every contender.

    milliseconds:  contender to median time of one call; "tvu" is ours.
    not_run:       contender to why it has no time.
    bytes_moved:   the fewest that the operation can read and write. flops: of its matrix products.
    of_ceiling:    bytes_moved or flops, whichever is slower, over its ceiling of the same run, as a share of our time.
    bound:         which of the two that is, "memory" or "compute".
    ratio:         the best of the others over ours.
    """

    op: str
    shape: tuple[int, ...]
    dtype: str
    milliseconds: dict[str, float]
    not_run: dict[str, str]
    bytes_moved: int
    flops: int
    of_ceiling: float
    bound: str
    ratio: float


@dataclass(frozen=True, eq=False)
class Op:
    """What is measured: `make(frames)` gives one set of inputs, the functions take it whole.

    exact: the twin, given inputs in float64; or `hold`, which raises ParityError itself.
    peers: other spellings of the same; a string says why one cannot run.
    """

    name: str
    make: Callable[[int], tuple[Any, ...]]
    ours: Callable[..., Any]
    eager: Callable[..., Any] | str
    bytes_moved: Callable[[tuple[Any, ...], Any], int]
    exact: Callable[..., Any] | None = None
    hold: Callable[[tuple[Any, ...]], None] | None = None
    flops: Callable[[tuple[Any, ...]], int] = lambda inputs: 0
    peers: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    sizes: Sequence[int] | None = None
    compiled: str | None = None  # why torch.compile is not tried
    captured: bool = True
    eager_waits: bool = False  # the usual spelling asks the device how many there are, and cannot be captured


class ParityError(AssertionError):
    """A kernel that computes something else is not timed."""


def measure(sizes: Sequence[int] = SIZES, *, compiled: bool = True, only: Sequence[str] = ()) -> Iterator[Row]:
    """Rows as they are measured. Raises ParityError where an operation is wrong, before it is timed."""
    from tvu.kernels.bench_scans import SCANS, compile_side_by_side

    ceilings = Ceilings(read_ceiling(), product_ceiling())
    chosen = [op for op in (*OPS, *SCANS) if not only or not _spellings(op).isdisjoint(only)]
    if not set(chosen).isdisjoint(SCANS):
        compile_side_by_side(sizes)
    for op in chosen:
        for frames in op.sizes or sizes:
            yield _row(op, frames, ceilings, compiled)


def names() -> set[str]:
    """What `only` may hold."""
    from tvu.kernels.bench_scans import SCANS

    return set().union(*(_spellings(op) for op in (*OPS, *SCANS)))


def _spellings(op: Op) -> set[str]:
    """The name, and what stands before its comma, which all variants of an operation share."""
    return {op.name, op.name.split(",")[0]}


def read_ceiling() -> float:
    """Bytes per second that a kernel can read on this device: the best of three reductions and a copy of 2 GiB."""
    best = 0.0
    for dtype in (torch.float32, torch.bfloat16, torch.int32):
        x = torch.zeros(2**31 // dtype.itemsize, dtype=dtype, device="cuda")
        work = x.amax if dtype == torch.int32 else x.sum
        best = max(best, 2**31 / _median_seconds([work]))
    x = torch.empty(2**29, dtype=torch.float32, device="cuda")
    y = torch.empty_like(x)
    return max(best, 2**32 / _median_seconds([lambda: y.copy_(x)]))


def product_ceiling() -> float:
    """FLOP/s of a product of two random bfloat16 matrices of 8192 x 8192."""
    a, b = torch.randn(2, 8192, 8192, device="cuda").bfloat16()
    return 2 * 8192**3 / _median_seconds([lambda: a @ b])


def _row(op: Op, frames: int, ceilings: Ceilings, compiled: bool) -> Row:
    one = op.make(frames)
    _hold(op, one)
    size = sum(x.numel() * x.element_size() for x in one if isinstance(x, Tensor))
    sets = [one, *(op.make(frames) for _ in range(min(16, CACHE_BYTES // size)))]
    contenders: dict[str, Callable[..., Any] | str] = {"tvu": op.ours, "eager": op.eager}
    if op.compiled is not None or isinstance(op.eager, str):
        contenders["torch.compile"] = op.compiled or "there is no eager spelling to compile"
    elif compiled:
        torch._dynamo.reset()
        # Without its own graphs, which copy inputs that change: ours captures it like everybody else.
        contenders["torch.compile"] = torch.compile(op.eager, mode="max-autotune-no-cudagraphs")
    contenders |= op.peers
    times, not_run = {}, {name: why for name, why in contenders.items() if isinstance(why, str)}
    for name, function in contenders.items():
        if isinstance(function, str):
            continue
        works: list[Callable[[], Any]] = [partial(function, *inputs) for inputs in sets]
        waits = op.eager_waits and name in ("eager", "torch.compile")
        times[name] = _median_seconds(works) if waits or not op.captured else _seconds_captured(works)
        times[name] *= 1e3
    moved, flops = op.bytes_moved(one, op.ours(*one)), op.flops(one)
    floors = {"memory": moved / ceilings.bytes_per_second, "compute": flops / ceilings.flops_per_second}
    bound = max(floors, key=lambda name: floors[name])
    best = min((time for name, time in times.items() if name != "tvu"), default=float("nan"))
    return Row(
        *(op.name, tuple(one[0].shape), str(one[0].dtype), times, not_run, moved, flops),
        of_ceiling=floors[bound] / (times["tvu"] * 1e-3),
        bound=bound,
        ratio=best / times["tvu"],
    )


def _hold(op: Op, inputs: tuple[Any, ...]) -> None:
    if op.hold is not None:
        op.hold(inputs)
        return
    assert op.exact is not None
    wide = [x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    hold_near(op.name, op.ours(*inputs), op.exact(*wide))


def hold_near(name: str, ours: Any, exact: Any, bound: float = 1e-2) -> None:
    """Raises ParityError unless every tensor of ours is near the exact one, as a share of its norm.

    bound: bfloat16 outputs; a wrong formula is far beyond, and NaN never passes.
    """
    for got, right in zip(_tensors(ours), _tensors(exact), strict=True):
        error = (got.double() - right.double()).norm() / right.double().norm()
        if not error <= bound:
            raise ParityError(f"{name} differs from its twin by {error:.2e} at {tuple(got.shape)}")


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)


def _seconds_captured(works: Sequence[Callable[[], Any]]) -> float:
    """Median of one work, all of them one after another in one graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for work in (*works, works[0]):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for work in works:
            work()
    return _median_seconds([graph.replay]) / len(works)


def _median_seconds(works: Sequence[Callable[[], Any]], rounds: int = 30) -> float:
    times = []
    for turn in range(rounds + 3):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        works[turn % len(works)]()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times[3:])


def _bytes(*tensors: Tensor) -> int:
    return sum(x.numel() * x.element_size() for x in tensors)


def _of_inputs_and_outputs(inputs: tuple[Any, ...], out: Any) -> int:
    return _bytes(*inputs, *_tensors(out))


def _video(frames: int) -> Tensor:
    return torch.randn(1, frames, GRID, GRID, CHANNELS, device="cuda", dtype=torch.bfloat16)


def _grouped(x: Tensor) -> Tensor:
    return x.reshape(1, x.shape[1] // 4, 4, 9, 3, 9, 3, CHANNELS).mean((2, 4, 6))


def _eager_odd_pool(x: Tensor) -> Tensor:
    frames = x.unflatten(1, (-1, 4)).mean(2)
    pooled = functional.avg_pool2d(frames[0].permute(0, 3, 1, 2), 2, ceil_mode=True, count_include_pad=False)
    return pooled.permute(0, 2, 3, 1)[None]


def _cosine(tokens: Tensor) -> Tensor:
    similarity = functional.cosine_similarity(tokens[:, 1:], tokens[:, :-1], dim=-1)
    return torch.cat([torch.full_like(similarity[:, :1], -1.0), similarity], dim=1)


def _eager_add_norm_pool(x: Tensor, forward: Tensor, backward: Tensor, weight: Tensor) -> Tensor:
    return _grouped(functional.rms_norm(x + forward + backward, [CHANNELS], weight, 1e-5))


def _differing(x: Tensor) -> tuple[Tensor, Tensor]:
    tokens = x.flatten(2, 3)
    return select_tokens(tokens.flatten(1, 2), frame_similarity(tokens).flatten(1), tokens.flatten(1, 2).shape[1] // 4)


def _exact_differing(x: Tensor) -> tuple[Tensor, Tensor]:
    """Chosen by the float32 scores, as two float64 scores may lie closer than float32 can tell."""
    tokens = x.flatten(2, 3)
    scores = frame_similarity(tokens.bfloat16()).flatten(1)
    exact = frame_similarity_plain(tokens).flatten(1)
    if (scores - exact).abs().max() > 1e-5:
        raise ParityError("frame_similarity differs from its twin")
    return select_tokens_plain(tokens.flatten(1, 2), scores, scores.shape[1] // 4)


def _eager_differing(x: Tensor) -> tuple[Tensor, Tensor]:
    tokens = x.flatten(2, 3)
    scores = _cosine(tokens).flatten(1)
    chosen = scores.argsort(dim=1, stable=True)[:, : scores.shape[1] // 4]
    mask = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, chosen, True)
    return tokens.flatten(1, 2)[mask], mask.nonzero()


def _eager_shuffle(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    padded = functional.pad(x, [0, 0, 0, 1, 0, 1])
    cells = padded.reshape(x.shape[0], 14, 2, 14, 2, CHANNELS).permute(0, 1, 3, 2, 4, 5).reshape(x.shape[0], 14, 14, -1)
    return functional.layer_norm(cells, weight.shape, weight, bias, 1e-5)


def _slow(frames: int) -> list[int]:
    return torch.linspace(0, frames - 1, SLOW, dtype=torch.float64).round().int().tolist()


def _eager_slowfast(x: Tensor) -> Tensor:
    slow = torch.cat([x[:, frame] for frame in _slow(x.shape[1])]).permute(0, 3, 1, 2)
    pooled = functional.avg_pool2d(slow, 2, ceil_mode=True, count_include_pad=False)
    return torch.cat([x.mean((2, 3)), pooled.permute(0, 2, 3, 1).reshape(1, -1, CHANNELS)], dim=1)


def _slot_inputs(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slots = torch.randn(x.shape[-1], SLOTS, device="cuda") / x.shape[-1] ** 0.5
    return x, slots.bfloat16(), torch.rand(*x.shape[:3], 3, device="cuda")


def _eager_slots(x: Tensor, slots: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    tokens = x.flatten(1, 2)
    weights = (tokens @ slots).softmax(dim=1)
    where = weights.mT @ places.flatten(1, 2).to(weights.dtype)
    return weights.mT @ tokens, weights.unflatten(1, x.shape[1:3]).sum(2), where


OPS = (
    Op(
        "pool_tokens",
        lambda frames: (_video(frames),),
        lambda x: pool_tokens(x, frames=4, cells=3),
        _grouped,
        _of_inputs_and_outputs,
        lambda x: pool_tokens_plain(x, frames=4, cells=3),
    ),
    Op(
        "pool_tokens, odd grid",
        lambda frames: (_video(frames),),
        lambda x: pool_tokens(x, frames=4, cells=2),
        _eager_odd_pool,
        _of_inputs_and_outputs,
        lambda x: pool_tokens_plain(x, frames=4, cells=2),
    ),
    Op(
        "pool_and_compare",
        lambda frames: (_video(frames),),
        lambda x: pool_and_compare(x, frames=4, cells=3),
        lambda x: (_grouped(x), _cosine(x), x.norm(dim=-1)),
        _of_inputs_and_outputs,
        lambda x: pool_and_compare_plain(x, frames=4, cells=3),
    ),
    Op(
        "add_norm_pool",
        lambda frames: (*(_video(frames) for _ in range(3)), torch.randn(CHANNELS, device="cuda").bfloat16()),
        lambda x, f, b, w: add_norm_pool(x, f, b, w, frames=4, cells=3),
        _eager_add_norm_pool,
        _of_inputs_and_outputs,
        lambda x, f, b, w: add_norm_pool_plain(x, f, b, w, frames=4, cells=3),
    ),
    Op(
        "frame_similarity + select_tokens",
        lambda frames: (_video(frames),),
        _differing,
        _eager_differing,
        lambda inputs, out: _bytes(*inputs) + 2 * _bytes(out[0]) + _bytes(out[1]),
        _exact_differing,
        eager_waits=True,
    ),
    Op(
        "shuffle_norm",
        lambda frames: (_video(frames)[0], *torch.randn(2, 4 * CHANNELS, device="cuda").bfloat16()),
        shuffle_norm,
        _eager_shuffle,
        _of_inputs_and_outputs,
        shuffle_norm_plain,
    ),
    Op(
        "slot_pool",
        lambda frames: _slot_inputs(_video(frames).flatten(2, 3)),
        slot_pool,
        _eager_slots,
        _of_inputs_and_outputs,
        slot_pool_plain,
        flops=lambda inputs: 4 * inputs[0].numel() * SLOTS,
    ),
    Op(
        "slot_pool, 96 x 32 tokens of VTG-LLM",
        lambda frames: _slot_inputs(torch.randn(1, frames, 32, 768, device="cuda").bfloat16()),
        slot_pool,
        _eager_slots,
        _of_inputs_and_outputs,
        slot_pool_plain,
        flops=lambda inputs: 4 * inputs[0].numel() * SLOTS,
        sizes=(96,),
    ),
    Op(
        "slowfast_tokens",
        lambda frames: (_video(frames),),
        lambda x: slowfast_tokens(x, _slow(x.shape[1])),
        _eager_slowfast,
        _of_inputs_and_outputs,
        lambda x: slowfast_tokens(x, _slow(x.shape[1])),
    ),
)
