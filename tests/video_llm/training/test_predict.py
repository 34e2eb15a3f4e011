"""What a model that is told what is known answers about a batch."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

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
from tvu.video_llm.training.predict import Predicted, predict, written
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
    evidence = []
    for name, of_model in (("known", model.known), ("rows_for", model.rows_for)):
        noted = partial(lambda of_model, *told: evidence.append(told[-1]) or of_model(*told), of_model)
        monkeypatch.setattr(model, name, noted)

    def predicted(index: int):
        meaning = tiny_meaning(torch.eye(384)[:1], torch.eye(1000)[[index]])
        monkeypatch.setattr(looker.meanings, "of", lambda ids, is_word: meaning)
        return predict(model, looker, batch, tokenizer, most_new=6)[0]

    seen, other = predicted(7), predicted(9)
    assert seen == predicted(7)
    assert seen.spans != other.spans and seen.present != other.present
    # For moments and for words, what is known of the question and what stands in its prompt, each of three times.
    assert len(evidence) == 3 * 2 * 2 and all(isinstance(each, Evidence) for each in evidence)


def asked_in_any_length(tiny_lite0: Path, tokenizer: LiteTokenizer) -> tuple[Any, ...]:
    """A model that heeds what is known and what it wrote, and three prompts: what `written` takes before `most_new`."""
    looker = Looker(CONFIG, torch.device("cpu"), FeatureWorld(tiny_lite0, "train"))
    questions = (
        "Why?",
        "What happens after 7 is there, and what then?",
        "Which is first: a dog jumps or a cat sleeps?",
    )
    batch = asked_of(tokenizer, looker, *(Sample("what_next", each, "", (), None) for each in questions))
    model, inputs = tiny_model(has_prior=True, listens=False), looker.inputs(batch)
    noise = torch.Generator().manual_seed(0)
    for each in (model.told.weight, *(each for each in model.language.layers.parameters() if each.ndim == 2)):
        torch.nn.init.normal_(each, std=0.3, generator=noise)
    inputs = inputs.to("cpu", torch.float32)
    tokens, rows = model.eyes(inputs)
    return model, tokens, rows, looker.reading(batch), looker.evidence(inputs, tokens), tokenizer


def one_by_one(model, tokens, rows, asked, evidence, tokenizer, most_new) -> list[list[int]]:
    """Ids of greedy answers: all is read again for every token, with what was written before."""
    every, more = torch.arange(len(asked.ids)), torch.zeros(len(asked.ids), most_new)
    ids, is_visual = torch.cat([asked.ids, more.long()], 1), torch.cat([asked.is_visual, more.bool()], 1)
    for step in range(most_new):
        reading, last = replace(asked, ids=ids, is_visual=is_visual), asked.last_asked + step
        hidden = model.read(tokens, rows, reading, evidence).hidden[every, last]
        ids[every, last + 1] = torch.nn.functional.linear(hidden, model.table).argmax(-1)
    return [row[last + 1 : last + 1 + most_new].tolist() for row, last in zip(ids, asked.last_asked, strict=True)]


@torch.inference_mode()
def test_answers_are_written_as_if_all_was_read_again_for_every_token(tiny_lite0, tokenizer, tiny_minilm):
    told = asked_in_any_length(tiny_lite0, tokenizer)
    lengths = told[3].last_asked.tolist()
    assert len(set(lengths)) == 3 and len(told[3].clause_of) >= 2
    expected = one_by_one(*told, 12)
    assert written(*told, 12) == [tokenizer.decode(ids).strip() for ids in expected]
    assert len(set(map(tuple, expected))) == 3 and expected != one_by_one(*told[:4], None, tokenizer, 12)


@torch.inference_mode()
def test_an_answer_ends_where_it_is_ended_while_others_go_on(tiny_lite0, tokenizer, tiny_minilm, monkeypatch):
    told = asked_in_any_length(tiny_lite0, tokenizer)
    expected = one_by_one(*told, 12)
    ends = [ids.index(expected[0][4]) if expected[0][4] in ids else 12 for ids in expected]
    monkeypatch.setattr(tokenizer, "end", expected[0][4])
    monkeypatch.setattr(tokenizer, "decode", str)
    model, sizes = told[0].language, []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **more: sizes.append(len(more["inputs_embeds"])) or forward(**more))
    assert written(*told, 12) == [str(ids[:end]) for ids, end in zip(expected, ends, strict=True)]
    assert sizes == [sum(end >= step for end in ends) for step in range(min(12, max(ends) + 1))]
    assert min(ends) < max(ends)


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
        lambda heard, clause_of, offered: torch.tensor(
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
