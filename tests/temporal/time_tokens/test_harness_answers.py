"""Three published parsers of one span, where they disagree."""

import pytest

from tvu.temporal.time_tokens.harness_answers import lmms_eval_span, timelens_span
from tvu.temporal.time_tokens.official_answers import retrieval_span


@pytest.mark.parametrize(
    ("text", "timechat", "lmms_eval", "timelens"),
    [
        ("The event happens in the 24.3 - 30.4 seconds", (24.3, 30.4), (24.3, 30.4), (24.3, 30.4)),
        ("24.3 to 30.4", None, (24.3, 30.4), (24.3, 30.4)),
        ("from 24.3s to 30.4s", None, (24.3, 30.4), (24.0, 30.0)),
        ("24.3–30.4", None, (24.3, 30.4), (24.3, 30.4)),
        ("[24.3, 30.4]", None, None, (24.3, 30.4)),
        ("Start: 24.3, End: 30.4", None, None, (24.3, 30.4)),
        ("starts at 00:24 and ends at 00:30", None, (24.0, 30.0), (24.0, 30.0)),
        ("00:00:24 - 00:00:30", (0.0, 24.0), (24.0, 30.0), (24.0, 30.0)),
        ("30.4 - 24.3", (24.3, 30.4), (24.3, 30.4), (30.4, 24.3)),
        ("1 - 2 and 3 - 4", (1.0, 2.0), (1.0, 2.0), (1.0, 2.0)),
        ("it starts at 5.5\nit ends at 9.25", (5.5, 9.25), (5.5, 9.25), (5.5, 9.25)),
        ("I see no such event.", None, None, None),
        ("", None, None, None),
    ],
)
def test_the_published_parsers_disagree(text, timechat, lmms_eval, timelens):
    assert (retrieval_span(text), lmms_eval_span(text), timelens_span(text)) == (timechat, lmms_eval, timelens)


def test_numbers_beyond_all_measure_are_no_span():
    huge = "9" * 400
    assert lmms_eval_span(f"0 - {huge}") is None
    assert timelens_span(f"0 - {huge}") is None
