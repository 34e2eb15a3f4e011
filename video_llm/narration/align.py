"""A text and a video in, the time of every line out.

A text with times is put back in step as a whole (`resync`), because its lines know their distances, and it is left
alone where it is in step already (`gate`). A text without times is looked for line by line: what is said, shown and
written in the video each tell where a line may be, and `fuse` finds the places that agree, in the order of the text
where the text is told in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from tvu.temporal.errors import TvuError
from tvu.video_llm.narration.gate import GateConfig, judge
from tvu.video_llm.narration.resync import ResyncConfig, resynchronise, retime
from tvu.video_llm.narration.senses import Evident, Senses
from tvu.video_llm.narration.types import AlignedLine, Alignment, Candidate, Candidates, Script
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.scout.speech import Transcript
from tvu.video_llm.types import EVIDENCE, Evidence, VideoClip

OrderChoice = Literal["monotone", "free", "auto"]
ORDERS: tuple[OrderChoice, ...] = get_args(OrderChoice)

LINES_JUDGED = 1000  # whose words tell whether new times are better: shares are known to 2 % by then
TRUSTED = 0.9  # confidence of times found by speech activity alone, above which no word need be recognised


@dataclass(frozen=True)
class AlignConfig:
    """How a text is aligned.

    signals: what lines may be found by, of those that the video has.
    order: whether lines come in the order of the text; `auto` sees whether they do.
    resync: a text with times is put back in step as a whole; if not, its times are not looked at.
    gate: None takes whatever times are found; else good ones stay.
    min_confidence: a line less likely than that is taken to be not in the video.
    """

    signals: tuple[Evidence, ...] = EVIDENCE
    order: OrderChoice = "auto"
    resync: bool = True
    gate: GateConfig | None = field(default_factory=GateConfig)
    resync_config: ResyncConfig = field(default_factory=ResyncConfig)
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not self.signals or not set(self.signals) <= set(EVIDENCE):
            raise ValueError(f"signals are some of {EVIDENCE}, not {self.signals}")
        if self.order not in ORDERS:
            raise ValueError(f"an order is one of {ORDERS}, not {self.order!r}")
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ValueError(f"a confidence is a probability, not {self.min_confidence}")


def align_script(
    clip: VideoClip,
    script: Script,
    config: AlignConfig | None = None,
    report: Report = be_silent,
    senses: Evident | None = None,
) -> Alignment:
    """The time of every line of the script in the clip, file seconds.

    senses: who listens and looks; the models that come with tvu where None. Raises VideoError, WeightsError or
    BackendError.
    """
    config = config or AlignConfig()
    senses = senses or Senses(report=report)
    notes = tuple(script.header.get("notes", ()))
    timed = sum(line.start_seconds is not None for line in script.lines)
    if config.resync and "speech" in config.signals and script.is_timed and 2 * timed >= len(script.lines):
        alignment = _put_in_step(clip, script, config, senses)
    else:
        alignment = _placed(clip, script, config, senses)
        if config.resync and timed:
            reason = "few lines have one" if "speech" in config.signals else "without speech they cannot be checked"
            notes += (f"the times of the text were not looked at: {reason}",)
    alignment = replace(alignment, notes=(*notes, *alignment.notes))
    return alignment if alignment.kept else _without_unlikely(alignment, config.min_confidence)


def transcribed(clip: VideoClip, report: Report = be_silent, senses: Evident | None = None) -> Alignment:
    """What is said in the clip as a script with its times; without lines where nobody speaks.

    Raises VideoError, WeightsError or BackendError.
    """
    from tvu.video_llm.narration.speech import script_of

    heard = (senses or Senses(report=report)).transcript(clip)
    script = script_of(heard)
    lines = tuple(
        AlignedLine(index, line.span, _certainty(heard, line.start_seconds, line.end_seconds), ("speech",))
        for index, line in enumerate(script.lines)
    )
    return Alignment(script, lines, str(clip.path), clip.duration_seconds, ("speech",))


def _certainty(heard: Transcript, start: float | None, end: float | None) -> float:
    """How sure the recogniser is of the words between two times."""
    if start is None or end is None:
        return 0.0
    sure = [word.probability for word in heard.words if start - 1e-6 <= word.start_seconds < end]
    return min(1.0, max(0.0, sum(sure) / len(sure))) if sure else 0.0


# --- a text with times ---


def _put_in_step(clip: VideoClip, script: Script, config: AlignConfig, senses: Evident) -> Alignment:
    activity = senses.activity(clip) if clip.has_audio else None
    if activity is None or not activity.share:
        reason = "nobody is heard to speak, so the times could not be checked"
        return replace(_kept(clip, script, _as_told(script), reason), signals=())
    words = Transcript(())
    notes: tuple[str, ...] = ()
    found = resynchronise(script, activity, None, config.resync_config)
    if found.confidence < TRUSTED:
        try:
            words = senses.transcript(clip)
        except TvuError as error:  # where somebody speaks may still be enough
            notes = (f"no words were recognised: {error.message}",)
        if words.words:
            found = resynchronise(script, activity, words, config.resync_config)
    lines = retime(script, found)
    if config.gate is not None:
        if not found.is_reliable:
            reason = "nothing was heard for sure that tells where else its lines belong"
            return _kept(clip, script, lines, reason, notes)
        heard = said_lines(script, words) if words.words else None
        verdict = judge(script, lines, activity, heard, config.gate)
        if verdict.kept:
            return _kept(clip, script, lines, verdict.reason, notes)
    untimed = sum(line.start_seconds is None for line in script.lines)
    notes += (f"{untimed} lines have no time in the text, and were given none",) if untimed else ()
    lines = tuple(line if _begins_in(clip, line) else replace(line, span=None, evidence=()) for line in lines)
    return Alignment(script, lines, str(clip.path), clip.duration_seconds, ("speech",), notes=notes)


def said_lines(script: Script, words: Transcript) -> Candidates:
    """Where lines are said, by their words alone, as the gate wants it: of `LINES_JUDGED` at most, evenly spread."""
    from tvu.video_llm.narration.speech import speech_candidates

    step = max(1, -(-len(script.lines) // LINES_JUDGED))
    found: list[tuple[Candidate, ...]] = [()] * len(script.lines)
    found[::step] = speech_candidates(replace(script, lines=script.lines[::step]), words)
    return tuple(found)


def _begins_in(clip: VideoClip, line: AlignedLine) -> bool:
    return line.span is not None and line.span.start_seconds < clip.duration_seconds


def _kept(
    clip: VideoClip, script: Script, lines: Sequence[AlignedLine], reason: str, notes: tuple[str, ...] = ()
) -> Alignment:
    """The times of the text, with the confidence that new ones would have had."""
    same = tuple(replace(new, span=line.span) for line, new in zip(script.lines, lines, strict=True))
    notes += (f"nothing was changed: {reason}",)
    return Alignment(script, same, str(clip.path), clip.duration_seconds, ("speech",), kept=True, notes=notes)


def _as_told(script: Script) -> tuple[AlignedLine, ...]:
    return tuple(AlignedLine(index, line.span, 0.0) for index, line in enumerate(script.lines))


# --- a text without ---


def _placed(clip: VideoClip, script: Script, config: AlignConfig, senses: Evident) -> Alignment:
    from tvu.video_llm.narration.fuse import decide_order, fuse

    per_signal, notes = senses.candidates(script, clip, config.signals)
    used = tuple(signal for signal in EVIDENCE if any(per_signal.get(signal, ())))
    order = config.order if config.order != "auto" else decide_order(script, per_signal, clip.duration_seconds)
    lines = fuse(script, per_signal, order, clip.duration_seconds)
    return Alignment(script, lines, str(clip.path), clip.duration_seconds, used, notes=notes)


def _without_unlikely(alignment: Alignment, least: float) -> Alignment:
    lines = tuple(
        replace(line, span=None, evidence=()) if line.span is not None and line.confidence < least else line
        for line in alignment.lines
    )
    return replace(alignment, lines=lines)
