"""A text and a video in, the time of every line out: which way each text goes, and what is left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.narration import align
from tvu.video_llm.narration.activity import Activity
from tvu.video_llm.narration.align import AlignConfig, align_script
from tvu.video_llm.narration.diff import diff
from tvu.video_llm.narration.files import script_of_bytes, told_as
from tvu.video_llm.narration.model import AlignModel
from tvu.video_llm.narration.types import Candidate, Candidates, Line, Script
from tvu.video_llm.scout.speech import Transcript, Word
from tvu.video_llm.types import Evidence, VideoClip
from tvu.weights.errors import WeightsError

CLIP = VideoClip(Path("film.mp4"), Span(0, 600), 600.0, 25.0, 15_000, 180, 320, has_audio=True)
DRAW = np.random.default_rng(7)
STARTS = np.cumsum(DRAW.uniform(2.5, 9.0, 60)).tolist()
LENGTHS = DRAW.uniform(1.0, 2.2, 60).tolist()


def film(shift: float = 0.0) -> Script:
    """Subtitles of a film of six minutes, all of them late by `shift`."""
    lines = [
        Line("x" * round(15 * length), start + shift, start + shift + length)
        for start, length in zip(STARTS, LENGTHS, strict=True)
    ]
    return Script(tuple(lines), "srt")


class Film:
    """A video whose speech is known, and where a text may be found as told."""

    def __init__(self, places: Mapping[Evidence, Candidates] | None = None, is_silent: bool = False) -> None:
        self.places, self.is_silent = places or {}, is_silent
        self.asked: list[Sequence[Evidence]] = []

    def activity(self, clip: VideoClip) -> Activity | None:
        spans = [(start, start + length) for start, length in zip(STARTS, LENGTHS, strict=True)]
        return Activity.of_spans([] if self.is_silent else spans, 600.0)

    def transcript(self, clip: VideoClip) -> Transcript:
        return Transcript(())

    def candidates(
        self, script: Script, clip: VideoClip, signals: Sequence[Evidence]
    ) -> tuple[Mapping[Evidence, Candidates], tuple[str, ...]]:
        self.asked.append(signals)
        return {signal: self.places[signal] for signal in signals if signal in self.places}, ("seen",)


def at(*starts: float | None, score: float = 0.9, evidence: Evidence = "speech") -> Candidates:
    return tuple(() if s is None else (Candidate(Span(s, s + 3), score, evidence),) for s in starts)


def starts_of(alignment) -> list[float | None]:
    return [None if line.span is None else line.span.start_seconds for line in alignment.lines]


# --- texts with times ---


def test_subtitles_that_are_late_are_put_back_in_step():
    told = align_script(CLIP, film(12.4), senses=Film())
    assert not told.kept
    assert np.abs(np.subtract(starts_of(told), STARTS)).max() < 0.3
    (piece,) = diff(told).pieces
    assert piece.offset_seconds == pytest.approx(-12.4, abs=0.3)


def test_lines_after_the_end_of_the_video_are_not_in_it():
    longer = film(12.4)
    longer = Script((*longer.lines, Line("after the end", 700.0, 702.0)), "srt")
    told = align_script(CLIP, longer, senses=Film())
    assert told.lines[-1].span is None and told.lines[-2].span is not None


def test_good_subtitles_are_left_as_they_are_to_the_byte():
    clocks = [[f"00:{int(s) // 60:02}:{int(s) % 60:02},{int(s * 1000) % 1000:03}" for s in (start, start + length)]
              for start, length in zip(STARTS, LENGTHS, strict=True)]  # fmt: skip
    text = "".join(f"{n}\n{' --> '.join(times)}\n{{\\an8}}<i>{'x' * 20}</i>\n\n" for n, times in enumerate(clocks, 1))
    told = align_script(CLIP, script_of_bytes(text.encode(), "film.srt", ".srt"), senses=Film())
    assert told.kept and "nothing was changed" in told.notes[-1]
    assert told_as(told, ".srt") == text.encode()
    assert all(move.shift_seconds == 0 for move in diff(told).moves)


def test_of_many_lines_some_are_held_against_what_was_said(monkeypatch):
    monkeypatch.setattr(align, "LINES_JUDGED", 20)
    rng = np.random.default_rng(0)
    texts = [" ".join("".join(rng.choice(list("abdegiklmnoprstu"), 5)) for _ in range(6)) for _ in range(60)]
    words = Transcript(
        tuple(
            Word(word, start + 0.2 * n, start + 0.2 * n + 0.15, 0.9)
            for start, text in zip(STARTS, texts, strict=True)
            for n, word in enumerate(text.split())
        )
    )
    found = align.said_lines(Script(tuple(map(Line, texts)), "srt"), words)
    assert [n for n, places in enumerate(found) if places] == list(range(0, 60, 3))
    assert all(abs(found[n][0].span.start_seconds - STARTS[n]) < 0.1 for n in range(0, 60, 3))


def test_that_times_were_not_looked_at_is_told():
    told = align_script(CLIP, film(12.4), AlignConfig(signals=("visual",)), senses=Film())
    assert "the times of the text were not looked at: without speech they cannot be checked" in told.notes
    asked = align_script(CLIP, film(12.4), AlignConfig(resync=False), senses=Film())
    assert not any("not looked at" in note for note in asked.notes)


def test_the_gate_can_be_opened():
    slightly_late = film(0.05)
    assert align_script(CLIP, slightly_late, senses=Film()).kept
    opened = align_script(CLIP, slightly_late, AlignConfig(gate=None), senses=Film())
    assert not opened.kept and len(diff(opened).pieces) == 1


@pytest.mark.parametrize("clip", [CLIP, replace(CLIP, has_audio=False)])
def test_times_that_cannot_be_checked_stay(clip):
    told = align_script(clip, film(12.4), senses=Film(is_silent=True))
    assert told.kept and "could not be checked" in told.notes[-1]
    assert starts_of(told) == [line.start_seconds for line in film(12.4).lines]


def test_missing_weights_of_the_recogniser_are_no_reason_to_give_up():
    class Deaf(Film):
        def transcript(self, clip: VideoClip) -> Transcript:
            raise WeightsError("whisper-tiny.en is not here", hint="tvu models pull")

    told = align_script(CLIP, Script(film(3.0).lines[:2], "srt"), senses=Deaf())  # two lines are not sure by themselves
    assert any("no words were recognised" in note for note in told.notes)


def test_times_that_are_to_be_ignored_are():
    senses = Film({"speech": at(*STARTS)})
    told = align_script(CLIP, film(12.4), AlignConfig(resync=False), senses=senses)
    assert senses.asked == [("visual", "speech", "screen-text")]
    assert np.allclose(starts_of(told), STARTS)


# --- texts without ---


def test_lines_without_times_are_looked_for_one_by_one():
    script = Script(tuple(map(Line, "abcd")), "txt", {"notes": ["odd"]})
    told = align_script(CLIP, script, senses=Film({"speech": at(10, 50, None, 90)}))
    assert starts_of(told) == [10, 50, None, 90]
    assert told.notes == ("odd", "seen") and told.signals == ("speech",)
    assert [line.evidence for line in told.lines] == [("speech",), ("speech",), (), ("speech",)]


def test_steps_keep_their_places_in_any_order_and_narrations_go_forward():
    script = Script(tuple(map(Line, "abcd")), "txt")
    senses = Film({"speech": at(300, 100, 200, 50)})
    assert starts_of(align_script(CLIP, script, AlignConfig(order="free"), senses=senses)) == [300, 100, 200, 50]
    forward = [s for s in starts_of(align_script(CLIP, script, AlignConfig(order="monotone"), senses=senses)) if s]
    assert forward == sorted(forward)


def test_only_the_signals_that_are_told_are_asked():
    senses = Film({"speech": at(10), "visual": at(40, evidence="visual")})
    told = align_script(CLIP, Script((Line("a"),), "txt"), AlignConfig(("visual",)), senses=senses)
    assert senses.asked == [("visual",)] and told.signals == ("visual",) and starts_of(told) == [40]


def test_unlikely_lines_are_not_in_the_video():
    script = Script(tuple(map(Line, "ab")), "txt")
    senses = Film({"speech": (*at(10, score=0.97), *at(50, score=0.6))})
    sure = align_script(CLIP, script, AlignConfig(order="free"), senses=senses)
    least = (sure.lines[0].confidence + sure.lines[1].confidence) / 2
    assert starts_of(align_script(CLIP, script, AlignConfig(order="free", min_confidence=least), senses=senses)) == [
        10,
        None,
    ]


def test_a_configuration_needs_sense():
    for wrong in ({"signals": ()}, {"signals": ("smell",)}, {"order": "backwards"}, {"min_confidence": 2}):
        with pytest.raises(ValueError, match=r"signals|order|confidence"):
            AlignConfig(**wrong)


# --- as a model ---


def test_a_benchmark_gets_the_likeliest_place_even_of_a_line_that_is_likely_not_shown():
    model = AlignModel(senses=Film({"speech": (*at(10), *at(50, score=0.05), ())}))
    places = model.place(CLIP, ["a", "b", "c"], "monotone")
    assert [place.seconds for place in places] == [11.5, 51.5, None]
    assert places[0].confidence > 0.5 > places[1].confidence


def test_questions_are_answered_as_lines_in_no_order():
    model = AlignModel(senses=Film({"speech": (*at(90), *at(10), ())}))
    found = model.ground(CLIP, ["a", "b", "c"])
    assert [[g.span for g in each] for each in found] == [[Span(90, 93)], [Span(10, 13)], []]
