"""`align` as a model: texts of a benchmark, or questions, placed as `tvu align` places the lines of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

from tvu.temporal.types import Span
from tvu.video_llm.narration.align import AlignConfig, align_script
from tvu.video_llm.narration.senses import Evident, Senses
from tvu.video_llm.narration.types import Line, Order, Script
from tvu.video_llm.parse import in_words
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.types import EVIDENCE, Answer, Evidence, Grounding, VideoClip

NAME = "align"


@dataclass(frozen=True)
class Place:
    """Where one text is. seconds: the middle of its span; None where nothing tells. confidence: that it is shown."""

    seconds: float | None
    confidence: float


class AlignModel:
    """Places texts by all that a video tells; remembers what it saw of the last one.

    signals: what texts may be found by. min_score: texts less likely than this are told as not there by `find`.
    """

    name = NAME

    def __init__(
        self,
        signals: Sequence[Evidence] = EVIDENCE,
        *,
        min_score: float = 0.25,
        senses: Evident | None = None,
        use_cache: bool = True,
        report: Report = be_silent,
    ) -> None:
        self._signals = tuple(signals)
        self._min_score = min_score
        self._senses = senses or Senses(use_cache=use_cache, report=report)

    def place(self, clip: VideoClip, texts: Sequence[str], order: Order) -> list[Place]:
        """A place for each text, the likeliest one even of a text that is likely not shown: a benchmark asks for it.

        Raises VideoError, WeightsError or BackendError.
        """
        script = Script(tuple(Line(text) for text in texts), "txt")
        lines = align_script(clip, script, AlignConfig(self._signals, order), senses=self._senses).lines
        places = [Place(None if line.span is None else _middle(line.span), line.confidence) for line in lines]
        if all(place.seconds is not None for place in places):
            return places
        found, _ = self._senses.candidates(script, clip, self._signals)
        for at, place in enumerate(places):
            likely = [candidates[at][0] for candidates in found.values() if candidates[at]]
            if place.seconds is None and likely:
                best = max(likely, key=lambda candidate: candidate.score)
                places[at] = Place(_middle(best.span), place.confidence)
        return places

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """Each query as a line of a text in no order. Raises VideoError, WeightsError or BackendError."""
        script = Script(tuple(Line(query) for query in queries), "txt")
        config = AlignConfig(self._signals, "free", min_confidence=self._min_score)
        answers = []
        for query, line in zip(queries, align_script(clip, script, config, senses=self._senses).lines, strict=True):
            found: tuple[Grounding, ...] = ()
            if line.span is not None:
                found = (Grounding(line.span, line.confidence, (*line.evidence, "visual")[0]),)
            answers.append(Answer(query, in_words(found), found, self.name, prompt=query))
        return answers

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def answer(self, clip: VideoClip, question: str) -> Answer:
        """The one span of the question, in a sentence."""
        return self.find(clip, [question])[0]


def _middle(span: Span) -> float:
    return (span.start_seconds + span.end_seconds) / 2
