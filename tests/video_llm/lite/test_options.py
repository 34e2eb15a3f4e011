"""Which answers a question allows."""

import numpy as np
import pytest

from tvu.video_llm.benchmarks.choice import PROTOCOLS, MultipleChoice
from tvu.video_llm.lite.options import FIXED, Options, fixed_of, offered_by, options_of, words_of

NUMBERS = tuple(map(str, range(10)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_options_of_a_multiple_choice_are_read_however_it_is_put(protocol):
    choice = MultipleChoice("Which way does it go?", ("to the left", "2", "Yes."), protocol)
    told = options_of(choice.request.user)
    assert told == Options("Which way does it go?", ("to the left", "2", "Yes."), is_lettered=True)
    assert words_of(told, 1) == "(B) 2"


@pytest.mark.parametrize("form", ["{}. {}", "{}) {}", "({}) {}", "{}: {}"])
def test_options_as_people_type_them(form):
    lines = [form.format(letter, text) for letter, text in zip("ABC", ("a cat", "a dog", "none"), strict=True)]
    assert options_of("\n".join(["What is it?", *lines])) == Options("What is it?", ("a cat", "a dog", "none"), True)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Is there a dog?", ("Yes", "No")),
        ("can you see a dog in this clip", ("Yes", "No")),
        ("A dog jumps before a cat sleeps. Yes or no?", ("Yes", "No")),
        ("How many times does the dog jump?", NUMBERS),
        ("Count how often a ball falls", NUMBERS),
        ("is a ball seen once, twice, or more", NUMBERS),
        ("Which happens first: a dog jumps or a car stops?", ("a dog jumps", "a car stops")),
        ("Is it true that a dog jumps first, or that a car stops first?", ("a dog jumps first", "a car stops first")),
    ],
)
def test_answers_that_can_be_listed(question, options):
    told = options_of(question)
    assert told is not None and told.options == options and words_of(told, 0) == options[0]


def test_three_things_have_six_orders():
    told = options_of("In what order do these happen: a dog jumps; a car stops; a man waves?")
    assert told is not None and len(set(told.options)) == 6
    assert "a car stops, then a dog jumps, then a man waves" in told.options


@pytest.mark.parametrize(
    "question",
    [
        "When does the dog jump?",
        "a dog jumps",
        "How often and when is a crab on screen?",
        'When does "is there a dog?" happen in the video? Answer with its start and end.',
        "What happens after the dog jumps?",
        "Can you describe what happens?",
        "Does it happen more than once that a dog jumps? When?",
        "",
    ],
)
def test_answers_of_other_questions_cannot_be_listed(question):
    assert options_of(question) is None


def test_some_answers_mean_the_same_whatever_is_asked():
    assert [FIXED[fixed_of(text)] for text in ("Yes.", "no", "Three", "3", " 0 ")] == ["yes", "no", "3", "3", "0"]
    assert fixed_of("not sure") == -1 == fixed_of("12")
    numbers, mixed = options_of("how many dogs"), Options("?", ("2", "none of these"))
    assert numbers is not None and numbers.are_numbers and not mixed.are_numbers


def test_options_with_words_are_told_alone_and_after_their_question():
    offered = offered_by([None, Options("Who runs?", ("When does a dog appear?", "2")), Options("?", ("Yes", "No"))])
    np.testing.assert_array_equal(offered.question, [1, 1, 2, 2])
    np.testing.assert_array_equal(offered.number, [0, 1, 0, 1])
    assert [FIXED[place] for place in offered.fixed[1:]] == ["2", "yes", "no"] and offered.fixed[0] == -1
    assert list(offered.told) == [0]
    assert offered.alone == ("a dog",) and offered.joined == ("Who runs? When does a dog appear?",)


def test_nothing_may_be_offered():
    offered = offered_by([None, None])
    assert len(offered.question) == len(offered.told) == 0 and offered.alone == offered.joined == ()
