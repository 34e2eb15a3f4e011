import pytest

from tests.video_llm.results.some_rows import about, awkward, failed, row, text
from tvu.video_llm.results.edl import edl, edl_non_drop


def test_an_edl_is_what_resolve_writes_for_markers():
    video = about(row("a b.mp4", "a bus?", (600, 602.002), duration=900.0), failed())
    assert text(edl(video)) == (
        "TITLE: a b\r\nFCM: DROP FRAME\r\n\r\n"
        "001  001      V     C        01:10:00;00 01:10:02;00 01:10:00;00 01:10:02;00  \r\n"
        "visual 90 %: looks like: bus |C:ResolveColorBlue |M:a bus? |D:60\r\n\r\n"
    )
    assert edl(video).notes == ("when?: the decoder -- failed",)


def test_non_drop_code_can_be_had_at_29_97():
    told = text(edl_non_drop(about(row("a.mp4", "a bus?", (600, 602.002), duration=900.0))))
    assert "FCM: NON-DROP FRAME" in told
    assert "01:09:59:12 01:10:01:12 01:09:59:12 01:10:01:12" in told


@pytest.mark.parametrize(
    ("fps", "told"),
    [
        (24000 / 1001, "01:00:10:00 01:00:12:00"),  # 10.01 s are 240 frames
        (24, "01:00:10:00 01:00:12:00"),
        (25, "01:00:10:00 01:00:12:00"),
        (30, "01:00:10:00 01:00:12:00"),
        (50, "01:00:10:01 01:00:12:01"),
        (60000 / 1001, "01:00:10;00 01:00:12;00"),
        (60, "01:00:10:01 01:00:12:01"),
    ],
)
def test_time_codes_count_at_the_rate_of_the_file(fps, told):
    assert told in text(edl(about(row("a.mp4", "a bus?", (10.01, 12.012), fps=fps))))


def test_a_marker_lasts_a_frame_at_least_and_ends_with_the_file():
    told = text(edl(about(row("a.mp4", "now?", (9.99, 10.5), (1, 1.001), fps=25, duration=10.0))))
    assert "01:00:01:00 01:00:01:01" in told and told.count("|D:1\r\n") == 2
    assert "01:00:09:24 01:00:10:00" in told


def test_no_text_can_be_taken_for_another_field():
    told = text(edl(about(awkward()))).split("\r\n")
    assert told[0] == "TITLE: ä <&> #1, “x”"
    assert told[4].split(" |")[1:] == ["C:ResolveColorYellow", 'M:a <b> & "c", d; e --> f / g h', "D:62"]
    assert told[4].startswith("speech 87 %: a <b>")  # a line that begins with a number would be an event
