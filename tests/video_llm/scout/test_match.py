"""Questions into address and content, and words compared by letters and by kind."""

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.scout.match import (
    Unit,
    addresses,
    build_index,
    content_of,
    found_in,
    kinds_asked,
    kinds_in,
    plain_words,
    quote_of,
    score_words,
)


class LetterSentences:
    """Directions from counts of letters: enough to tell equal sentences from different ones."""

    def embed(self, texts):
        counts = np.array([[text.lower().count(chr(c)) for c in range(97, 123)] for text in texts], np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-6)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("When do they talk about the price?", "price"),
        ("when does she say 'open the window'", "open the window"),
        ("the part where they mention the flood", "flood"),
        ("When is the verdict announced?", "verdict"),
        ("a caption with the date of the recording", "date of the recording"),
        ("the word SALE on screen", "SALE"),
        ("a red car turns the corner", "red car turns the corner"),
        ("when?", "when?"),
    ],
)
def test_content_is_what_a_question_is_about(query, content):
    assert content_of(query) == content


def test_an_apostrophe_is_not_a_quotation_mark():
    assert quote_of("when does the dog's owner say it's time") is None
    assert quote_of("when does he say 'it's time'") == "it's time"


def test_questions_address_the_channel_they_name():
    assert addresses("When does the speaker thank the audience?")["speech"] == 1
    assert addresses("When does the caption with the date appear?")["screen-text"] == 1
    assert addresses("when does the dog appear?") == {"visual": 1, "speech": 0, "screen-text": 0}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Twelve dollars!", ["12", "dollars"]),
        ("eighteen eighty three", ["1883"]),
        ("a hundred thousand", ["a", "100000"]),
        ("two hundred and the third", ["200", "and", "the", "3"]),
        ("five five zero", ["5", "5", "0"]),
        ("1,250.50 EUR at 9:30", ["1250.50", "eur", "at", "9:30"]),
        ("Café", ["cafe"]),
    ],
)
def test_numbers_are_written_one_way(said, words):
    assert plain_words(said) == words


def test_letters_are_found_whatever_the_spaces_and_with_a_few_wrong():
    assert found_in(["breaking", "news"], ["breakingnews", "at", "9"]) == 1
    assert found_in(["photosynthesis"], ["photo", "sinthesis", "turns"]) > 0.9
    assert found_in(["dinosaur"], ["the", "price", "of", "bread"]) < 0.5
    assert found_in(["up"], ["super"]) == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12 MARCH 2024", "date"),
        ("$ 49.99", "price"),
        ("it costs twelve dollars", "price"),
        ("20:45", "time"),
        ("50% OFF", "percent"),
        ("CALL 555 0142", "phone"),
        ("www.example.org", "web"),
        ("info@green.net", "email"),
        ("18 °C", "temperature"),
        ("HOME 3 - 2 AWAY", "score"),
    ],
)
def test_kinds_of_things_are_known_by_their_shape(text, kind):
    assert kind in kinds_in(text)
    assert not kinds_in("once upon a lake")


def test_a_question_that_quotes_a_date_does_not_ask_for_one():
    assert "date" in kinds_asked("the caption with the date")
    assert not kinds_asked('when does he say "date"')


def test_the_unit_that_answers_comes_first_and_the_curve_is_high_there():
    units = [Unit("open the window", Span(1, 3)), Unit("buy a fish", Span(4, 6)), Unit("jump high", Span(7, 8))]
    candidates, curve = score_words(
        build_index("speech", units, LetterSentences()), 'when does she say "buy a fish"', LetterSentences()
    )
    assert candidates[0].span == Span(4, 6) and candidates[0].phrase == "buy a fish"
    assert curve.times[curve.scores.argmax()] == 4


def test_silence_has_no_candidates_and_an_empty_curve():
    candidates, curve = score_words(build_index("speech", [], LetterSentences()), "anything", LetterSentences())
    assert candidates == [] and len(curve.times) == 0
