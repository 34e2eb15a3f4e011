"""The published parsers, with their misses."""

import pytest

from tvu.temporal.time_tokens.official_answers import (
    Captions,
    Highlights,
    retrieval_span,
    timesuite_captions,
    timesuite_highlight_list,
    timesuite_highlights,
    vtg_llm_captions,
    vtg_llm_highlights,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("happens in the 24.3 - 30.4 seconds", (24.3, 30.4)),
        ("happens from 37.8 to 59.9 seconds.", None),
        ("30 - 20, then 1 - 2", (20.0, 30.0)),
        ("It starts at 5.5!It ends at 9.25", (5.5, 9.25)),
        ("It starts at 5.5. It ends at 9.25", None),  # one sentence, for a dot is none
        ("start 00:01:00\nend 00:01:30", (0.0, 0.0)),  # never HH:MM:SS
        ("ends 9\nstarts 5", (5.0, 9.0)),
        ("2 - 2", (2.0, 2.0)),
        ("10. - 20.", (10.0, 20.0)),
        ("", None),
    ],
)
def test_a_moment(text, span):
    assert retrieval_span(text) == span


def test_a_number_with_two_dots_in_a_row_is_an_error_as_it_was():
    for read in (retrieval_span, timesuite_captions):
        with pytest.raises(ValueError):
            read("1..5 - 2, a man walks")


def test_captions_stand_between_the_spans():
    text = "90 - 102 seconds, spread margarine.\n114 - 127 seconds, place the slices"
    assert timesuite_captions(text) == Captions([(90, 102), (114, 127)], ["spread margarine.", "place the slices"])
    assert vtg_llm_captions(text, text) == timesuite_captions(text)


def test_a_span_inside_a_longer_number_is_cut_out_of_it():
    assert timesuite_captions("1 - 2 first one 11 - 20 second one").captions == ["first one 1", "0 second one"]


def test_captions_shorter_than_six_characters_are_lost():
    assert timesuite_captions("1 - 2 go far\n3 - 4 sit") == Captions([(1, 2)], ["go far"])


def test_captions_may_come_with_their_names():
    text = "Start time: 5 seconds\nEnd time: 9 seconds\nDescription: pour the milk"
    assert timesuite_captions(text) == Captions([(5, 9)], ["pour the milk"])
    with pytest.raises(ValueError):
        timesuite_captions("start time 5, end time 9, pour the milk")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("The video starts at 0:10 seconds, a cat jumps.", (10, 50)),
        ("from 1:09 to 1:20 seconds, cook the dish", (69, 80)),
        ("start - 180 seconds, add the oil", (160, 200)),
        ("10s to 38s, cut the pineapple", (10, 38)),
    ],
)
def test_one_sentence_may_tell_a_time_in_other_ways(text, span):
    assert timesuite_captions(text).spans == [span]


def test_no_captions():
    assert timesuite_captions("plain text only.") == Captions([], [])


def test_highlights_of_vtg_llm_come_piece_by_piece():
    text = "0052.0 seconds, score: 3.5, 0054.0 seconds, score: 4.0"
    assert vtg_llm_highlights(text) == Highlights([52, 54], [3.5, 4.0])
    assert vtg_llm_highlights("In the 52, 54 seconds. Their scores are 3.0, 4.0") == Highlights([], [3.0])
    assert vtg_llm_highlights("7.0 seconds") == Highlights([], [])


def test_highlights_of_timesuite_come_in_lists_or_lines():
    text = "The highlight timestamps are in the 52, 54 seconds. Their saliency scores are 3.0, 3.5"
    assert timesuite_highlights(text) == Highlights([52, 54], [3.0, 3.5])
    assert timesuite_highlights("in the 10, 12 seconds. scores are 3, 4") == Highlights([10, 12], [0, 0])
    lines = "12 seconds score 2.5\n14 seconds score 3.0\n9 seconds score 3.5"  # 9 is not above 10, 3.5 is not a time
    assert timesuite_highlights(lines) == Highlights([12, 14], [2.5, 3.0])
    counted = "There are 1 highlight moments in the 82, 84 second. Their scores are 1.3, 1.7"
    assert timesuite_highlights(counted) == Highlights([82], [1.3])


def test_a_highlight_span_is_spelled_out_in_steps_of_two_seconds():
    expected = "The highlight timestamps are in the 12, 14, 16 seconds. Their saliency scores are 4.0, 4.0, 4.0."
    assert timesuite_highlight_list("12.4 - 15.2 seconds, score 4") == expected
    assert timesuite_highlight_list("5 s").startswith("Invalid post processing format! ")
    with pytest.raises(ValueError):
        timesuite_highlight_list(f"1 - {'9' * 400} seconds, score 4")
