"""The layers of a generating decoder against the time to read their weights, at the shapes of Qwen2-7B, on one GPU.

The works of an operation run one after another in one captured graph and take turns on weights and caches that together
are larger than the GPU's own cache, as they do when a model generates.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tvu.kernels.bench import CACHE_BYTES, read_ceiling
from tvu.kernels.cache_attention import cached_attention, rotate_and_append
from tvu.kernels.norm_linear import linear_add, norm_gated_linear, norm_linear

LAYERS, HIDDEN, HEADS, GROUPS, WIDTH, INNER, VOCABULARY = 28, 3584, 28, 4, 128, 18_944, 152_064
EPS = 1e-6


@dataclass(frozen=True)
class Row:
    """One operation for one new token: median time, the bytes that it cannot avoid, their share of the read ceiling."""

    op: str
    microseconds: float
    bytes_moved: int
    gigabytes_per_second: float
    of_ceiling: float


class Layer:
    """Random weights of one layer in bfloat16, and its cache."""

    def __init__(self, rows: int, capacity: int) -> None:
        channels = (HEADS + 2 * GROUPS) * WIDTH
        self.norm = _random(HIDDEN) + 1
        self.qkv, self.bias = _random(channels, HIDDEN) / HIDDEN**0.5, _random(channels)
        self.out = _random(HIDDEN, HEADS * WIDTH) / HIDDEN**0.5
        self.up, self.down = _random(2 * INNER, HIDDEN) / HIDDEN**0.5, _random(HIDDEN, INNER) / INNER**0.5
        self.keys, self.values = _random(rows, GROUPS, capacity, WIDTH), _random(rows, GROUPS, capacity, WIDTH)

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, lengths: Tensor) -> Tensor:
        """x `[R, Q, C]` to `[R, Q, C]`: seven launches."""
        qkv = norm_linear(x, self.norm, EPS, self.qkv, self.bias)
        q = rotate_and_append(qkv, cos, sin, lengths, self.keys, self.values)
        seen = cached_attention(q, self.keys, self.values, lengths, WIDTH**-0.5)
        x = linear_add(seen.flatten(2), self.out, x)
        return linear_add(norm_gated_linear(x, self.norm, EPS, self.up), self.down, x)


@torch.no_grad()
def measure(new: int = 1, context: int = 8192, capacity: int = 8448, *, sets: int = 4) -> list[Row]:
    """Rows for one row of `new` tokens behind `context` others: each operation alone, and a whole step of the model.

    sets: layers with weights of their own, 0.5 GB each, which take turns as the 28 of the model.
    """
    ceiling = read_ceiling()
    layers = [Layer(1, capacity) for _ in range(sets)]
    head = _random(VOCABULARY, HIDDEN) / HIDDEN**0.5
    x, wide, qkv = (_random(1, new, channels) for channels in (HIDDEN, INNER, len(layers[0].qkv)))
    q = _random(1, new, HEADS, WIDTH)
    cos, sin = _random(2, capacity, WIDTH).float()
    lengths = torch.tensor([context], device="cuda")
    seen = 2 * GROUPS * WIDTH * 2 * (context + new)

    def step() -> Tensor:
        y = x
        for turn in range(LAYERS):
            y = layers[turn % sets](y, cos, sin, lengths)
        return norm_linear(y, layers[0].norm, EPS, head)

    def each(work: Callable[[Layer], object]) -> list[Callable[[], object]]:
        return [partial(work, layer) for layer in layers]

    weights = LAYERS * sum(_bytes(w) for w in (layers[0].qkv, layers[0].out, layers[0].up, layers[0].down))
    works: list[tuple[str, int, list[Callable[[], object]]]] = [
        ("norm_linear, qkv", _bytes(layers[0].qkv), each(lambda a: norm_linear(x, a.norm, EPS, a.qkv, a.bias))),
        ("rotate_and_append", _bytes(qkv), each(lambda a: rotate_and_append(qkv, cos, sin, lengths, a.keys, a.values))),
        ("cached_attention", seen, each(lambda a: cached_attention(q, a.keys, a.values, lengths, WIDTH**-0.5))),
        ("linear_add, out", _bytes(layers[0].out), each(lambda a: linear_add(x, a.out, x))),
        ("norm_gated_linear", _bytes(layers[0].up), each(lambda a: norm_gated_linear(x, a.norm, EPS, a.up))),
        ("linear_add, down", _bytes(layers[0].down), each(lambda a: linear_add(wide, a.down, x))),
        ("norm_linear, head", _bytes(head), [lambda: norm_linear(x, layers[0].norm, EPS, head)]),
        ("a step of 28 layers and the head", weights + _bytes(head) + LAYERS * seen, [step]),
    ]
    rows = []
    for name, moved, calls in works:
        seconds = seconds_each(calls, moved)
        rows.append(Row(name, seconds * 1e6, moved, moved / seconds * 1e-9, moved / seconds / ceiling))
    return rows


def seconds_each(calls: Sequence[Callable[[], object]], moved: int, rounds: int = 15) -> float:
    """The median time of a call in a graph of them all, repeated where they are short; `moved` bytes a call."""
    repeats = max(1, min(25, 4 * CACHE_BYTES // (moved * len(calls))))
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            for call in calls:
                call()
    times = []
    for _ in range(rounds + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times[2:]) / (repeats * len(calls))


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()
