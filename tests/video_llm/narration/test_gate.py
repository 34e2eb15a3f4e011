"""Good subtitles are left as they are."""

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.narration.activity import Activity
from tvu.video_llm.narration.gate import GateConfig, agreement, judge
from tvu.video_llm.narration.types import AlignedLine, Candidate, Candidates, Line, Script

STARTS = np.cumsum([3.0, 4.5, 2.5, 6.0, 3.5, 8.0, 2.8, 5.2, 3.1, 7.7, 4.4, 2.9]).tolist()


def cues(shift: float = 0.0) -> Script:
    return Script(tuple(Line(f"line {i}", start + shift, start + shift + 2) for i, start in enumerate(STARTS)), "srt")


def moved(script: Script, by: float) -> list[AlignedLine]:
    spans = [Span(line.start_seconds + by, line.end_seconds + by) for line in script.lines]
    return [AlignedLine(i, span, 0.9) for i, span in enumerate(spans)]


def said(score: float = 0.9) -> Candidates:
    return tuple((Candidate(Span(start, start + 2), score, "speech"),) for start in STARTS)


SPOKEN = Activity.of_spans([(start, start + 2) for start in STARTS], 70.0)


def test_lines_that_would_hardly_move_stay():
    verdict = judge(cues(), moved(cues(), 0.15), SPOKEN)
    assert verdict.kept and "already" in verdict.reason


def test_subtitles_that_are_late_are_moved():
    assert not judge(cues(3.0), moved(cues(3.0), -3.0), SPOKEN).kept
    assert not judge(cues(3.0), moved(cues(3.0), -3.0), SPOKEN, said()).kept
    assert not judge(cues(3.0), moved(cues(3.0), -3.0)).kept  # without evidence the proposal stands


def test_a_proposal_that_agrees_no_better_with_the_sound_is_not_taken():
    assert judge(cues(), moved(cues(), 2.0), SPOKEN).kept
    assert judge(cues(40.0), moved(cues(40.0), 200.0), SPOKEN).kept  # neither is anywhere near


def test_words_that_are_heard_weigh_more_than_where_somebody_speaks():
    somewhere_else = Activity.of_spans([(start + 1.5, start + 3.5) for start in STARTS], 70.0)
    assert not judge(cues(), moved(cues(), 1.5), somewhere_else).kept
    assert judge(cues(), moved(cues(), 1.5), somewhere_else, said()).kept
    unsure = said(score=0.4)
    assert not judge(cues(), moved(cues(), 1.5), somewhere_else, unsure).kept


def test_lines_that_are_said_twice_prove_no_place():
    twice = tuple((*places, Candidate(Span(90 + i, 91 + i), 0.9, "speech")) for i, places in enumerate(said()))
    assert (
        judge(cues(3.0), moved(cues(3.0), -3.0), None, twice).reason
        == "the times of the text do not agree with the video"
    )


def test_a_text_without_times_has_none_to_keep():
    script = Script((Line("a"), Line("b")), "txt")
    assert not judge(script, [AlignedLine(0, Span(0, 1), 0.5), AlignedLine(1, None, 0.5)], SPOKEN).kept


def test_agreement_is_a_correlation():
    assert agreement([Span(start, start + 2) for start in STARTS], SPOKEN) == pytest.approx(1.0)
    assert abs(agreement([], SPOKEN)) == abs(agreement([Span(0, 70)], SPOKEN)) == 0
    assert agreement([Span(-5, -1)], Activity(np.zeros(0, np.float32))) == 0


def test_a_gate_needs_sense():
    with pytest.raises(ValueError, match="share"):
        GateConfig(near_share=0)
