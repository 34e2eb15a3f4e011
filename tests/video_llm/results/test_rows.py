import json

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.results.rows import MOST_POINTS, Row
from tvu.video_llm.types import Answer, Grounding, ScoreCurve, Timing, VideoClip

CLIP = VideoClip("a b.mp4", Span(0, 10), 10.0, 29.97, 300, 90, 160)


def answered(curve=None):
    groundings = (Grounding(Span(1.23456, 2), 0.98765, "speech", "„ja“"), Grounding(Span(4, 5), 0.5, "visual"))
    curves = () if curve is None else (curve,)
    return Answer("when?", "At 1 s.", groundings, "scout", Timing(total_s=1.5), ("no sound",), curves)


def test_a_row_is_read_back_as_it_was_written_to_the_millisecond():
    row = Row.of(answered(ScoreCurve("visual", np.arange(3.0), np.float32([0, 0.5, 1]))), CLIP, curves=True)
    again = Row.from_json(json.loads(row.line()))
    assert again.line() == row.line()
    assert again.groundings[0] == Grounding(Span(1.235, 2), 0.9877, "speech", "„ja“")
    assert (again.fps, again.notes, again.timing.total_s) == (29.97, ("no sound",), 1.5)
    np.testing.assert_allclose(again.curves[0].scores, [0, 0.5, 1])


def test_what_says_nothing_is_not_written():
    told = json.loads(Row("a.mp4", "when?", error="it is broken").line())
    assert told["error"] == "it is broken" and told["groundings"] == [] and told["duration_seconds"] is None
    assert not {"notes", "curves", "fps", "key", "settings"} & told.keys()


def test_curves_are_kept_only_when_wanted_and_never_lose_a_peak():
    times = np.arange(10_000.0)
    scores = np.zeros(10_000, np.float32)
    scores[7777] = 1
    answer = answered(ScoreCurve("visual", times, scores))
    assert Row.of(answer, CLIP).curves == ()
    (curve,) = Row.of(answer, CLIP, curves=True).curves
    assert len(curve.times) == MOST_POINTS
    assert curve.scores.max() == 1 and curve.times[curve.scores.argmax()] == 7777


@pytest.mark.parametrize("told", [{}, {"video": "a", "question": "b", "groundings": [{"start_seconds": 1}]}])
def test_what_is_no_row_is_refused(told):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Row.from_json(told)
