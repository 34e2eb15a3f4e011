"""Channels into one list of answers."""

import math
from collections.abc import Iterable

from tvu.temporal.spans import iou, non_maximum_suppression
from tvu.video_llm.types import Grounding

SAME_EVENT_IOU = 0.5


def fuse(groundings: Iterable[Grounding]) -> list[Grounding]:
    """All occurrences, best first, from the groundings of all channels.

    Spans of different channels that overlap by at least `SAME_EVENT_IOU` are evidence for one event. Each channel's
    score is a probability of its own, so the event is there unless all of them err: 1 - prod(1 - p), as if they erred
    independently. The span and the evidence are those of the most certain channel; the phrase tells what each found.
    """
    found = sorted(groundings, key=lambda g: (-g.score, g.span))
    kept = [
        found[i] for i in non_maximum_suppression([g.span for g in found], [g.score for g in found], SAME_EVENT_IOU)
    ]
    fused = []
    for best in kept:
        witnesses = {best.evidence: best}
        for other in found:
            if iou(best.span, other.span) >= SAME_EVENT_IOU:
                witnesses.setdefault(other.evidence, other)
        score = 1 - math.prod(1 - g.score for g in witnesses.values())
        phrase = "; ".join(g.phrase for g in witnesses.values() if g.phrase)
        fused.append(Grounding(best.span, score, best.evidence, phrase))
    return sorted(fused, key=lambda g: (-g.score, g.span))
