"""What a model that is told what is known answers about a batch."""

from pathlib import Path

import pytest
import torch

from tests.video_llm.lite.tiny_lite import KNOWN, tiny_config, tiny_meaning, tiny_model
from tests.video_llm.training.conftest import LetterReader
from tvu.temporal.types import Span
from tvu.video_llm.lite.prior import Evidence, texts_of
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.training.data import Batch, Looker, Video, offered_in
from tvu.video_llm.training.feature_rendering import FeaturePlan, Layer, Shot
from tvu.video_llm.training.feature_videos import FeatureWorld
from tvu.video_llm.training.predict import Predicted, predict
from tvu.video_llm.training.scenes import Scene
from tvu.video_llm.training.tasks import Sample

CONFIG = tiny_config(has_prior=True)
PLAN = FeaturePlan(Scene(3.0, ()), (Shot(Span(0.0, 3.0), 0),), (Layer((7,), (8.0,), Span(1.0, 2.0)),), 0.5)


@pytest.fixture
def tokenizer(tiny_language: Path) -> LiteTokenizer:
    return LiteTokenizer(tiny_language / "tokenizer.json", build_codec(CONFIG.codec), KNOWN)


def asked_of(tokenizer: LiteTokenizer, looker: Looker, *samples: Sample) -> Batch:
    """Some questions about three seconds of feature videos."""
    asked = tuple((0, sample) for sample in samples)
    told = sequences(tokenizer, [(0, sample.question, "") for sample in samples], [6])
    offered, right = offered_in(samples)
    texts = texts_of([sample.question for sample in samples], told.clauses, offered)
    understood = None if looker.meanings is None else LetterReader(None).ids(texts)
    return Batch((Video("features", PLAN.scene, features=PLAN),), asked, told, 0, offered, right, understood)


def test_spans_presence_and_words_come_of_what_is_known(tiny_lite0: Path, tokenizer, tiny_minilm, monkeypatch):
    looker = Looker(CONFIG, torch.device("cpu"), FeatureWorld(tiny_lite0, "train"))
    batch = asked_of(tokenizer, looker, Sample("moment", "When do we see 7?", "", (Span(1.0, 2.0),), True))
    model = tiny_model(has_prior=True)
    read, evidence = model.read, []
    monkeypatch.setattr(model, "read", lambda *told: evidence.append(told[-1]) or read(*told))

    def predicted(index: int):
        meaning = tiny_meaning(torch.eye(384)[:1], torch.eye(1000)[[index]])
        monkeypatch.setattr(looker.meanings, "of", lambda ids, is_word: meaning)
        return predict(model, looker, batch, tokenizer, most_new=6)[0]

    seen, other = predicted(7), predicted(9)
    assert seen == predicted(7)
    assert seen.spans != other.spans and seen.present != other.present
    assert len(evidence) > 3 and all(isinstance(each, Evidence) for each in evidence)  # for every token that is written


CHOICE = "What happens?\nOptions:\n(A) a dog\n(B) a cat\n(C) a cup\nAnswer with the letter."


@pytest.mark.parametrize("reads", [True, False])
def test_the_likeliest_answer_is_chosen_where_answers_can_be_listed(
    tiny_lite0: Path, tokenizer, tiny_minilm, monkeypatch, reads
):
    looker = Looker(CONFIG, torch.device("cpu"), FeatureWorld(tiny_lite0, "train"))
    samples = (
        Sample("choice", CHOICE, "(B) a cat", (), None, ("a dog", "a cat", "a cup"), 1),
        Sample("moment", "When do we see 7?", "", (Span(1.0, 2.0),), True),
        Sample("counting", "How many times do we see 7?", "1", (Span(1.0, 2.0),), None),
        Sample("presence", "Do we see 9? Answer yes or no.", "No", (), False),
    )
    model = tiny_model(has_prior=True, reads=reads)
    likeliest = {0: 2, 2: 4, 3: 1}  # which option of which question
    monkeypatch.setattr(
        model.judge,
        "forward",
        lambda summary, numbers, clause_of, offered: torch.tensor(
            [
                3.0 if likeliest[row] == number else -float(number)
                for row, number in zip(offered.question.tolist(), offered.number.tolist(), strict=True)
            ]
        ),
    )
    batch = asked_of(tokenizer, looker, *samples)
    told = predict(model, looker, batch, tokenizer, most_new=2, reads=reads)
    assert [each.chosen for each in told] == ["(C) a cup", "", "4", "No"]
    assert [each.answer for each in told] == ["(C) a cup", told[1].text, "4", "No"]
    assert reads or told[1].text == ""


def test_an_answer_that_was_judged_comes_before_one_that_was_written():
    sample = Sample("counting", "How many?", "2", (), None)
    assert Predicted("features", 3.0, sample, (), 0.5, "three", "2").answer == "2"
    assert Predicted("features", 3.0, sample, (), 0.5, "three").answer == "three"


def test_a_model_that_is_not_told_what_questions_mean_chooses_nothing(tiny_lite0: Path, tokenizer):
    config = tiny_config()
    looker = Looker(config, torch.device("cpu"), FeatureWorld(tiny_lite0, "train"))
    sample = Sample("presence", "Do we see 9? Answer yes or no.", "No", (), False)
    (told,) = predict(tiny_model(), looker, asked_of(tokenizer, looker, sample), tokenizer, most_new=2)
    assert told.chosen == "" and told.answer == told.text
