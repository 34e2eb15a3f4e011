"""Time codes as people write them."""

import pytest

from tvu.temporal.timecode import format_timecode, parse_timecode


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("83.5", 83.5),
        ("1:23.5", 83.5),
        ("00:01:23,500", 83.5),
        ("90", 90),
        ("1:00:00", 3600),
        (".5", 0.5),
        ("100:00:00", 360000),
        (" 7 ", 7),
    ],
)
def test_every_accepted_form_is_read(text, seconds):
    assert parse_timecode(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "1:60", "1:60:00", "-3", "1:2:3:4", "1e3", "nan", "٣", "1:", "12.5s"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not a time"):
        parse_timecode(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (83.46, "01:23.5"),
        (59.96, "01:00.0"),
        (3599.99, "01:00:00.0"),
        (0, "00:00.0"),
        (-2, "-00:02.0"),
        (-0.01, "00:00.0"),
    ],
)
def test_a_time_is_rounded_once(seconds, text):
    assert format_timecode(seconds) == text


def test_what_is_printed_reads_back():
    for tenth in range(0, 80_000, 37):
        assert parse_timecode(format_timecode(tenth / 10)) == pytest.approx(tenth / 10)
