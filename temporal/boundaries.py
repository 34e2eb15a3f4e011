"""Where one event ends and the next begins, in a stream of vectors with their times.

A boundary stands at the start of a frame where what follows differs most from what came before:

    change(b) = 1 - cos(mean of the stream in [b - w, b), mean of the stream in [b, b + w))

is a local maximum, and high among the changes of the last minutes. The stream is a step function of true time, in which
a frame holds until the next one begins: windows are seconds, not frames, and a variable frame rate is no special case.
Every decision is made a frame at a time and never revised, so that no cut of the stream into pieces can matter.
"""

import bisect
import math
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from tvu.temporal.types import Span


@dataclass(frozen=True)
class BoundaryConfig:
    """window_seconds: w, on each side of a boundary; shorter only at the ends of the stream.
    min_seconds:    shortest event, and how far around a boundary there is no greater change.
    quantile:       of the changes of the last `memory_seconds`, this one included, that a boundary reaches (the nearest
                    rank, exact). At one vector per second 0.9 means events of ten seconds or more on average.
    min_change:     least change of a boundary, so that a stream that hardly changes has none.
    memory_seconds: how far back the quantile looks: what bounds the memory.
    """

    window_seconds: float = 3.0
    min_seconds: float = 2.0
    quantile: float = 0.9
    min_change: float = 0.05
    memory_seconds: float = 300.0

    def __post_init__(self) -> None:
        if not min(self.window_seconds, self.min_seconds, self.memory_seconds) > 0:
            raise ValueError(f"windows, events and memory last some seconds: {self}")
        if not 0 < self.quantile <= 1 or self.min_change < 0:
            raise ValueError(f"a quantile is in (0, 1] and a change at least 0: {self}")


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch between two boundaries: its span, the mean of the stream in it `[C]` float64, and its frames."""

    span: Span
    mean: Tensor
    frames: range


@dataclass(eq=False)
class _Frame:
    index: int
    start: float
    vector: Tensor
    integral: Tensor  # of the stream up to the start of this frame
    change: float | None = None  # None until measured, and where an event would be too short


class BoundaryDetector:
    """Cuts a stream into segments as it arrives, `min_seconds + max(window_seconds, min_seconds)` behind it."""

    def __init__(self, config: BoundaryConfig) -> None:
        self.config = config
        self._frames: list[_Frame] = []  # those that a decision may still need
        self._count = self._measured = self.decided = 0  # frames seen, measured, given to a segment
        self._first: _Frame | None = None
        self._open: _Frame | None = None
        self._end = -math.inf
        self._recent: deque[tuple[float, float]] = deque()  # time and change
        self._ranked: list[float] = []  # the same changes in order

    @property
    def open_since(self) -> float | None:
        """Start of the segment that is still open, seconds; None before the first frame."""
        return self._open.start if self._open else None

    def push(self, vector: Tensor, span: Span) -> list[Segment]:
        """The next frame, `[C]` float64, finite; returns the segments that it closes.

        Raises ValueError unless it starts after the frame before.
        """
        start = span.start_seconds
        last = self._frames[-1] if self._frames else None
        if last is not None and start <= last.start:
            raise ValueError(f"a frame at {start} s cannot follow one at {last.start} s")
        integral = last.integral + last.vector * (start - last.start) if last else torch.zeros_like(vector)
        frame = _Frame(self._count, start, vector, integral)
        self._frames.append(frame)
        self._count += 1
        self._end = span.end_seconds
        if self._open is None:
            self._first = self._open = frame
        segments = self._advance(start, math.inf)
        self._forget()
        return segments

    def close(self) -> list[Segment]:
        """The segments that remain when the stream ends, where the span of its last frame does."""
        if self._open is None:
            return []
        segments = self._advance(math.inf, self._end)
        return [*segments, self._segment(self._end, self._count)]

    def _advance(self, now: float, end: float) -> list[Segment]:
        """Measure and decide all that can be, at `now` in a stream known to end at `end` (inf: not known)."""
        reach = max(self.config.window_seconds, self.config.min_seconds)
        while self._measured < self._count and self._at(self._measured).start + reach <= now:
            frame = self._at(self._measured)
            frame.change = self._change(frame.start, end)
            self._measured += 1
        segments = []
        while self.decided < self._measured:
            frame = self._at(self.decided)
            if frame.start + self.config.min_seconds + reach > now:
                break
            if self._is_boundary(frame):
                segments.append(self._segment(frame.start, frame.index))
                self._open = frame
            self.decided += 1
        return segments

    def _change(self, at: float, end: float) -> float | None:
        assert self._first is not None
        if min(at - self._first.start, end - at) < self.config.min_seconds:
            return None
        window = self.config.window_seconds
        here = self._integral(at)
        before = here - self._integral(max(at - window, self._first.start))
        return 1.0 - cosine(before, self._integral(min(at + window, end)) - here)

    def _is_boundary(self, frame: _Frame) -> bool:
        change = frame.change
        if change is None:
            return False
        self._recent.append((frame.start, change))
        bisect.insort(self._ranked, change)
        while self._recent[0][0] <= frame.start - self.config.memory_seconds:
            self._ranked.pop(bisect.bisect_left(self._ranked, self._recent.popleft()[1]))
        threshold = self._ranked[math.ceil(self.config.quantile * len(self._ranked)) - 1]
        return change >= max(threshold, self.config.min_change) and not any(
            other.change is not None
            and abs(other.start - frame.start) < self.config.min_seconds
            and (other.change > change or (other.change == change and other.index < frame.index))  # the first of equals
            for other in self._frames
        )

    def _segment(self, end: float, stop: int) -> Segment:
        assert self._open is not None
        seconds = end - self._open.start
        mean = (self._integral(end) - self._open.integral) / seconds
        return Segment(Span(self._open.start, end), mean, range(self._open.index, stop))

    def _integral(self, at: float) -> Tensor:
        frame = self._frames[bisect.bisect_right(self._frames, at, key=lambda frame: frame.start) - 1]
        return frame.integral + frame.vector * (at - frame.start)

    def _at(self, index: int) -> _Frame:
        return self._frames[index - self._frames[0].index]

    def _forget(self) -> None:
        """Drop the frames that no window of an undecided boundary reaches."""
        oldest = self._at(min(self.decided, self._count - 1)).start
        needed = oldest - max(self.config.window_seconds, self.config.min_seconds)
        holding = bisect.bisect_right(self._frames, needed, key=lambda frame: frame.start) - 1
        del self._frames[: max(0, holding)]


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two vectors `[C]`; 1 for two zeros, 0 for one."""
    lengths = float(a.norm() * b.norm())
    if lengths == 0:
        return float(a.norm() == b.norm())
    return float(a @ b) / lengths
