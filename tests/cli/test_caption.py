"""`tvu caption`, and the captions that any model writes."""

import json
from pathlib import Path

import pytest

from tests.video_llm.media.drawing import draw_video
from tvu.cli.render import caption_line
from tvu.temporal.types import Span
from tvu.video_llm.captions import Captioned, caption_clip, captions_as, check_suffix, find_highlights
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import UnknownFormat, UnknownModel
from tvu.video_llm.types import Answer, Grounding, VideoClip

TOLD = [Captioned(Span(0.5, 2.0), "A dog & a cat run."), Captioned(Span(2.0, 3.5), "They stop -->\nhere.")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=100, size=(64, 48)))


class Finder:
    name = "finder"

    def find(self, clip, queries):
        return [Answer(query, "", (Grounding(Span(0, 1), 0.5, "visual"),), self.name) for query in queries]

    def answer(self, clip, question):
        return self.find(clip, [question])[0]


class Writer(Finder):
    def answer(self, clip, question):
        return Answer(question, "00:02.0 - 00:03.0 It stops.\n00:00.5 - 00:09.0 It runs.", (), self.name)

    def write(self, clip, request, *, sampling=None, max_new_tokens):
        raise NotImplementedError


def test_any_model_that_writes_tells_captions_in_the_order_of_time(clip):
    told: list[Captioned] = []
    found = caption_clip(Writer(), clip, told.append)
    assert found == told == [Captioned(Span(0.5, 4.0), "It runs."), Captioned(Span(2.0, 3.0), "It stops.")]


def test_a_model_that_only_finds_moments_is_refused(clip):
    with pytest.raises(UnknownModel, match="writes no captions"):
        caption_clip(Finder(), clip)


def test_a_model_that_only_finds_moments_has_highlights(clip):
    assert find_highlights(Finder(), clip, "a goal").question == "a goal"


def test_captions_are_subtitles_and_json(clip):
    srt = captions_as(TOLD, clip, "lite", ".srt")
    assert srt.startswith("1\n00:00:00,500 --> 00:00:02,000\nA dog & a cat run.\n\n2\n") and "They stop -> here." in srt
    vtt = captions_as(TOLD, clip, "lite", ".vtt")
    assert vtt.startswith("WEBVTT\n\n1\n00:00:00.500 --> 00:00:02.000\nA dog &amp; a cat run.\n")
    told = json.loads(captions_as(TOLD, clip, "lite", ".json"))
    assert told["captions"][0] == {"start_seconds": 0.5, "end_seconds": 2.0, "text": "A dog & a cat run."}
    assert told["model"] == "lite" and told["duration_seconds"] == 4.0


def test_how_likely_a_caption_is_stands_beside_it_where_somebody_says(clip):
    named = Captioned(Span(0.5, 2.0), "a dog", 0.61803)
    assert caption_line(named) == "00:00.5 - 00:02.0  62 %  a dog"
    assert caption_line(TOLD[0]) == "00:00.5 - 00:02.0  A dog & a cat run."
    (told,) = json.loads(captions_as([named], clip, "lite", ".json"))["captions"]
    assert told["score"] == 0.618
    assert "62" not in captions_as([named], clip, "lite", ".srt")
    with pytest.raises(ValueError, match="probability"):
        Captioned(Span(0, 1), "a dog", 1.2)


def test_another_format_is_told_before_the_work():
    with pytest.raises(UnknownFormat, match=r"\.srt"):
        check_suffix(Path("captions.doc"))


def test_without_a_checkpoint_the_command_says_how_to_get_one(tvu, tmp_path):
    run = tvu("caption", tmp_path / "a.mp4", "-m", f"lite:{tmp_path}")
    assert run.returncode == 4 and "holds no checkpoint" in run.stderr and "tvu train" in run.stderr
    run = tvu("caption", tmp_path / "a.mp4", "-m", "lite:nowhere")
    assert run.returncode == 2 and "not a folder" in run.stderr


def test_a_file_that_exists_or_cannot_be_written_is_wrong_usage(tvu, tmp_path):
    (tmp_path / "a.srt").write_text("")
    assert tvu("caption", "a.mp4", "-o", tmp_path / "a.srt").returncode == 2
    assert tvu("caption", "a.mp4", "-o", tmp_path / "a.doc").returncode == 2
