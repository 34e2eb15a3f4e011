"""Channels into one list of answers."""

import pytest

from tvu.temporal.types import Span
from tvu.video_llm.scout.fuse import fuse
from tvu.video_llm.types import Grounding


def test_two_channels_that_agree_are_more_certain_than_either():
    (both,) = fuse([Grounding(Span(1, 4), 0.6, "visual", "bus"), Grounding(Span(1, 4.5), 0.5, "speech", '"the bus"')])
    assert both.score == pytest.approx(0.8)
    assert both.span == Span(1, 4)
    assert both.evidence == "visual"
    assert both.phrase == 'bus; "the bus"'


def test_one_channel_does_not_confirm_itself():
    (one,) = fuse([Grounding(Span(1, 4), 0.6, "speech"), Grounding(Span(1, 4.1), 0.6, "speech")])
    assert one.score == pytest.approx(0.6)


def test_every_occurrence_stays_best_first():
    late, early = Grounding(Span(8, 9), 0.9, "visual"), Grounding(Span(1, 2), 0.4, "visual")
    assert fuse([early, late]) == [late, early]


def test_nothing_found_is_no_grounding():
    assert fuse([]) == []


def test_a_witness_speaks_for_one_event_only():
    said = Grounding(Span(5, 9), 0.9, "speech")
    written = Grounding(Span(5, 11), 0.8, "screen-text")
    seen = Grounding(Span(5, 16), 0.3, "visual")
    assert [g.score for g in fuse([said, written, seen])] == pytest.approx([0.98, 0.3])


def test_what_is_unlikely_is_neither_told_nor_a_witness():
    assert fuse([Grounding(Span(1, 2), 0.5, "speech"), Grounding(Span(1, 2), 0.1, "visual", "bus")], 0.0) == [
        Grounding(Span(1, 2), 0.5, "speech")
    ]
