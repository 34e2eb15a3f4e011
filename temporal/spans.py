"""Arithmetic of half-open spans."""

from collections.abc import Iterable, Sequence

from tvu.temporal.types import Span


def overlap_seconds(a: Span, b: Span) -> float:
    """Seconds that both spans cover; 0 for neighbours that only touch."""
    return max(0.0, min(a.end_seconds, b.end_seconds) - max(a.start_seconds, b.start_seconds))


def iou(a: Span, b: Span) -> float:
    """Intersection over union in [0, 1]; the union of two separate spans does not count the gap between them."""
    both = overlap_seconds(a, b)
    return both / (a.seconds + b.seconds - both)


def clamp(span: Span, limits: Span) -> Span | None:
    """The part of `span` inside `limits`, or None where they do not overlap."""
    start = max(span.start_seconds, limits.start_seconds)
    end = min(span.end_seconds, limits.end_seconds)
    return Span(start, end) if end > start else None


def merge(spans: Iterable[Span], max_gap_seconds: float = 0.0) -> list[Span]:
    """Sorted union of `spans`; neighbours at most `max_gap_seconds` apart become one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_seconds <= merged[-1].end_seconds + max_gap_seconds:
            last = merged.pop()
            span = Span(last.start_seconds, max(last.end_seconds, span.end_seconds))
        merged.append(span)
    return merged


def non_maximum_suppression(spans: Sequence[Span], scores: Sequence[float], max_iou: float = 0.5) -> list[int]:
    """Indices of the spans to keep, best score first: a span goes when a better one overlaps it by more than `max_iou`.

    Ties keep the order given. Raises ValueError if the two sequences differ in length.
    """
    if len(spans) != len(scores):
        raise ValueError(f"{len(spans)} spans but {len(scores)} scores")
    kept: list[int] = []
    for i in sorted(range(len(spans)), key=lambda i: -scores[i]):
        if all(iou(spans[i], spans[k]) <= max_iou for k in kept):
            kept.append(i)
    return kept
