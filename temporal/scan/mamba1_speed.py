"""The chunked selective scan against the sequential equation, on a CPU."""

from collections.abc import Callable

import torch
from torch import Tensor

from tvu.temporal.scan.selective_scan import selective_scan, selective_scan_sequential
from tvu.temporal.speed import Timing, median_seconds


def measure(length: int = 4096, channels: int = 512, states: int = 16, repeats: int = 3) -> list[Timing]:
    """Times without gradients of one sequence of `length` positions, float32; the ratio is to the equation.

    Both are checked to agree first; raises AssertionError if they do not.
    """
    random = torch.Generator().manual_seed(0)
    u, delta, B, C = (
        torch.randn(1, length, width, generator=random).transpose(1, 2)
        for width in (channels, channels, states, states)
    )
    A = -torch.arange(1.0, states + 1).expand(channels, -1)
    size = f"[1, {channels}, {length}] float32, {states} states"

    def scan(how: Callable[..., tuple[Tensor, Tensor]]) -> Tensor:
        return how(u, delta, A, B, C, delta_softplus=True)[0]

    with torch.inference_mode():
        torch.testing.assert_close(scan(selective_scan), scan(selective_scan_sequential), rtol=1e-4, atol=1e-4)
        sequential = median_seconds(lambda: scan(selective_scan_sequential), repeats=repeats, warmups=0)
        chunked = median_seconds(lambda: scan(selective_scan), repeats=repeats)
    return [
        Timing("selective scan, the equation", size, sequential),
        Timing("selective scan, in chunks", size, chunked, sequential / chunked),
    ]
