import json
from pathlib import Path

import pytest

from tvu.temporal.types import Span
from tvu.video_llm.benchmarks import captions as captions_module
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.captions import activitynet_dense, read_captions, youcook2
from tvu.video_llm.benchmarks.types import AskConfig, Benchmark, Record, Response, Summary
from tvu.video_llm.errors import BenchmarkError, UnknownModel, VideoError
from tvu.video_llm.parse import in_words
from tvu.video_llm.questions import captions_request
from tvu.video_llm.types import Answer, Grounding, VideoClip

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
EVENTS = [[0, 2, "a card is drawn"], [2, 4, "it is written on"]]


class Writer:
    """A model that says one thing."""

    name = "writer"

    def __init__(self, text: str, groundings: tuple[Grounding, ...] = ()) -> None:
        self.text, self.groundings = text, groundings

    def answer(self, clip: VideoClip, question: str) -> Answer:
        return Answer(question, self.text, self.groundings, self.name)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(captions_module, "find_java_tools", lambda: None)
    spans, texts = [event[:2] for event in EVENTS], [event[2] for event in EVENTS]
    truth = {"annotations": [{"image_id": "card.mp4", "segments": spans, "pure_cap": ". ".join(texts)}]}
    (tmp_path / "val.caption_coco_format.json").write_text(json.dumps(truth), "utf-8")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "card.mp4").symlink_to(SAMPLE)
    return tmp_path


def told(text: str) -> list[tuple[float, float, str]]:
    return [tuple(caption) for caption in read_captions(Answer("", text, (), "m"), 100.0)]


@pytest.mark.parametrize(
    "text",
    [
        "00:12.0 - 00:29.0, a man cuts 3 onions.\n00:30.0 - 01:05.5 he fries them.",  # ours, made readable
        "1. 12 - 29 seconds: a man cuts 3 onions.\n2. 30 - 65.5 seconds: he fries them.",
        "Here is what happens:\n- [0:12 - 0:29] a man cuts 3 onions.\n- [0:30 - 1:05.5] he fries them.",
        "From 12 to 29 seconds, a man cuts 3 onions.\nFrom 30 to 65.5 seconds, he fries them.",
        "0:12 - 0:29 a man cuts 3 onions. 0:30 - 1:05.5 he fries them.",  # clocks in a paragraph
        "12 - 29 seconds, a man cuts 3 onions. 30 - 65.5 seconds, he fries them.",  # the published form
    ],
)
def test_captions_are_read_as_they_are_written(text):
    assert told(text) == [(12, 29, "a man cuts 3 onions."), (30, 65.5, "he fries them.")]


@pytest.mark.parametrize(
    "text", ["", "A man cooks.", "00:12.0 - 00:29.0", "1..5 - 2 men", "0:12 - 0:290:30 - 0:40 0:41"]
)
def test_a_text_without_timed_captions_has_none(text):
    assert told(text) == []


def test_a_model_that_only_names_moments_writes_no_captions(data):
    (item,) = youcook2().read(data)
    found = (Grounding(Span(1, 2), 0.9, "visual"),)
    model = Writer(in_words(found), found)
    response = youcook2().ask(item, youcook2().video_of(item, data), model, AskConfig())
    assert (response.status, response.prediction) == ("unparsed", None)


def test_a_baseline_writes_no_captions_and_says_so(data):
    (item,) = youcook2().read(data)
    with pytest.raises(UnknownModel, match="writes no captions"):
        youcook2().ask(item, youcook2().video_of(item, data), baseline_named("baseline:oracle"), AskConfig())


def run(benchmark: Benchmark, data: Path, text: str) -> Summary:
    items = benchmark.read(data)
    responses = [benchmark.ask(item, benchmark.video_of(item, data), Writer(text), AskConfig()) for item in items]
    records = [Record.of(item, told, None, 1.0) for item, told in zip(items, responses, strict=True)]
    return benchmark.sum_up(items, [Record.from_json(json.loads(json.dumps(record.as_json()))) for record in records])


def test_a_model_that_tells_every_event_finds_all_spans(data):
    summary = run(youcook2(), data, "\n".join(f"{start} - {end} seconds, {text}" for start, end, text in EVENTS))
    assert summary.numbers["F1_Score"] == 100
    assert summary.numbers["CIDER (plain tokens)"] > 800
    assert summary.numbers["videos_unparsed"] == 0


def test_an_answer_that_is_not_understood_counts_as_no_captions(data):
    summary = run(activitynet_dense(), data, "Nice video!")
    assert (summary.numbers["F1_Score"], summary.numbers["videos_unparsed"]) == (0, 1)
    assert any("no caption with its times" in note for note in summary.notes)


def test_what_was_asked_and_answered_is_kept(data):
    (item,) = youcook2().read(data)
    response = youcook2().ask(item, youcook2().video_of(item, data), Writer("0 - 2 seconds, a card"), AskConfig())
    assert response == Response(
        "parsed", [{"timestamp": [0, 2], "caption": "a card"}], "0 - 2 seconds, a card", captions_request()
    )
    assert youcook2().judge(item, response) is None


def test_videos_that_were_not_run_are_counted_and_not_scored(data):
    summary = youcook2().sum_up(youcook2().read(data), [])
    assert summary.numbers == {"videos": 0, "videos_not_run": 1}


def test_a_missing_video_has_a_path_all_the_same(data):
    (item,) = youcook2().read(data)
    (data / "videos" / "card.mp4").unlink()
    video = youcook2().video_of(item, data)
    assert video == data / "videos" / "card.mp4"
    with pytest.raises(VideoError):
        youcook2().ask(item, video, Writer(""), AskConfig())


def test_a_folder_without_the_truth_is_an_error_that_names_it(tmp_path):
    with pytest.raises(BenchmarkError, match=r"val\.caption_coco_format\.json"):
        youcook2().read(tmp_path)
