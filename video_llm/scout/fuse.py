"""Channels into one list of answers."""

import math
from collections.abc import Iterable

from tvu.temporal.spans import iou
from tvu.video_llm.types import Grounding

SAME_EVENT_IOU = 0.5
WITNESS_SCORE = 0.25  # below it agreement is chance


def fuse(groundings: Iterable[Grounding], least_score: float = 0.0) -> list[Grounding]:
    """All occurrences with at least `least_score`, best first, from the groundings of all channels.

    The best grounding left takes with it all that overlap it by at least `SAME_EVENT_IOU`, until none is left. Of
    these, those of its own channel would only repeat it (non-maximum suppression), and the best of each other channel
    is a witness to the same event if it has `WITNESS_SCORE`. Each score is a probability, so the event is there unless
    all of them err: 1 - prod(1 - p), as if they erred independently. The span and the evidence are those of the best;
    the phrase tells what each of them found.
    """
    left = sorted((g for g in groundings if g.score >= least_score), key=lambda g: (-g.score, g.span))
    fused = []
    while left:
        best = left[0]
        same = [g for g in left if iou(g.span, best.span) >= SAME_EVENT_IOU]
        left = [g for g in left if iou(g.span, best.span) < SAME_EVENT_IOU]
        witnesses = {best.evidence: best}
        for grounding in same:
            if grounding.score >= WITNESS_SCORE:
                witnesses.setdefault(grounding.evidence, grounding)
        score = 1 - math.prod(1 - g.score for g in witnesses.values())
        phrase = "; ".join(g.phrase for g in witnesses.values() if g.phrase)
        fused.append(Grounding(best.span, score, best.evidence, phrase))
    return sorted(fused, key=lambda g: (-g.score, g.span))
