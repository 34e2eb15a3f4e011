"""A STORM-size encoder with its reduction on a CUDA device: by our kernels, and as an eager module of plain PyTorch."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tvu.kernels.dispatch import plain_twins
from tvu.temporal.encoders.storm import StormConfig, StormTemporalEncoder
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.types import VisualTokens

CHANNELS, GRID, LAYERS = 3584, 16, 2
CLOSE = 2e-2  # of the norm of the output: both are bfloat16, after two layers
POOLING = PoolTokens(frames=4, cells=2)


@dataclass(frozen=True)
class Row:
    """One pass over `frames` frames of 16 x 16 tokens of 3584 channels, in bfloat16.

    seconds and peak_bytes: of ours, with the pooling before the last projection; and of the eager module, which pools
    what its last layer gives. peak_bytes counts everything on the device, weights too. None where memory ran out.
    """

    what: str
    frames: int
    seconds: float
    peak_bytes: int
    eager_seconds: float | None
    eager_peak_bytes: int | None


def measure(frames: Sequence[int] = (8, 32, 64, 256)) -> Iterator[Row]:
    """Forward, then forward and backward, of a bidirectional Mamba-2 encoder of two layers.

    Raises AssertionError if ours and the eager module differ.
    """
    torch.manual_seed(0)
    config = StormConfig(CHANNELS, layers=LAYERS, mixer="mamba2")
    encoder = StormTemporalEncoder(config).to("cuda", torch.bfloat16)
    for count in frames:
        tokens = _tokens(count)
        with torch.inference_mode():
            ours = _forward(encoder, tokens, eager=False)
            with plain_twins():
                theirs = _forward(encoder, tokens, eager=True)
            error = float((ours - theirs).float().norm() / theirs.float().norm())
        if not error <= CLOSE:
            raise AssertionError(f"ours and the eager encoder differ by {error:.1e} at {count} frames")
        del ours, theirs
        for what, step in (("forward", _inference), ("forward and backward", _training)):
            seconds, peak = _timed(step, encoder, tokens, eager=False)
            assert seconds is not None and peak is not None
            yield Row(what, count, seconds, peak, *_timed(step, encoder, tokens, eager=True))


def _tokens(frames: int) -> VisualTokens:
    features = torch.randn(1, frames, GRID * GRID, CHANNELS, device="cuda").bfloat16()
    starts = torch.arange(frames, dtype=torch.float64, device="cuda")[None, :, None]
    sources = torch.rand(1, frames, GRID * GRID, 3, device="cuda")
    lengths = torch.tensor([frames], device="cuda")
    return VisualTokens(features, torch.cat([starts, starts + 1], dim=-1), (GRID, GRID), sources, lengths)


def _forward(encoder: StormTemporalEncoder, tokens: VisualTokens, *, eager: bool) -> Tensor:
    if not eager:
        return encoder.encode_and_pool(tokens, POOLING).features
    encoded = encoder(tokens.features, tokens.lengths)
    return POOLING(VisualTokens(encoded, tokens.spans, tokens.grid, tokens.sources, tokens.lengths)).features


@torch.inference_mode()
def _inference(encoder: StormTemporalEncoder, tokens: VisualTokens, eager: bool) -> None:
    _forward(encoder, tokens, eager=eager)


def _training(encoder: StormTemporalEncoder, tokens: VisualTokens, eager: bool) -> None:
    for parameter in encoder.parameters():
        parameter.grad = None
    _forward(encoder, tokens, eager=eager).square().mean().backward()


def _timed(
    step: Callable[..., None], encoder: StormTemporalEncoder, tokens: VisualTokens, *, eager: bool, rounds: int = 5
) -> tuple[float, int] | tuple[None, None]:
    """Median seconds and peak bytes."""
    context: Any = plain_twins() if eager else nullcontext()
    torch.cuda.empty_cache()
    try:
        with context:
            step(encoder, tokens, eager)
            torch.cuda.reset_peak_memory_stats()
            times = []
            for _ in range(2 if eager else rounds):
                begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                begin.record()
                step(encoder, tokens, eager)
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end) * 1e-3)
    except torch.OutOfMemoryError:
        return None, None
    return statistics.median(times), torch.cuda.max_memory_allocated()
