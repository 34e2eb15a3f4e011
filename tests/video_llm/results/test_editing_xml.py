"""XML of Final Cut, parsed back."""

from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

from tests.video_llm.results.some_rows import about, awkward, failed, row
from tvu.video_llm.results.fcp7 import fcp7_xml
from tvu.video_llm.results.fcpxml import fcpxml
from tvu.video_llm.results.formats import write_results

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
TWO = row("a b.mp4", "a bus?", (600, 602.002), (10.01, 12.012), duration=900.0)


def parsed(content) -> Tree.Element:
    assert content.data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE ')
    return Tree.fromstring(content.data)


def seconds(time: str) -> Fraction:
    return Fraction(time.removesuffix("s"))


def test_xmeml_has_a_marker_for_each_moment_in_frames():
    whole, _ = parsed(fcp7_xml(about(TWO))).iter("sequence")
    assert whole.findtext("rate/timebase") == "30" and whole.findtext("rate/ntsc") == "TRUE"
    assert whole.findtext("timecode/displayformat") == "DF"
    told = [[m.findtext(tag) for tag in ("in", "out", "name", "comment")] for m in whole.findall("marker")]
    comment = "visual {} %: looks like: bus"
    assert told == [
        ["300", "360", "a bus?", comment.format(80)],
        ["17982", "18042", "a bus?", comment.format(90)],
    ]


def test_xmeml_lays_the_moments_end_to_end():
    _, clips = parsed(fcp7_xml(about(TWO))).iter("sequence")
    told = [[int(c.findtext(tag) or -1) for tag in ("start", "end", "in", "out")] for c in clips.iter("clipitem")]
    assert told == [[0, 60, 300, 360], [60, 120, 17982, 18042]]
    assert clips.findtext("duration") == "120"


def test_xmeml_tells_the_file_once_and_escapes_its_path():
    root = parsed(fcp7_xml(about(TWO)))
    (url,) = [element.text or "" for element in root.iter("pathurl")]
    assert url.startswith("file://localhost/") and url.endswith("/a%20b.mp4")
    assert {file.get("id") for file in root.iter("file")} == {"file-1"}


def test_fcpxml_counts_in_rational_seconds_on_frame_borders():
    root = parsed(fcpxml(about(TWO)))
    (frame,) = [each.get("frameDuration", "") for each in root.iter("format")]
    assert frame == "1001/30000s"
    times = [v for each in root.iter() for k, v in each.items() if k in ("start", "duration", "offset", "tcStart")]
    assert len(times) > 10 and all((seconds(time) / seconds(frame)).denominator == 1 for time in times)
    markers = [(m.get("start"), m.get("duration"), m.get("value")) for m in root.iter("marker")]
    assert markers == [("300300/30000s", "60060/30000s", "a bus?"), ("17999982/30000s", "60060/30000s", "a bus?")]
    assert [(k.get("start"), k.get("duration"), k.get("value")) for k in root.iter("keyword")] == markers


def test_fcpxml_lays_the_moments_end_to_end():
    root = parsed(fcpxml(about(TWO)))
    (project,) = [each for each in root.iter("project") if each.get("name") == "a b (moments)"]
    clips = [(c.get("offset"), c.get("start"), c.get("duration")) for c in project.iter("asset-clip")]
    assert clips == [("0s", "300300/30000s", "60060/30000s"), ("60060/30000s", "17999982/30000s", "60060/30000s")]
    assert {c.get("ref") for c in root.iter("asset-clip")} == {a.get("id") for a in root.iter("asset")}


@pytest.mark.parametrize(("fps", "frame"), [(25, "1/25s"), (24000 / 1001, "1001/24000s"), (15, "1/30s")])
def test_fcpxml_frames_have_the_rate_of_the_file(fps, frame):
    assert next(parsed(fcpxml(about(row(fps=fps)))).iter("format")).get("frameDuration") == frame


@pytest.mark.parametrize("writer", [fcp7_xml, fcpxml])
def test_any_text_is_escaped_and_what_failed_is_a_comment(writer):
    rows = [awkward(), failed(awkward().video, "x\x00\ud800y <!--", "the -- decoder --> failed ->")]
    content = writer(about(*rows))
    asked = 'a <b> & "c", d; e --> f | g h'
    names = [element.text for element in parsed(content).iter("name")]
    values = [element.get("value") for element in parsed(content).iter("marker")]
    assert asked in names + values
    comments = [line for line in content.data.decode().splitlines() if line.startswith("<!--")]
    assert len(comments) == 1 and "decoder" in comments[0] and "\ufffd" in comments[0]


@pytest.mark.parametrize("writer", [fcp7_xml, fcpxml])
def test_no_moments_are_a_time_line_without_marks(writer):
    root = parsed(writer(about(row())))
    assert not list(root.iter("marker")) and len(list(root.iter("sequence"))) == 1


def test_size_and_sound_are_those_of_the_file_where_it_is_here(tmp_path):
    rows = [row(str(SAMPLE), "a bus?", (1, 2), fps=None, duration=None)]
    write_results(rows, tmp_path / "a.xml")
    root = Tree.parse(tmp_path / "a.xml").getroot()
    assert (next(root.iter("width")).text, root.findtext(".//audio/track/clipitem/out")) == (
        "640",
        "540",
    )  # 18 s of 15 a second, counted in 30
    write_results(rows, tmp_path / "a.fcpxml")
    root = Tree.parse(tmp_path / "a.fcpxml").getroot()
    assert (next(root.iter("format")).get("width"), next(root.iter("asset")).get("hasAudio")) == ("640", "1")
