"""The quality gate: subtitles that fit the video already are left as they are, to the byte.

Aligning is an estimate, and a file that a person timed is better than one. So new times are taken only where they
differ from the file's by more than an estimate is off, and agree better with what is heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.narration.activity import FRAME_SECONDS, Activity
from tvu.video_llm.narration.types import AlignedLine, Candidates, Script


@dataclass(frozen=True)
class GateConfig:
    """What counts as good.

    near_seconds: a line that would move by no more is where it belongs. near_share: of lines that must be, to keep all.
    word_seconds: how far from its words a line may begin: subtitles come early and leave late.
    least_gain: by how much the agreement with the sound must rise, in [0, 1].
    least_agreement: what it must come to: below it the sound proves nothing.
    least_words: lines whose words were heard for sure, below which they prove nothing.
    """

    near_seconds: float = 0.2
    near_share: float = 0.95
    word_seconds: float = 0.6
    least_gain: float = 0.01
    least_agreement: float = 0.1
    least_words: int = 8

    def __post_init__(self) -> None:
        if not (self.near_seconds > 0 and self.word_seconds > 0 and 0 < self.near_share <= 1):
            raise ValueError("seconds of a gate are above 0, and its share is in (0, 1]")


@dataclass(frozen=True)
class Verdict:
    """kept: the file's own times stay. reason: one sentence, for the user."""

    kept: bool
    reason: str


SURE = 0.7  # score of a line whose words were heard


def judge(
    script: Script,
    proposed: Sequence[AlignedLine],
    activity: Activity | None = None,
    heard: Candidates | None = None,
    config: GateConfig | None = None,
) -> Verdict:
    """Whether the times of a script stay, of lines that were retimed as `proposed`, one for each.

    activity: where anybody speaks; heard: where each line is said. What is None has no say.
    """
    config = config or GateConfig()
    pairs = [(line.span, new.span) for line, new in zip(script.lines, proposed, strict=True) if line.span is not None]
    if not pairs:
        return Verdict(False, "the text has no times")
    near = sum(
        new is not None and abs(new.start_seconds - old.start_seconds) <= config.near_seconds for old, new in pairs
    )
    if near >= config.near_share * len(pairs):
        return Verdict(True, "the times of the text agree with the video already")
    if heard is not None:
        before, after, count = _said_there(script, proposed, heard, config.word_seconds)
        if count >= config.least_words:
            if before >= config.near_share and after - before < config.least_gain:
                told = f"{before:.0%} of {count} lines are where their words are heard already"
                return Verdict(True, told)
            if after < before:
                return Verdict(True, "other times would agree less with the words that are heard")
            return Verdict(
                False, f"lines where their words are heard: {before:.0%} before, {after:.0%} now, of {count}"
            )
    if activity is not None:
        old = agreement([span for span, _ in pairs], activity)
        new = agreement([span for _, span in pairs if span is not None], activity)
        if new < max(old + config.least_gain, config.least_agreement):
            return Verdict(True, "other times would agree no better with where somebody speaks")
        return Verdict(False, f"agreement with where somebody speaks: {old:.2f} before, {new:.2f} now")
    return Verdict(False, "the times of the text do not agree with the video")


def agreement(spans: Sequence[Span], activity: Activity) -> float:
    """Correlation of when lines are shown and when somebody speaks, in [-1, 1]; 0 where either never or always is."""
    speech = activity.speech.astype(np.float64)
    shown = _mask(spans, activity)
    if not len(speech) or shown.std() == 0 or speech.std() == 0:
        return 0.0
    return float(np.corrcoef(shown, speech)[0, 1])


def _mask(spans: Sequence[Span], activity: Activity) -> NDArray[np.float64]:
    steps = np.zeros(len(activity.speech) + 1)
    for span in spans:
        first, last = (
            int(np.clip(round((seconds - activity.start_seconds) / FRAME_SECONDS), 0, len(activity.speech)))
            for seconds in (span.start_seconds, span.end_seconds)
        )
        steps[first] += 1
        steps[last] -= 1
    return (np.cumsum(steps)[:-1] > 0).astype(np.float64)


def _said_there(
    script: Script, proposed: Sequence[AlignedLine], heard: Candidates, seconds: float
) -> tuple[float, float, int]:
    """Shares of the lines, whose words were heard at one place for sure, that begin there: before, and as proposed.

    A line that is proposed nowhere, though its words are heard, does not begin there.
    """
    before = after = count = 0
    for line, new, places in zip(script.lines, proposed, heard, strict=True):
        sure = [place for place in places if place.score >= SURE]
        if line.span is None or len(sure) != 1:  # said twice, it proves no place
            continue
        count += 1
        said = sure[0].span.start_seconds
        before += abs(line.span.start_seconds - said) <= seconds
        after += new.span is not None and abs(new.span.start_seconds - said) <= seconds
    return before / max(1, count), after / max(1, count), count
