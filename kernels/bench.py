"""The fused operations beside eager PyTorch and torch.compile, on one CUDA device, in one run.

An operation is timed only after its result was held against its plain twin in float64. Inputs are random and take
turns, so that none of them waits in the cache; launches are not timed where a graph can be captured and replayed.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tvu.kernels.add_norm_pool import add_norm_pool, add_norm_pool_plain
from tvu.kernels.frame_similarity import frame_similarity, frame_similarity_plain
from tvu.kernels.pool_tokens import pool_tokens, pool_tokens_plain
from tvu.kernels.select_tokens import select_tokens, select_tokens_plain
from tvu.kernels.shuffle_norm import shuffle_norm, shuffle_norm_plain
from tvu.kernels.slowfast_tokens import slowfast_tokens, slowfast_tokens_plain

SIZES = (8, 32, 64, 256)  # frames of SigLIP-So400m at 384 pixels
GRID, CHANNELS = 27, 1152
CACHE_BYTES = 256 * 2**20  # several times the L2 cache of any GPU so far
SLOW = 4


@dataclass(frozen=True)
class Row:
    """One operation at one size, every contender.

    milliseconds: contender to median time of one call.
    bytes_moved:  the fewest that the operation can read and write.
    of_ceiling:   bytes_moved over our time, as a share of the read bandwidth measured in the same run.
    ratio:        the best of the others over ours.
    """

    op: str
    shape: tuple[int, ...]
    dtype: str
    milliseconds: dict[str, float]
    bytes_moved: int
    of_ceiling: float
    ratio: float


@dataclass(frozen=True)
class Op:
    """What is measured: `make(frames)` gives one set of inputs, the functions take it whole."""

    name: str
    make: Callable[[int], tuple[Any, ...]]
    ours: Callable[..., Any]
    eager: Callable[..., Any]
    exact: Callable[..., Any]
    bytes_moved: Callable[[tuple[Any, ...], Any], int]
    eager_waits: bool = False  # the usual spelling asks the device how many there are, and cannot be captured


class ParityError(AssertionError):
    """A kernel that computes something else is not timed."""


def measure(sizes: Sequence[int] = SIZES, *, compiled: bool = True) -> Iterator[Row]:
    """Rows as they are measured. Raises ParityError where an operation is wrong, before it is timed."""
    ceiling = read_ceiling()
    for op in OPS:
        for frames in sizes:
            yield _row(op, frames, ceiling, compiled)


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


def _row(op: Op, frames: int, ceiling: float, compiled: bool) -> Row:
    one = op.make(frames)
    _hold(op, one)
    size = sum(x.numel() * x.element_size() for x in one if isinstance(x, Tensor))
    sets = [one, *(op.make(frames) for _ in range(min(16, CACHE_BYTES // size)))]
    contenders: dict[str, Callable[..., Any]] = {"tvu": op.ours, "eager": op.eager}
    if compiled:
        torch._dynamo.reset()
        contenders["torch.compile"] = torch.compile(op.eager, mode="max-autotune-no-cudagraphs")
    times = {}
    for name, function in contenders.items():
        works: list[Callable[[], Any]] = [partial(function, *inputs) for inputs in sets]
        if name == "tvu" or not op.eager_waits:
            works = [_captured(work) for work in works]
        times[name] = _median_seconds(works) * 1e3
    moved = op.bytes_moved(one, op.ours(*one))
    best = min(time for name, time in times.items() if name != "tvu")
    share = moved / (times["tvu"] * 1e-3) / ceiling
    return Row(op.name, tuple(one[0].shape), str(one[0].dtype), times, moved, share, best / times["tvu"])


def _hold(op: Op, inputs: tuple[Any, ...]) -> None:
    wide = [x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    ours, exact = _tensors(op.ours(*inputs)), _tensors(op.exact(*wide))
    for got, right in zip(ours, exact, strict=True):
        error = (got.double() - right.double()).norm() / right.double().norm()
        if not error <= 1e-2:  # bfloat16 outputs; a wrong formula is far beyond, and NaN never passes
            raise ParityError(f"{op.name} differs from its twin by {error:.2e} at {tuple(inputs[0].shape)}")


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)


def _captured(work: Callable[[], Any]) -> Callable[[], Any]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


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


def _video(frames: int) -> Tensor:
    return torch.randn(1, frames, GRID, GRID, CHANNELS, device="cuda", dtype=torch.bfloat16)


def _grouped(x: Tensor) -> Tensor:
    return x.reshape(1, x.shape[1] // 4, 4, 9, 3, 9, 3, CHANNELS).mean((2, 4, 6))


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
    similarity = functional.cosine_similarity(tokens[:, 1:], tokens[:, :-1], dim=-1)
    scores = torch.cat([torch.full_like(similarity[:, :1], -1.0), similarity], dim=1).flatten(1)
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


OPS = (
    Op(
        "pool_tokens",
        lambda frames: (_video(frames),),
        lambda x: pool_tokens(x, frames=4, cells=3),
        _grouped,
        lambda x: pool_tokens_plain(x, frames=4, cells=3),
        lambda inputs, out: _bytes(*inputs, out),
    ),
    Op(
        "add_norm_pool",
        lambda frames: (*(_video(frames) for _ in range(3)), torch.randn(CHANNELS, device="cuda").bfloat16()),
        lambda x, f, b, w: add_norm_pool(x, f, b, w, frames=4, cells=3),
        _eager_add_norm_pool,
        lambda x, f, b, w: add_norm_pool_plain(x, f, b, w, frames=4, cells=3),
        lambda inputs, out: _bytes(*inputs, out),
    ),
    Op(
        "frame_similarity + select_tokens",
        lambda frames: (_video(frames),),
        _differing,
        _eager_differing,
        _exact_differing,
        lambda inputs, out: _bytes(*inputs) + 2 * _bytes(out[0]) + _bytes(out[1]),
        eager_waits=True,
    ),
    Op(
        "shuffle_norm",
        lambda frames: (_video(frames)[0], *torch.randn(2, 4 * CHANNELS, device="cuda").bfloat16()),
        shuffle_norm,
        _eager_shuffle,
        shuffle_norm_plain,
        lambda inputs, out: _bytes(*inputs, out),
    ),
    Op(
        "slowfast_tokens",
        lambda frames: (_video(frames),),
        lambda x: slowfast_tokens(x, _slow(x.shape[1])),
        _eager_slowfast,
        lambda x: slowfast_tokens_plain(x, _slow(x.shape[1])),
        lambda inputs, out: _bytes(*inputs, out),
    ),
)
