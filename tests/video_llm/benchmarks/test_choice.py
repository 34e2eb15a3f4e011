"""The words of each protocol, to the character, and how models of every kind choose."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video_llm.media.drawing import draw_video
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.choice import MVBENCH_SYSTEM, MultipleChoice
from tvu.video_llm.benchmarks.examinee import choose
from tvu.video_llm.benchmarks.types import AskConfig
from tvu.video_llm.decode import open_video
from tvu.video_llm.types import Answer, Grounding, ScoreCurve, VideoClip

ASKED = ("What happened?", ("Ate it.", "Took it."))
OFFICIAL = "Question: What happened?\nOptions:\n(A) Ate it.\n(B) Took it.\nOnly give the best option."


def test_mvbench_tells_its_system_text_twice_and_begins_the_answer() -> None:
    request = MultipleChoice(*ASKED, "official").request
    assert (request.system, request.user) == (MVBENCH_SYSTEM, MVBENCH_SYSTEM + OFFICIAL)
    assert request.prefill == "Best option:("
    assert MVBENCH_SYSTEM.startswith(
        "Carefully watch the video and pay attention to the cause and sequence of events, "
    )
    assert MVBENCH_SYSTEM.endswith("select the best option that accurately addresses the question.\n")


@pytest.mark.parametrize("protocol", ["tvu", "vlmevalkit"])
def test_the_others_tell_it_once(protocol: str) -> None:
    request = MultipleChoice(*ASKED, protocol).request
    assert (request.system, request.user, request.prefill) == (MVBENCH_SYSTEM, OFFICIAL, "Best option:(")


def test_lmms_eval_has_no_blank_no_plural_no_system_and_no_beginning() -> None:
    question = MultipleChoice(*ASKED, "lmms-eval")
    told = "Question:What happened?\nOption:\n(A) Ate it.\n(B) Took it.\nOnly give the best option.\n"
    assert (question.request.user, question.request.system, question.request.prefill) == (told, "", "")
    assert question.max_new_tokens == 16 and MultipleChoice(*ASKED).max_new_tokens == 100


@pytest.mark.parametrize("wrong", [("Which?", ()), ("Which?", ("A",) * 27), ("Which?", ("A",), "helm")])
def test_a_question_without_options_or_of_nobodys_protocol_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError):
        MultipleChoice(*wrong)


class Finder:
    """Finds what it is told to find, and its curves have a peak."""

    name = "finder"

    def __init__(self, scores: dict[str, float], peaks: dict[str, float]) -> None:
        self.scores, self.peaks = scores, peaks

    def find(self, clip: VideoClip, queries: Any) -> list[Answer]:
        answers = []
        for query in queries:
            score = next((score for word, score in self.scores.items() if word in query), None)
            peak = next((peak for word, peak in self.peaks.items() if word in query), 0.0)
            spans = () if score is None else (Grounding(Span(0, 1), score, "visual"),)
            curve = ScoreCurve("visual", np.zeros(1), np.array([peak], np.float32))
            answers.append(Answer(query, "", spans, self.name, curves=(curve,), prompt=query, frame_seconds=(0.5,)))
        return answers


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("choice") / "a.mp4", num_frames=50, size=(64, 36)))


def chosen(clip: VideoClip, scores: dict[str, float], peaks: dict[str, float]) -> Any:
    finder: Any = Finder(scores, peaks)
    return choose(finder, clip, MultipleChoice("What is it?", ("A cat.", "A dog.", "A fish.")), AskConfig())


def test_a_model_that_only_finds_chooses_the_option_that_it_finds_likeliest(clip: VideoClip) -> None:
    response = chosen(clip, {"cat": 0.4, "fish": 0.6}, {"dog": 0.9})
    assert (response.text, response.prediction, response.status) == ("(C)", 2, "parsed")
    assert response.prompt == "What is it? A cat.\nWhat is it? A dog.\nWhat is it? A fish."
    assert response.frame_seconds == (0.5,)


def test_where_nothing_is_likely_the_curves_decide(clip: VideoClip) -> None:
    assert chosen(clip, {}, {"cat": 0.1, "dog": 0.2}).prediction == 1


@pytest.mark.weights
def test_scout_recognises_what_is_shown(weights_cache: Path) -> None:
    from tvu.video_llm.load import load_model

    parade = open_video(Path(__file__).parents[3] / "samples" / "parade.mp4", start=7, end=10)
    question = MultipleChoice("What appears in the video?", ("A tiger.", "A cup of coffee.", "A ladybug."))
    assert choose(load_model("scout"), parade, question, AskConfig()).text == "(B)"
