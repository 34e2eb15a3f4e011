"""`scout+lite`: moments of both, scored by how far each of them supports them; words are those of `lite`.

`scout` knows what a picture looks like and nothing of what happens in it, `lite` sees what moves and what people do: so
`lite` leads where a question tells of something that is done, and both count the same where it names things and places.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.spans import non_maximum_suppression
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.captions import Captioned, OnCaption
from tvu.video_llm.lite.answer import NO_WORDS, Lite, OnText
from tvu.video_llm.lite.content import tells_action
from tvu.video_llm.scout.model import Scout
from tvu.video_llm.types import Answer, Grounding, Timing, VideoClip

ABOUT_PICTURES = 0.5  # a question that is less about them than this is one for what is said or written


@dataclass(frozen=True)
class JoinConfig:
    """How two opinions of the pictures become one.

    actions: share of `lite` in a probability where a question tells of an action; others: where it does not.
             Both were chosen on real clips (weights/lite/README.md).
    max_iou: spans that overlap more are one event.
    least_support: spans of `lite` less likely than this lend none; what they could add would not be seen.
    """

    actions: float = 0.6
    others: float = 0.5
    max_iou: float = 0.5
    least_support: float = 0.02

    def __post_init__(self) -> None:
        for share in (self.actions, self.others):
            if not 0 <= share <= 1:
                raise ValueError(f"a share of a probability, not {share}")

    def lite_share(self, question: str) -> float:
        """How much `lite` counts in the answer to a question."""
        return self.actions if tells_action(question) else self.others


class ScoutAndLite:
    """The model behind `-m scout+lite`.

    scout: its channels are those of the answers. Where the visual one is not among them, moments are its alone.
    lite: tells its spans however unlikely, for weak ones support what `scout` sees. It sees nothing but pictures, and
    counts as far as a question is about them, as the visual channel of `scout` does.
    """

    def __init__(self, name: str, scout: Scout, lite: Lite, config: JoinConfig | None = None) -> None:
        self.name = name
        self.scout = scout
        self.lite = lite
        self.config = config or JoinConfig()

    # --- when ---

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """When each query happens, best first; both look at the clip once for all of them, one after the other.

        Raises VideoError, WeightsError or BackendError.
        """
        return self._found(clip, queries, self.lite.find(clip, queries) if self._sees(clip) else None)

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def highlights(self, clip: VideoClip, topic: str) -> Answer:
        """The moments that show `topic` best, best first, with the curves of both; each is asked in its own way."""
        (found,) = self._found(clip, [topic], [self.lite.highlights(clip, topic)] if self._sees(clip) else None)
        return found

    # --- in words ---

    def answer(self, clip: VideoClip, question: str, on_text: OnText | None = None) -> Answer:
        """What `lite` says to a question that wants words, where it does; spans of both for one that asks when."""
        is_for_eyes = self._sees(clip) and self.scout.router.channels(question).visual >= ABOUT_PICTURES
        if is_for_eyes and self.lite.speaks(question):
            return self._of_lite(self.lite.answer(clip, question, on_text))
        (found,) = self.find(clip, [question])
        lacks = is_for_eyes and self.lite.lacks_words(question)
        return replace(found, notes=(*found.notes, NO_WORDS)) if lacks else found

    def choose(self, clip: VideoClip, question: MultipleChoice) -> Answer:
        """The option that `lite` finds likeliest, as `(B)`."""
        return self._of_lite(self.lite.choose(clip, question))

    def caption(self, clip: VideoClip, on_caption: OnCaption | None = None) -> list[Captioned]:
        """What happens and when, as `lite` tells it."""
        return self.lite.caption(clip, on_caption)

    # --- steps ---

    def _sees(self, clip: VideoClip) -> bool:
        """Whether pictures are evidence. Weights that `scout` lacks are told here, before `lite` looks for long."""
        return "visual" in self.scout.channels_of(clip)

    def _found(self, clip: VideoClip, queries: Sequence[str], looked: Sequence[Answer] | None) -> list[Answer]:
        """looked: what `lite` found of each query; None where it was not asked."""
        if looked is None:
            return [replace(answer, model=self.name) for answer in self.scout.find(clip, queries)]
        return [self._joined(clip, query, seen) for query, seen in zip(queries, looked, strict=True)]

    def _joined(self, clip: VideoClip, query: str, looked: Answer) -> Answer:
        least, config, share = self.scout.least_score, self.config, self.config.lite_share(query)
        looked = _scaled(looked, self.scout.router.channels(query).visual)
        told = self.scout.answer(clip, query, lambda seen: join_visual(seen, looked.groundings, share, least, config))
        return replace(
            told,
            model=self.name,
            timing=_sum(told.timing, looked.timing),
            notes=tuple(dict.fromkeys((*told.notes, *looked.notes))),
            curves=(*told.curves, *looked.curves),
            prompt=looked.prompt,
            frame_seconds=tuple(sorted({*told.frame_seconds, *looked.frame_seconds})),
        )

    def _of_lite(self, answer: Answer) -> Answer:
        """An answer of `lite` alone, without the spans that it told as support only."""
        likely = tuple(each for each in answer.groundings if each.score >= self.scout.least_score)
        return replace(answer, model=self.name, groundings=likely)


def join_visual(
    scout: Sequence[Grounding],
    lite: Sequence[Grounding],
    lite_share: float = 0.5,
    least_score: float = 0.0,
    config: JoinConfig | None = None,
) -> list[Grounding]:
    """One visual channel out of two: every span of either, none of them twice, best first.

    The support that a model has for a span is the highest IoU * score among its groundings. A probability is the sum of
    both supports by their shares: where both tell the same span, the weighted mean of what they hold it for; what one
    of them does not see keeps the share of the other. Spans with less than `least_score` are left out. A phrase is that
    of `scout`, who alone has words for what is seen.
    """
    config = config or JoinConfig()
    by_scout, by_lite = Support(scout), Support(lite)
    joined: list[Grounding] = []
    for one in (*scout, *lite):
        score = (1 - lite_share) * by_scout.of(one.span) + lite_share * by_lite.of(one.span)
        if score >= least_score:
            phrase = one.phrase or by_scout.phrase_of(one.span, config.max_iou)
            joined.append(replace(one, score=min(1.0, score), phrase=phrase))
    kept = non_maximum_suppression([each.span for each in joined], [each.score for each in joined], config.max_iou)
    return [joined[i] for i in kept]


class Support:
    """What the groundings of one model say of any span; in arrays, for an hour of video has a thousand of them."""

    def __init__(self, groundings: Sequence[Grounding]) -> None:
        self._starts = np.array([each.span.start_seconds for each in groundings])
        self._ends = np.array([each.span.end_seconds for each in groundings])
        self._scores = np.array([each.score for each in groundings])
        self._phrases = [each.phrase for each in groundings]

    def of(self, span: Span) -> float:
        """The highest IoU * score; 0 where there are no groundings."""
        return float(np.max(self._ious(span) * self._scores, initial=0.0))

    def phrase_of(self, span: Span, least_iou: float) -> str:
        """The phrase of the grounding that overlaps `span` most; empty where none overlaps it by more than
        `least_iou`."""
        ious = self._ious(span)
        return self._phrases[int(np.argmax(ious))] if np.max(ious, initial=0.0) > least_iou else ""

    def _ious(self, span: Span) -> NDArray[np.float64]:
        both = np.minimum(self._ends, span.end_seconds) - np.maximum(self._starts, span.start_seconds)
        both = np.maximum(both, 0.0)
        ious: NDArray[np.float64] = both / (self._ends - self._starts + span.seconds - both)
        return ious


def _scaled(answer: Answer, pictures: float) -> Answer:
    """Spans and curves of a question that is about pictures as far as `pictures`, in [0, 1]: what is said, or written
    on the screen, cannot be seen to happen."""
    groundings = tuple(replace(each, score=pictures * each.score) for each in answer.groundings)
    curves = tuple(replace(each, scores=np.float32(pictures) * each.scores) for each in answer.curves)
    return replace(answer, groundings=groundings, curves=curves)


def _sum(one: Timing, other: Timing) -> Timing:
    return Timing(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))
