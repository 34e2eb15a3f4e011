"""Times of pieces of work, taken side by side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """The median time of one contender at one size.

    what:    the contender.
    size:    shape and dtype of its input, in words.
    seconds: median wall time of one call.
    ratio:   seconds of the contender that it is compared with, divided by its own: above 1 is faster. None: no peer.
    """

    what: str
    size: str
    seconds: float
    ratio: float | None = None


def median_seconds(work: Callable[[], object], *, repeats: int = 5, warmups: int = 1, device: str = "cpu") -> float:
    """Median wall time of `work()`, in seconds; on a CUDA device the queue is emptied before the clock is read."""
    times = []
    for turn in range(warmups + repeats):
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize(device)
        if turn >= warmups:
            times.append(time.perf_counter() - began)
    return statistics.median(times)
