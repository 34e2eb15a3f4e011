"""What is known of a question without training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.video_llm.lite.tiny_lite import tiny_causal, tiny_config, tiny_inputs, tiny_meaning, tiny_model
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.types import VisualTokens
from tvu.video_llm import official_prompts, questions
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.grounding_ask import WORDS
from tvu.video_llm.lite.found import CLAUSE_PLACES, NAMES, TOLD_SHOTS, TOLD_SPANS, found_places
from tvu.video_llm.lite.head import Known, Moments, best_spans, prior_features
from tvu.video_llm.lite.inputs import SLOW_CHANNELS, LiteInputs
from tvu.video_llm.lite.judge import offered_on
from tvu.video_llm.lite.model import LiteModel, Reading, findings_of
from tvu.video_llm.lite.options import Options, offered_by
from tvu.video_llm.lite.prior import (
    ClassEvidence,
    Meaning,
    Meanings,
    class_weights,
    content_of,
    prior_of,
    texts_of,
    texts_of_classes,
)
from tvu.video_llm.lite.proposals import Proposals
from tvu.video_llm.minilm import Sentences
from tvu.video_llm.scout import visual
from tvu.video_llm.scout.visual import class_glosses

CLASSES = 6


def evidence() -> ClassEvidence:
    """Class k is feature k, and pictures at large look like nothing."""
    weight = torch.zeros(CLASSES, SLOW_CHANNELS)
    weight[range(CLASSES), range(CLASSES)] = 1.0
    return ClassEvidence(weight, torch.zeros(CLASSES), torch.zeros(SLOW_CHANNELS))


def showing(*classes: int) -> LiteInputs:
    """A video of a step a class."""
    inputs = tiny_inputs([len(classes)])
    slow = torch.zeros_like(inputs.slow)
    for step, which in enumerate(classes):
        slow[0, step, :, which] = 5.0
    return replace(inputs, slow=slow, has_slow=inputs.has_slow | True)


def tokens_of(inputs: LiteInputs) -> VisualTokens:
    return tiny_model().eyes(inputs)[0]


def classes_of(inputs: LiteInputs) -> Tensor:
    return evidence()(inputs, tokens_of(inputs)).classes


def test_a_token_speaks_for_what_its_two_steps_show():
    inputs = showing(0, 0, 3, 3, 1, 1)
    found = classes_of(inputs)
    assert found.shape == (1, 3, CLASSES)
    assert found[0].argmax(-1).tolist() == [0, 3, 1]
    torch.testing.assert_close(found.mean(-1), torch.zeros(1, 3), atol=1e-5, rtol=0)


def test_what_the_whole_video_shows_counts_less_than_what_a_moment_shows():
    inputs = showing(*[0] * 6, 2, 2)
    found = classes_of(inputs)[0]
    assert found[3, 2] > 0.9 * classes_of(showing(2, 2))[0, 0, 2]
    assert found[3, 0] < 0 < found[0, 0]


def test_a_token_without_pictures_says_nothing():
    inputs = showing(0, 0, 1, 1)
    blind = inputs.has_slow.clone()
    blind[0, 2:] = False
    inputs = replace(inputs, has_slow=blind)
    found = classes_of(inputs)[0]
    assert found[0].abs().sum() > 0 and found[1].abs().sum() == 0


def test_how_likely_each_class_is_in_a_shot_is_the_mean_of_its_steps():
    inputs = showing(0, 0, 3, 3, 1, 1)
    found = evidence().chances(inputs, [0, 2, 6])
    assert found.shape == (2, CLASSES) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-5)
    assert found[0].argmax() == 0 and found[1, 3] == pytest.approx(found[1, 1]) and found[1, 3] > found[1, 0]
    blind = replace(inputs, has_slow=torch.tensor([[True, True, False, False, False, False]]))
    assert evidence().chances(blind, [0, 2, 6])[1].sum() == 0


def test_the_prior_is_the_product_of_evidence_and_question():
    inputs = showing(0, 0, 3, 3)
    found = classes_of(inputs)
    classes = torch.eye(CLASSES)[[3, 0]]
    scores = prior_of(found, classes, torch.tensor([0, 0]))
    assert scores.argmax(-1).tolist() == [1, 0]


def test_the_head_is_told_how_far_each_token_is_from_the_best():
    told = prior_features(torch.tensor([[3.0, 0.0, 9.0]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(told[0, :, 0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(told[0, :2, 1], torch.tensor([0.0, -1.0]))


class Directions:
    """Reads sentences that mean the class whose number they hold, and are nothing else."""

    def ids(self, texts: list[str]) -> Sentences:
        ids = np.array([[int(text)] for text in texts])
        return Sentences(ids, np.ones(ids.shape, np.bool_))

    def read(self, ids: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        vectors = torch.eye(1000)[ids[:, 0]]
        return vectors, vectors[:, None].half()


def meanings() -> Meanings:
    return Meanings(Directions(), [np.eye(1000, dtype=np.float32)] * 2)


def test_a_question_weighs_the_classes_that_it_is_close_to():
    meaning = meanings()(texts_of(["When do we see 417?", "12"], ()))
    assert meaning.classes.argmax(-1).tolist() == [417, 12]
    np.testing.assert_allclose(np.linalg.norm(meaning.classes, axis=-1), 1.0, rtol=1e-5)
    assert meaning.words.shape == (2, 1, 1000) and meaning.is_word.all()


def test_classes_weigh_as_they_do_for_scout():
    rng = np.random.default_rng(0)
    texts = [rng.normal(size=(40, 16)).astype(np.float32) for _ in range(2)]
    vectors = rng.normal(size=(5, 16)).astype(np.float32)
    found = class_weights([torch.from_numpy(each) for each in texts], torch.from_numpy(vectors))
    expected = np.stack([visual.class_weights(texts, vector) for vector in vectors])
    assert (expected > 0).any(1).all() and (expected == 0).any(1).all()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_questions_come_before_what_they_name_and_options_alone_before_joined():
    offered = offered_by([None, Options("Who runs?", ("When do we see a dog?", "2", "a cat"))])
    told = texts_of(["When does it jump?", "Who runs?"], ["is there a fox"], offered)
    assert told[:3] == [content_of("When does it jump?"), content_of("Who runs?"), content_of("is there a fox")]
    assert told[3:] == ["a dog", "a cat", "Who runs? When do we see a dog?", "Who runs? a cat"]
    orders = offered_by([Options("Which order?", ("a dog, then a cat", "a cat, then a dog"))])
    told = texts_of(["Which order?"], [], orders)
    assert told[1:] == [*orders.alone, *orders.joined, "a dog", "a cat"]


def test_texts_of_classes_are_embedded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "cache"))
    (tmp_path / "classes.json").write_text(json.dumps([str(number) for number in range(len(class_glosses()))]), "utf-8")
    embedded: list[str] = []

    class Lengths:
        name = "lengths"

        def embed(self, texts):
            embedded.extend(texts)
            return np.array([[len(text)] for text in texts], np.float32)

    monkeypatch.setattr("tvu.video_llm.lite.prior.SentenceEncoder", Lengths)
    first, second = texts_of_classes(tmp_path), texts_of_classes(tmp_path)
    assert len(embedded) == 2 * len(class_glosses())
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "prompt",
    [
        str,
        questions.moment_question,
        questions.moments_question,
        questions.presence_question,
        questions.highlights_request,
        lambda query: official_prompts.lita_event_questions(query)[5],
        official_prompts.VTG_LLM_RETRIEVAL.format,
        WORDS["timelens"].prompt.format,
        lambda query: MultipleChoice(query, ("yes", "a cat")).request.user,
        lambda query: MultipleChoice(query, ("yes", "a cat"), "lmms-eval").request.user,
        lambda query: MultipleChoice(query, ("yes", "a cat"), "official").request.user,
        lambda query: f"{query}\n(A) yes\n(B) no",
    ],
)
@pytest.mark.parametrize("query", ["when do we see two dogs?", "two dogs"])
def test_the_words_of_a_prompt_are_no_part_of_what_is_asked_for(prompt, query):
    assert content_of(prompt(query)) == "two dogs"


def test_what_a_user_quotes_is_not_taken_for_all_of_the_question():
    assert content_of('the sign "exit" beside a door') == 'the sign "exit" beside a door'


def test_a_question_means_the_same_however_it_is_put():
    one = meanings()(texts_of(["12", questions.moment_question("12"), "13"], ()))
    two = meanings()(texts_of(["13", "12"], ()))
    assert torch.equal(one.vectors[0], one.vectors[1]) and torch.equal(one.vectors[[2, 0]], two.vectors)
    assert torch.equal(one.first(2).classes, two.classes[[1, 1]])


def test_autocast_leaves_the_prior_its_decimals():
    inputs = showing(0, 0, 3, 3, 1, 1)
    tokens = tokens_of(inputs)
    expected = evidence()(inputs, tokens).classes
    classes, video = torch.rand(1, CLASSES, generator=torch.Generator().manual_seed(0)), torch.tensor([0])
    with torch.autocast("cpu", torch.bfloat16):
        found = evidence()(inputs, tokens).classes
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(prior_of(found, classes, video), prior_of(expected, classes, video))
    torch.testing.assert_close(prior_of(found, classes, video)[0], expected[0] @ classes[0])


def test_a_class_that_is_no_closer_than_most_does_not_speak():
    texts = np.eye(50, dtype=np.float32)
    weights = visual.class_weights((texts, texts), texts[7])
    assert np.count_nonzero(weights) == 1 and weights[7] == pytest.approx(1.0)


def test_shots_are_told_by_what_is_unlike_pictures_at_large():
    inputs = showing(*[0] * 4, *[3] * 6)
    usual = torch.zeros(SLOW_CHANNELS)
    usual[5] = 1000.0  # beside which 0 and 3 are much alike
    far_off = ClassEvidence(torch.eye(CLASSES, SLOW_CHANNELS), torch.zeros(CLASSES), usual)
    assert evidence()(inputs, tokens_of(inputs)).shots.edges.tolist() == [[0.0, 1.0, 2.5]]
    assert far_off(inputs, tokens_of(inputs)).shots.edges.tolist() == [[0.0, 2.5]]


# --- what the model makes of it ---


def asked(*classes: int, is_told: bool = True) -> Reading:
    """Of one video of 4 tokens, a question for each class."""
    count, last = len(classes), 6 + FOUND
    ids, is_visual = torch.zeros(2, count, last + 1, dtype=torch.long)
    is_visual[:, 2:last] = 1
    is_visual = is_visual.bool()
    places = torch.zeros(count, dtype=torch.long), is_visual & False, torch.full((count,), last), ids[:0, 0]
    return Reading(ids, is_visual, *places, of_classes(*classes) if is_told else None)


def of_classes(*classes: int) -> Meaning:
    each = tiny_meaning(torch.ones(CLASSES, 384), torch.eye(CLASSES))
    return Meaning(*(told[list(classes)] for told in vars(each).values()))


FOUND = found_places(LitaTimeTokens())
SHOWN = showing(0, 0, 0, 0, 3, 3, 3, 3)


def of_video(model: LiteModel, tokens: VisualTokens, rows: Tensor, reading: Reading, known: Known | None) -> Tensor:
    """The rows of the video alone, without those of what is found in it, and without the times that all have."""
    told = model.rows_for(tokens, rows, reading, known)[:, model.first_row : -FOUND]
    return told - model.time_rows(tokens)[reading.video]


def test_a_model_with_a_prior_runs_where_nothing_is_known():
    model = tiny_model(has_prior=True)
    unknown = model(SHOWN, asked(0, is_told=False)).moments()
    known = model(SHOWN, asked(0), evidence()).moments()
    assert unknown.present.isfinite().all() and not torch.equal(unknown.inside, known.inside)


def test_a_model_without_a_prior_is_not_told():
    model = tiny_model()
    told = model(SHOWN, asked(0), evidence())
    assert told.known is None
    assert torch.equal(told.moments().spans, model(SHOWN, asked(0, is_told=False)).moments().spans)


def test_what_is_known_comes_into_the_visual_tokens_as_training_finds_a_use_for_it():
    model, reading = tiny_model(has_prior=True).eval(), asked(0, 3)
    tokens, rows = model.eyes(SHOWN)
    known = model.known(tokens, reading, evidence()(SHOWN, tokens))
    torch.testing.assert_close(of_video(model, tokens, rows, reading, known), rows.expand(2, -1, -1))  # nothing yet
    torch.nn.init.normal_(model.told.weight)
    of_questions = of_video(model, tokens, rows, reading, known)
    assert not torch.isclose(of_questions[0], of_questions[1]).all(-1).any()


def test_each_question_is_told_of_its_own_video():
    model, shown = tiny_model(has_prior=True).eval(), ((0, 0, 0, 0, 3, 3, 3, 3), (5, 5, 3, 3, 3, 3, 1, 1))
    both = tiny_inputs([8, 8])
    both = replace(both, slow=torch.cat([showing(*classes).slow for classes in shown]))
    tokens, rows = model.eyes(both)
    reading = replace(asked(3, 3), video=torch.tensor([1, 0]))
    known = model.known(tokens, reading, evidence()(both, tokens))
    torch.testing.assert_close(of_video(model, tokens, rows, reading, known), rows[[1, 0]])
    for row, classes in enumerate(reversed(shown)):
        alone = showing(*classes)
        expected = model.known(tokens_of(alone), asked(3), evidence()(alone, tokens_of(alone)))
        torch.testing.assert_close(known.numbers[row], expected.numbers[0])
        torch.testing.assert_close(known.starts[row], expected.starts[0])


def test_every_visual_token_has_the_time_token_of_its_middle():
    model = tiny_model()
    tokens, _ = model.eyes(SHOWN)
    ticks = [model.codec.tick(float(middle), 2.0) for middle in tokens.spans[0].mean(-1)]
    assert torch.equal(model.time_rows(tokens)[0], model.new_rows[ticks])


def test_what_the_head_finds_stands_after_the_video_in_words():
    model, reading = tiny_model(has_prior=True).eval(), asked(0)
    tokens, rows = model.eyes(SHOWN)
    known = model.known(tokens, reading, evidence()(SHOWN, tokens))
    found = model.rows_for(tokens, rows, reading, known)[0, -FOUND:]
    moments = model._first_look(tokens, reading, known)
    (spans,), (scores,) = best_spans(moments, TOLD_SPANS)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    start, end = (row_of(model, min(float(t), 2.0)) for t in spans[0])
    assert torch.equal(found[0], start) and torch.equal(found[1], end)
    assert torch.equal(found[2], model.grades[round(10 * float(scores[0]))])
    assert torch.equal(found[3 * TOLD_SPANS], model.grades[round(10 * float(moments.present.sigmoid()))])


def row_of(model: LiteModel, seconds: float) -> Tensor:
    return model.new_rows[model.codec.tick(seconds, 2.0)]


def test_the_shots_stand_after_the_video_with_what_they_look_like():
    names = [[letter, letter + 1] for letter in range(CLASSES)]
    model, reading = LiteModel(tiny_config(has_prior=True), tiny_causal().model, names).eval(), asked(0)
    tokens, rows = model.eyes(SHOWN)
    seen = evidence()(SHOWN, tokens)
    known = model.known(tokens, reading, seen)
    told = model.rows_for(tokens, rows, reading, known, seen)[0, -TOLD_SHOTS * (3 + NAMES) :]
    told = told.view(TOLD_SHOTS, 3 + NAMES, -1)
    cut = row_of(model, 1.0)  # four steps of class 0, then four of class 3
    assert torch.equal(told[0, :2], torch.stack([row_of(model, 0.0), cut])) and torch.equal(told[1, 0], cut)
    table = model.language.get_input_embeddings().weight
    for shot, shown in enumerate((0, 3)):
        torch.testing.assert_close(
            torch.nn.functional.cosine_similarity(told[shot, 3], table[names[shown]].mean(0), dim=0), torch.tensor(1.0)
        )
    assert torch.equal(told[2:], model.grades[-1].expand_as(told[2:]))


def test_a_shot_without_a_picture_has_no_name():
    model = LiteModel(tiny_config(has_prior=True), tiny_causal().model, [[letter] for letter in range(CLASSES)]).eval()
    dark = replace(SHOWN, has_slow=SHOWN.has_slow & False)
    tokens, rows = model.eyes(dark)
    seen = evidence()(dark, tokens)
    assert (seen.told.classes == -1).all()
    told = model.rows_for(tokens, rows, asked(0), model.known(tokens, asked(0), seen), seen)
    first_shot = told[0, -TOLD_SHOTS * (3 + NAMES) :][: 3 + NAMES]
    assert torch.equal(first_shot[3:], model.grades[-1].expand(NAMES, -1))


def test_each_thing_that_a_question_names_is_looked_for_by_itself():
    model = tiny_model(has_prior=True).eval()
    alone, reading = asked(3), asked(0)
    both = zip(*(vars(each.meaning).values() for each in (reading, alone)), strict=True)
    meaning = Meaning(*(torch.cat(each) for each in both))
    reading = replace(reading, clause_of=torch.tensor([0]), meaning=meaning)
    tokens, rows = model.eyes(SHOWN)
    seen = evidence()(SHOWN, tokens)
    told = model.rows_for(tokens, rows, reading, model.known(tokens, reading, seen), seen)[0, :CLAUSE_PLACES]
    look = model._first_look(tokens, alone, model.known(tokens, alone, seen))
    (span,), _ = (each[0] for each in best_spans(look, 1))
    expected = [row_of(model, min(float(time), 2.0)) for time in span]
    expected.append(model.grades[round(10 * float(look.present.sigmoid()))])
    torch.testing.assert_close(told, torch.stack(expected))


def test_each_token_is_told_what_the_head_finds_of_it():
    one = torch.tensor([[[0.5, 1.5], [0.0, 2.0]]])
    known = torch.tensor([[1.0, -1.0]])
    proposals = Proposals(one, known, torch.zeros(1, 2), torch.tensor([[True, True]]), torch.tensor([1]))
    real = torch.tensor([[True, True, True, True]])
    untold = torch.zeros(1, 4), torch.zeros(1, 4), torch.zeros(1, 4, 2), torch.zeros(1)
    moments = Moments(*untold, real, proposals, torch.zeros(1, 0))
    starts = torch.arange(4) / 2
    (told,) = findings_of(moments, torch.stack([starts, starts + 0.5], -1)[None])
    likely, unlikely = torch.tensor([1.0, -1.0]).sigmoid().tolist()
    assert told[:, 1].tolist() == pytest.approx([unlikely, likely, likely, unlikely])
    assert told[:, 2:5].T.tolist() == [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_one_step_of_a_video_is_enough():
    inputs = showing(2)
    reading = replace(asked(2), is_visual=((place := torch.arange(7 + FOUND)[None]) >= 2) & (place < 3 + FOUND))
    assert tiny_model(has_prior=True)(inputs, reading, evidence()).moments().spans.isfinite().all()


def test_gradients_reach_all_that_makes_use_of_what_is_known():
    model = tiny_model(has_prior=True)
    found = model(SHOWN, asked(0, 3), evidence()).moments()
    (found.inside.sum() + found.spans.sum() + found.quality.sum() + found.present.sum()).backward()
    parts = (model.told, model.head.prior, model.head.meaning, model.head.words, model.head.points)
    assert all(each.grad is not None and each.grad.any() for part in parts for each in part.parameters())


# --- which answer is right ---


def offering(*options: Options | None, clauses: tuple[int, ...] = ()) -> Reading:
    """A question for each, about what class 0 shows; what they name, and options in words, are about others."""
    told = offered_by(options)
    of_options = range(1, 1 + len(told.told)), range(1, 1 + len(told.told)), range(1, 1 + len(told.named))
    classes = [0] * len(options), [3] * len(clauses), *of_options
    meaning = of_classes(*(each for some in classes for each in some))
    reading = asked(*[0] * len(options))
    return replace(
        reading, clause_of=torch.tensor(clauses, dtype=int), meaning=meaning, offered=offered_on(told, "cpu")
    )


CHOICE, YES_NO = Options("Which?", ("a dog", "a cat", "a fox"), is_lettered=True), Options("Is it?", ("Yes", "No"))
ORDERS = Options("In what order?", ("a dog, then a cat, then a fox", "a cat, then a fox, then a dog"))


def test_each_option_is_judged_with_the_moments_of_its_question():
    model, reading = tiny_model(has_prior=True), offering(CHOICE, None, YES_NO, clauses=(0, 2))
    tokens, _ = model.eyes(SHOWN)
    look = model.look(tokens, reading, evidence()(SHOWN, tokens))
    assert look.judged is not None and look.judged.shape == (5,) and len(set(look.judged.tolist())) == 5
    assert len(look.moments.present) == 3
    alone = model.look(tokens, asked(0, 0, 0), evidence()(SHOWN, tokens)).moments
    torch.testing.assert_close(look.moments.inside, alone.inside)


def test_each_thing_that_options_name_in_an_order_is_looked_for_once():
    model, reading = tiny_model(has_prior=True), offering(YES_NO, ORDERS)
    tokens, _ = model.eyes(SHOWN)
    seen = evidence()(SHOWN, tokens)
    assert len(model.known(tokens, reading, seen).numbers) == 2 + 2 * 2 + 3
    judged = model.look(tokens, reading, seen).judged
    assert judged.shape == (4,) and len(set(judged.tolist())) == 4
    turned = replace(reading.offered, part=reading.offered.part.flip(0))
    other = model.look(tokens, replace(reading, offered=turned), seen).judged
    torch.testing.assert_close(other[:2], judged[:2])
    assert not torch.isclose(other[2:], judged[2:]).any()


def test_where_no_options_are_known_none_are_judged():
    model, shown = tiny_model(has_prior=True), evidence()
    tokens, _ = model.eyes(SHOWN)
    for reading in (asked(0), offering(None)):
        assert model.look(tokens, reading, shown(SHOWN, tokens)).judged is None
    without = tiny_model()
    tokens, _ = without.eyes(SHOWN)
    assert without.judge is None and without.look(tokens, offering(CHOICE), shown(SHOWN, tokens)).judged is None
    assert model.look(tokens, offering(CHOICE)).judged is None


@pytest.mark.parametrize("reads", [True, False])
def test_a_model_that_judges_nothing_finds_as_one_that_does(reads):
    judging, model = (tiny_model(reads=reads, has_prior=True, judges=judges) for judges in (True, False))
    model.load_state_dict({name: e for name, e in judging.state_dict().items() if not name.startswith("judge.")})
    assert model.judge is None and judging.judge is not None
    tokens, reading = model.eyes.tokens(SHOWN), offering(CHOICE, YES_NO, ORDERS, clauses=(0,))
    look, other = (each.look(tokens, reading, evidence()(SHOWN, tokens)) for each in (model, judging))
    assert look.judged is None and other.judged is not None and len(look.moments.present) == 3
    torch.testing.assert_close(look.moments.inside, other.moments.inside)


def test_a_model_that_reads_judges_by_what_the_head_sees_before_it_reads():
    model, reading = tiny_model(has_prior=True), offering(CHOICE, YES_NO)
    output = model(SHOWN, reading, evidence())
    look = model.look(output.tokens, reading, evidence()(SHOWN, output.tokens))
    torch.testing.assert_close(output.judged(), look.judged)
    assert len(output.known.numbers) == 2 + 2 * 3 and output.moments().inside.shape == (2, 4)
    assert not torch.isclose(output.moments().inside, look.moments.inside).any()


@pytest.mark.parametrize("choice", [CHOICE, ORDERS])
def test_options_of_two_videos_are_judged_by_their_own(choice):
    model, shown = tiny_model(has_prior=True), ((0, 0, 0, 0, 3, 3, 3, 3), (5, 5, 3, 3, 3, 3, 1, 1))
    both = replace(tiny_inputs([8, 8]), slow=torch.cat([showing(*classes).slow for classes in shown]))
    reading = replace(offering(YES_NO, choice), video=torch.tensor([1, 0]))
    tokens, _ = model.eyes(both)
    judged = model.look(tokens, reading, evidence()(both, tokens)).judged
    for row, options, places in ((1, YES_NO, slice(2)), (0, choice, slice(2, None))):
        only = LiteInputs(*(each[row : row + 1] for each in vars(both).values()))
        tokens, _ = model.eyes(only)
        alone = model.look(tokens, offering(options), evidence()(only, tokens)).judged
        torch.testing.assert_close(judged[places], alone, atol=1e-5, rtol=0)  # float32, another order


# --- a model that does not read ---


def test_a_model_that_does_not_read_finds_and_judges_without_a_language_model():
    model, reading = tiny_model(reads=False, has_prior=True), offering(CHOICE)
    assert model.language is None
    nothing = torch.zeros(1, 0)
    empty = replace(reading, ids=nothing.long(), is_visual=nothing.bool(), answers=nothing.bool())
    tokens = model.eyes.tokens(SHOWN)
    look = model.look(tokens, empty, evidence()(SHOWN, tokens))
    assert look.moments.inside.isfinite().all() and look.judged.shape == (3,)


@pytest.mark.parametrize("changes", [{"reads": False}, {"listens": False}, {"reads": False, "listens": False}])
def test_what_does_not_read_must_be_told_what_is_known(changes):
    with pytest.raises(ValueError, match="does not hear what was read is told what is known"):
        tiny_config(**changes)
    assert not tiny_config(**changes, has_prior=True).hears and tiny_config().hears


def test_only_a_model_that_reads_has_a_language_model():
    with pytest.raises(ValueError, match="language model"):
        LiteModel(tiny_config(), None)
    with pytest.raises(ValueError, match="language model"):
        LiteModel(tiny_config(reads=False, has_prior=True), tiny_causal().model)


# --- a head that does not hear what was read ---


def test_a_head_that_does_not_hear_finds_the_same_whatever_is_read():
    model, reading = tiny_model(has_prior=True, listens=False), offering(CHOICE, YES_NO, clauses=(1,))
    assert not any(name.startswith(("hidden", "asked")) for name in model.head.state_dict())
    tokens, rows = model.eyes(SHOWN)
    seen = evidence()(SHOWN, tokens)
    look, output = model.look(tokens, reading, seen), model.read(tokens, rows, reading, seen)
    other = replace(output, hidden=output.hidden + 1.0)
    for each in (output, other):
        assert torch.equal(each.moments().spans, look.moments.spans) and torch.equal(each.judged(), look.judged)
    assert output.hidden.shape[-1] == 32 and output.hidden.isfinite().all()  # it reads all the same


def test_a_head_that_does_not_hear_is_asked_once_for_moments_and_answers(monkeypatch):
    model, asked_for = tiny_model(has_prior=True, listens=False), []
    output = model(SHOWN, offering(CHOICE), evidence())
    forward = model.head.forward
    monkeypatch.setattr(model.head, "forward", lambda *told: asked_for.append(told[0]) or forward(*told))
    output.moments(), output.judged(), output.moments()
    assert asked_for == [None]
