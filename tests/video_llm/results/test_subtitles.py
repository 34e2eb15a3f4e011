import re

from tests.video_llm.results.some_rows import about, awkward, failed, row, text
from tvu.video_llm.results.subtitles import srt, vtt


def test_srt_numbers_the_moments_of_all_queries_in_their_order():
    video = about(row("a.mp4", "a bus?", (62.5, 64), (3, 3.2)), row("a.mp4#t=0,50", "a dog?", (40, 3725.0625)))
    assert text(srt(video)) == (
        "1\r\n00:00:03,000 --> 00:00:03,200\r\na bus? (80 %)\r\nlooks like: bus\r\n\r\n"
        "2\r\n00:00:40,000 --> 01:02:05,062\r\na dog? (90 %)\r\nlooks like: bus\r\n\r\n"
        "3\r\n00:01:02,500 --> 00:01:04,000\r\na bus? (90 %)\r\nlooks like: bus\r\n\r\n"
    )


def test_no_text_can_end_a_cue_or_begin_another():
    told = text(srt(about(awkward())))
    assert told.count("-->") == 1 and told.count("\r\n\r\n") == 1
    assert 'a <b> & "c", d; e -> f | g h (87 %)' in told
    told = text(vtt(about(awkward())))
    assert told.count("-->") == 1 and told.count("\n\n") == 2
    assert 'a &lt;b&gt; &amp; "c", d; e --&gt; f | g h (87 %)' in told


def test_webvtt_notes_what_failed_and_srt_hands_it_on():
    video = about(row("a b.mp4", "a bus?", (1, 2)), failed(error="it --> broke"))
    assert text(vtt(video)) == (
        "WEBVTT\n\nNOTE when?: it -> broke\n\n1\n00:00:01.000 --> 00:00:02.000\na bus? (90 %)\nlooks like: bus\n\n"
    )
    assert srt(video).notes == vtt(video).notes == ("when?: it --> broke",)


def test_a_cue_is_never_empty():
    told = text(srt(about(row("a.mp4", "now?", (1.0001, 1.0002)))))
    assert re.findall(r"[\d:,]+ --> [\d:,]+", told) == ["00:00:01,000 --> 00:00:01,001"]


def test_no_moments_are_a_file_all_the_same():
    assert text(srt(about(row()))) == ""
    assert text(vtt(about(row()))) == "WEBVTT\n\n"
