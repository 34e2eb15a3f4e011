"""A long video in overlapping windows: where they lie, which are worth a look, and how what they find becomes one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tvu.temporal.spans import non_maximum_suppression, overlap_seconds
from tvu.temporal.types import Span


@dataclass(frozen=True)
class WindowConfig:
    """How a video is looked at that is too long for one look.

    seconds:        the longest stretch that is seen at once. A longer video is seen in windows of that length.
    overlap:        part of a window that it shares with the next one, so that no event is cut by every border.
    looks:          at most so many windows are looked at closely for each question; where there are more, a search over
                    the whole video says which. None: all of them, one after the other.
    budget_seconds: no window is begun later than this after the first; the most promising come first. None: no limit.
    scan_seconds:   the search looks at one frame in so many seconds.
    """

    seconds: float = 128.0
    overlap: float = 0.25
    looks: int | None = 8
    budget_seconds: float | None = None
    scan_seconds: float = 8.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.scan_seconds > 0 and 0 <= self.overlap < 1):
            raise ValueError(f"windows have seconds above 0 and share less than all of them, not {self}")
        if self.looks is not None and self.looks < 1:
            raise ValueError(f"looks count from 1, not {self.looks}")


@dataclass(frozen=True)
class Found:
    """A span that was found in a window, file seconds; score in [0, 1]."""

    span: Span
    score: float
    window: Span


def windows_of(span: Span, seconds: float, overlap: float, slot_seconds: float) -> list[Span]:
    """Windows of `seconds` that cover `span`, each sharing `overlap` of itself with the next; the last may be shorter.

    slot_seconds: from one look at the video to the next. Windows start whole slots apart, so that those that overlap
    see the same frames. A video that fits into one window is one.
    """
    if span.seconds <= seconds:
        return [span]
    slots = max(1, math.floor(seconds / slot_seconds + 1e-6))
    hop = max(1, round(slots * (1 - overlap))) * slot_seconds
    count = 1 + math.ceil((span.seconds - seconds) / hop - 1e-9)
    starts = [span.start_seconds + number * hop for number in range(count)]
    return [Span(start, min(start + seconds, span.end_seconds)) for start in starts]


def ranked(windows: Sequence[Span], proposals: Sequence[tuple[Span, float]]) -> list[int]:
    """The windows in which something was proposed, as indices, the most promising first.

    A proposal counts by its score and by the part of it that lies in the window.
    """
    promise = [
        sum(score * overlap_seconds(window, span) / span.seconds for span, score in proposals) for window in windows
    ]
    return sorted((i for i, each in enumerate(promise) if each > 0), key=lambda i: -promise[i])


def merge_windows(found: Sequence[Found], tolerance_seconds: float, max_iou: float = 0.5) -> list[tuple[Span, float]]:
    """What all windows found, best first, as if the video had been seen at once.

    A span that ends with its window, or one that begins with its window, is one event with a span of the neighbouring
    window that it touches or overlaps: their union is told, with the mean of their scores by their length, unless one
    is less than half as likely as the other. Of others that overlap by more than `max_iou` the likelier stays.

    tolerance_seconds: how near a border is at it, and how near two spans touch: the resolution of the times.
    """
    whole: list[Found] = []
    for each in sorted(found, key=lambda f: (f.window, f.span)):
        before = next((b for b in reversed(whole) if _are_cut(b, each, tolerance_seconds)), None)
        if before is not None:
            whole.remove(before)
            each = _joined(before, each)
        whole.append(each)
    kept = non_maximum_suppression([each.span for each in whole], [each.score for each in whole], max_iou)
    return [(whole[i].span, whole[i].score) for i in kept]


def _are_cut(a: Found, b: Found, tolerance: float) -> bool:
    """Whether `a`, of the earlier window, and `b` are parts of one event that a border has cut."""
    if a.window.end_seconds >= b.window.end_seconds or min(a.score, b.score) < max(a.score, b.score) / 2:
        return False
    touch = (
        b.span.start_seconds <= a.span.end_seconds + tolerance
        and a.span.start_seconds <= b.span.end_seconds + tolerance
    )
    is_cut = a.span.end_seconds >= a.window.end_seconds - tolerance
    goes_on = b.span.start_seconds <= b.window.start_seconds + tolerance
    return touch and (is_cut or goes_on)


def _joined(a: Found, b: Found) -> Found:
    start, end = min(a.span.start_seconds, b.span.start_seconds), max(a.span.end_seconds, b.span.end_seconds)
    score = (a.score * a.span.seconds + b.score * b.span.seconds) / (a.span.seconds + b.span.seconds)
    return Found(Span(start, end), score, Span(a.window.start_seconds, b.window.end_seconds))
