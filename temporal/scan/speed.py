"""The scan against its specification, in one run."""

import torch

from tvu.temporal.scan.ssd import ssd_bidirectional, ssd_scan, ssd_sequential
from tvu.temporal.speed import Timing, median_seconds


@torch.no_grad()
def measure(length: int = 65_536, *, heads: int = 4, width: int = 64, states: int = 64) -> list[Timing]:
    """Sequential SSD, and ours in chunks: forward, backward, both ways, on the CPU in float32.

    length: tokens of the one sequence; 65,536 are 256 frames of 256. The heads are as wide as those of Mamba-2.
    ratio: against the sequential recurrence, and for both ways against two of them.

    Both are checked to agree on the first tokens before; raises AssertionError if they do not.
    """
    made = torch.Generator().manual_seed(0)
    x = torch.randn(1, length, heads, width, generator=made)
    dt = torch.rand(1, length, heads, generator=made) * 0.1 + 0.001
    A = -torch.rand(heads, generator=made) * 15 - 1
    B, C = (torch.randn(1, length, 1, states, generator=made) for _ in range(2))
    size = f"L={length} H={heads} P={width} N={states} float32, {torch.get_num_threads()} threads"

    first = (x[:, :1000], dt[:, :1000], A, B[:, :1000], C[:, :1000])
    torch.testing.assert_close(ssd_scan(*first)[0], ssd_sequential(*first)[0], rtol=1e-4, atol=1e-4)  # sums of 1000

    sequential = median_seconds(lambda: ssd_sequential(x, dt, A, B, C), repeats=1, warmups=0)
    timings = [Timing("ssd_sequential", size, sequential)]
    for what, scans, work in (
        ("ssd_scan", 1, lambda: ssd_scan(x, dt, A, B, C)),
        ("ssd_scan reverse", 1, lambda: ssd_scan(x, dt, A, B, C, reverse=True)),
        ("ssd_bidirectional", 2, lambda: ssd_bidirectional(x, dt, A, B, C)),
    ):
        seconds = median_seconds(work)
        timings.append(Timing(what, size, seconds, scans * sequential / seconds))
    return timings
