import json

import pytest

from tests.video_llm.results.some_rows import about, awkward, failed, row, text
from tvu.video_llm.results.otio import otio


def test_a_time_line_has_a_marker_for_each_moment():
    video = about(row("a b.mp4", "a bus?", (10.01, 12.012), (1.234, 1.235)), failed())
    told = json.loads(text(otio(video)))
    assert told["metadata"]["tvu"] == {"video": "a b.mp4", "errors": ["when?: the decoder -- failed"]}
    (clip,) = told["tracks"]["children"][0]["children"]
    assert clip["media_references"]["DEFAULT_MEDIA"]["target_url"].endswith("/a%20b.mp4")
    short, long = clip["markers"]
    assert [long["marked_range"][part]["value"] for part in ("start_time", "duration")] == [300, 60]
    assert [short["marked_range"][part]["value"] for part in ("start_time", "duration")] == [37, 1]
    assert short["metadata"]["tvu"]["start_seconds"] == 1.234  # what frames cannot hold


def test_opentimelineio_reads_it_and_writes_the_same():
    opentimelineio = pytest.importorskip("opentimelineio")
    for video in (about(row("a b.mp4", "a bus?", (10.01, 12.012), (1, 2))), about(awkward()), about(failed())):
        written = text(otio(video))
        timeline = opentimelineio.adapters.read_from_string(written, "otio_json")
        assert isinstance(timeline, opentimelineio.schema.Timeline)
        assert timeline.duration().value == video.num_frames
        (clip,) = timeline.find_clips()
        assert isinstance(clip.media_reference, opentimelineio.schema.ExternalReference)
        assert [(m.name, m.marked_range.duration.value) for m in clip.markers] == [
            (" ".join(m.question.split()), video.frames_of(m)[1] - video.frames_of(m)[0]) for m in video.moments
        ]
        again = json.loads(opentimelineio.adapters.write_to_string(timeline, "otio_json"))
        assert contains(again, json.loads(written))


def contains(more, less) -> bool:
    """Whether `more` has everything that `less` has; what a later release adds by itself does not matter."""
    if isinstance(less, dict):
        return all(name in more and contains(more[name], value) for name, value in less.items())
    if isinstance(less, list):
        return len(more) == len(less) and all(map(contains, more, less))
    return bool(more == less)
