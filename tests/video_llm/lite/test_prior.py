"""What is known of a question without training."""

import numpy as np
import pytest
import torch

from tests.video_llm.lite.tiny_lite import tiny_inputs, tiny_model
from tvu.temporal.types import VisualTokens
from tvu.video_llm import official_prompts, questions
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.grounding_ask import WORDS
from tvu.video_llm.lite.head import prior_features
from tvu.video_llm.lite.inputs import SLOW_CHANNELS, LiteInputs
from tvu.video_llm.lite.model import Reading
from tvu.video_llm.lite.prior import ClassEvidence, Meanings, content_of, prior_of
from tvu.video_llm.scout.visual import class_glosses, class_weights

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
    return LiteInputs(
        slow, inputs.motion, inputs.body, inputs.has_slow | True, inputs.has_motion, inputs.has_body, inputs.lengths
    )


def tokens_of(inputs: LiteInputs) -> VisualTokens:
    return tiny_model().eyes(inputs)[0]


def test_a_token_speaks_for_what_its_two_steps_show():
    inputs = showing(0, 0, 3, 3, 1, 1)
    found = evidence()(inputs, tokens_of(inputs))
    assert found.shape == (1, 3, CLASSES)
    assert found[0].argmax(-1).tolist() == [0, 3, 1]
    torch.testing.assert_close(found.mean(-1), torch.zeros(1, 3), atol=1e-5, rtol=0)


def test_what_the_whole_video_shows_counts_less_than_what_a_moment_shows():
    inputs = showing(*[0] * 6, 2, 2)
    found = evidence()(inputs, tokens_of(inputs))[0]
    alone = showing(2, 2)
    assert found[3, 2] > 0.9 * evidence()(alone, tokens_of(alone))[0, 0, 2]
    assert found[3, 0] < 0 < found[0, 0]


def test_a_token_without_pictures_says_nothing():
    inputs = showing(0, 0, 1, 1)
    blind = inputs.has_slow.clone()
    blind[0, 2:] = False
    inputs = LiteInputs(
        inputs.slow, inputs.motion, inputs.body, blind, inputs.has_motion, inputs.has_body, inputs.lengths
    )
    found = evidence()(inputs, tokens_of(inputs))[0]
    assert found[0].abs().sum() > 0 and found[1].abs().sum() == 0


def test_the_prior_is_the_product_of_evidence_and_question():
    inputs = showing(0, 0, 3, 3)
    found = evidence()(inputs, tokens_of(inputs))
    classes = torch.eye(CLASSES)[[3, 0]]
    scores = prior_of(found, classes, torch.tensor([0, 0]))
    assert scores.argmax(-1).tolist() == [1, 0]


def test_the_head_is_told_how_far_each_token_is_from_the_best():
    told = prior_features(torch.tensor([[3.0, 0.0, 9.0]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(told[0, :, 0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(told[0, :2, 1], torch.tensor([0.0, -1.0]))


class Directions:
    """Sentences that mean the class whose number they hold."""

    def embed(self, texts: list[str]) -> np.ndarray:
        found = np.zeros((len(texts), 1000), np.float32)
        for row, text in enumerate(texts):
            found[row, int("".join(letter for letter in text.split(":")[0] if letter.isdigit()))] = 1.0
        return found


def test_a_question_weighs_the_classes_that_it_is_close_to():
    names = [str(number) for number in range(len(class_glosses()))]
    meaning = Meanings(Directions(), names)(["When do we see 417?", "12"])
    assert meaning.classes.argmax(-1).tolist() == [417, 12]
    np.testing.assert_allclose(np.linalg.norm(meaning.classes, axis=-1), 1.0, rtol=1e-5)


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


def test_a_question_is_embedded_once():
    class Counted(Directions):
        texts: list[str] = []  # noqa: RUF012

        def embed(self, texts):
            self.texts += texts
            return super().embed(texts)

    sentences = Counted()
    meanings = Meanings(sentences, [str(number) for number in range(len(class_glosses()))])
    before = len(sentences.texts)
    one = meanings(["12", questions.moment_question("12"), "13"])
    two = meanings(["13", "12"])
    assert sentences.texts[before:] == ["12", "13"]
    np.testing.assert_array_equal(one.vectors[[2, 0]], two.vectors)


def test_autocast_leaves_the_prior_its_decimals():
    inputs = showing(0, 0, 3, 3, 1, 1)
    tokens = tokens_of(inputs)
    expected = evidence()(inputs, tokens)
    classes, video = torch.rand(1, CLASSES, generator=torch.Generator().manual_seed(0)), torch.tensor([0])
    with torch.autocast("cpu", torch.bfloat16):
        found = evidence()(inputs, tokens)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(prior_of(found, classes, video), prior_of(expected, classes, video))
    torch.testing.assert_close(prior_of(found, classes, video)[0], expected[0] @ classes[0])


def test_a_class_that_is_no_closer_than_most_does_not_speak():
    texts = np.eye(50, dtype=np.float32)
    weights = class_weights((texts, texts), texts[7])
    assert np.count_nonzero(weights) == 1 and weights[7] == pytest.approx(1.0)


def test_a_head_with_a_prior_runs_where_nothing_is_known():
    model = tiny_model(has_prior=True)
    inputs = tiny_inputs([8])
    ids = torch.zeros(1, 7, dtype=torch.long)
    is_visual = torch.zeros(1, 7, dtype=torch.bool)
    is_visual[0, 2:6] = True
    reading = Reading(ids, is_visual, torch.tensor([0]), is_visual & False, torch.tensor([6]))
    unknown = model(inputs, reading).moments()
    told = Reading(
        ids, is_visual, torch.tensor([0]), is_visual & False, torch.tensor([6]), torch.ones(1, 384),
        torch.eye(CLASSES)[:1],
    )  # fmt: skip
    known = model(inputs, told, evidence()).moments()
    assert unknown.present.isfinite().all() and not torch.equal(unknown.inside, known.inside)
