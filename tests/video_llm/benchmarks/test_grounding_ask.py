from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.video_llm.tiny_video_llm import tiny_video_llm
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.grounding_ask import (
    ask_for_choice_and_spans,
    ask_for_spans,
    ask_in_words,
    clip_saliency,
)
from tvu.video_llm.benchmarks.types import AskConfig, Item, Response
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import BenchmarkError
from tvu.video_llm.types import Answer, Grounding, Request, ScoreCurve, VideoClip

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
CLIP = VideoClip(Path("a.mp4"), Span(0, 40), 40.0, 10.0, 400, 8, 8)
ITEM = Item("0", "a", "person turn a light on.", [[4.0, 8.0]])
FOUND = (Grounding(Span(3, 8), 0.9, "visual"), Grounding(Span(20, 22), 0.4, "visual"))


class Finder:
    """A model that finds the same moments whatever it is asked."""

    name = "finder"

    def __init__(self, groundings: Sequence[Grounding] = FOUND) -> None:
        self.groundings = tuple(groundings)

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        return [self.answer(clip, query) for query in queries]

    def answer(self, clip: VideoClip, question: str) -> Answer:
        told = f"prompt of {question}"
        return Answer(question, "told", self.groundings, self.name, prompt=told, frame_seconds=(0.5, 1.0))


class Author(Finder):
    """A model that writes one text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def write(self, clip: VideoClip, request: Request, *, sampling=None, max_new_tokens: int) -> Answer:
        self.request, self.max_new_tokens = request, max_new_tokens
        return Answer(request.user, self.text, (), self.name, prompt=f"<{request.user}>")


def ask(model, **config) -> Response:
    return ask_for_spans(ITEM, CLIP, model, AskConfig(**config), "Charades")


def test_a_model_finds_moments_its_own_way():
    response = ask(Finder())
    assert response.prediction == [[3, 8, 0.9], [20, 22, 0.4]]
    assert (response.status, response.prompt) == ("parsed", "prompt of person turn a light on.")
    assert response.frame_seconds == (0.5, 1.0)


def test_finding_nothing_is_an_answer():
    response = ask(Finder([]))
    assert (response.status, response.prediction) == ("parsed", [])


@pytest.mark.parametrize(
    ("config", "prediction"),
    [
        ({"protocol": "official"}, None),
        ({"protocol": "lmms-eval"}, [[24.3, 30.4]]),
        ({"protocol": "timelens"}, [[24.0, 30.0]]),
        ({"protocol": "official", "matching": "timelens"}, [[24.0, 30.0]]),
    ],
)
def test_text_is_read_by_the_parser_of_the_protocol(config, prediction):
    response = ask(Author("from 24.3s to 30.4s"), **config)
    assert (response.prediction, response.status) == (prediction, "parsed" if prediction else "unparsed")


def test_the_words_of_a_published_evaluation_are_kept_to_the_letter():
    model = Author("1 - 2")
    ask(model, protocol="official")
    assert model.request.user.startswith("You are given a video from the Charades dataset. Please find the visual ")
    assert "sentence: person turn a light on.. Please return" in model.request.user
    ask(model, protocol="timelens")
    assert "by the sentence 'person turn a light on.', determining" in model.request.user


def test_a_number_that_stops_the_published_parser_is_not_understood():
    assert ask(Author("1..5 - 2"), protocol="official").status == "unparsed"


@pytest.mark.parametrize(
    "config", [{"protocol": "x"}, {"matching": "timechat"}, {"protocol": "official", "matching": "x"}]
)
def test_unknown_words_and_parsers_are_refused(config):
    with pytest.raises(BenchmarkError):
        ask(Author("1 - 2"), **config)


@pytest.mark.parametrize(
    ("text", "prediction"), [("<12.5> <3.> as it falls", [[3.0, 12.5]]), ("<12.5>", None), ("<3> <99>", [[3, 40]])]
)
def test_a_question_is_answered_in_words_as_lita_does(text, prediction):
    assert ask_in_words(ITEM, CLIP, Author(text), AskConfig("official")).prediction == prediction


def test_an_answer_in_words_without_a_span_is_not_understood():
    assert ask_in_words(ITEM, CLIP, Finder([]), AskConfig()).status == "unparsed"
    assert ask_in_words(ITEM, CLIP, Finder(), AskConfig()).prediction[0] == [3, 8, 0.9]


def test_an_option_and_its_moments_are_asked_for_together():
    truth = {"choice": 1, "spans": [[4.0, 8.0]]}
    item = Item("1_2", "a", "why", truth, options=("a", "b", "c"))
    response = ask_for_choice_and_spans(item, CLIP, baseline_named("baseline:oracle"), AskConfig())
    assert response.prediction == {"choice": 1, "spans": [[4.0, 8.0, 1.0]]}


def test_saliency_of_clips_is_read_off_the_best_curve():
    times = np.arange(0.0, 8.0, 0.5)
    low = ScoreCurve("speech", times, np.full(16, 0.2, np.float32))
    step = ScoreCurve("visual", times, np.where(times >= 4, 0.8, 0.0).astype(np.float32))
    answer = Answer("", "", (), "m", curves=(low, step))
    assert clip_saliency(answer, 9.0) == pytest.approx([0.2, 0.2, 0.8, 0.8], abs=0.11)


def test_saliency_without_curves_is_the_score_of_the_spans_that_cover_a_clip():
    assert clip_saliency(Answer("", "", FOUND, "m"), 8.0) == pytest.approx([0.0, 0.45, 0.9, 0.9])


def test_a_video_llm_is_asked_either_way_about_a_video_that_it_looks_at_once(monkeypatch):
    model = tiny_video_llm()
    looks = []
    encode = model.model.encode_time
    monkeypatch.setattr(model.model, "encode_time", lambda tokens: looks.append(1) or encode(tokens))
    responses = [
        ask_for_spans(ITEM, open_video(SAMPLE), model, AskConfig(protocol), "Charades")
        for protocol in ("tvu", "official", "tvu")
    ]
    assert len(looks) == 1
    assert [len(span) for span in responses[0].prediction][:1] == [3]
    assert all(0 <= start < end <= 18 for start, end, _ in responses[0].prediction)
    assert responses[0].prediction == responses[2].prediction
    assert "textual sentence: person turn a light on" in responses[1].prompt
    assert responses[1].frame_seconds == responses[0].frame_seconds != ()
