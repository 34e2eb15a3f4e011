"""Which answers a question allows."""

from itertools import permutations

import numpy as np
import pytest

from tvu.video_llm.benchmarks.choice import PROTOCOLS, MultipleChoice
from tvu.video_llm.lite.options import FIXED, Options, fixed_of, offered_by, options_of, parts_of, words_of

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
        ("Did he jump up first, sit down, or stand up?", ("Yes", "No")),
        ("How many times does the dog jump?", NUMBERS),
        ("Count how often a ball falls", NUMBERS),
        ("is a ball seen once, twice, or more", NUMBERS),
        ("Which happens first: a dog jumps or a car stops?", ("a dog jumps", "a car stops")),
        ("Is it true that a dog jumps first, or that a car stops first?", ("a dog jumps first", "a car stops first")),
        ("What did he do first, open the door or sit down?", ("open the door", "sit down")),
        ("What did the man do first, open the door or sit down?", ("open the door", "sit down")),
        ("Who is the man waving to first, a dog or a cat?", ("a dog", "a cat")),
        ("Two things happen, a dog barks and a car stops. Name the earlier.", ("a dog barks", "a car stops")),
        (
            "two things happen, a man stands on hands and feet and the dog barks. name the later",
            ("a man stands on hands and feet", "the dog barks"),
        ),
        ("Two things happen, it snows and wine tasting begins. Name the later.", ("it snows", "wine tasting begins")),
        ("Name the earlier of two things: a dog barks and a car stops.", ("a dog barks", "a car stops")),
    ],
)
def test_answers_that_can_be_listed(question, options):
    told = options_of(question)
    assert told is not None and told.options == options and words_of(told, 0) == options[0]


@pytest.mark.parametrize(
    ("stem", "asks_for_absent"),
    [
        ("Which of these does not happen in the video?", True),
        ("Which one is missing from the footage?", True),
        ("What doesn't take place?", True),
        ("Choose the statement that is false.", True),
        ("Which event is never shown?", True),
        ("In the video, what doesn't happen?", True),
        ("Which cannot be seen?", True),
        ("What is the man not wearing?", True),
        ("What happens when the dog does not move?", False),
        ("What does the woman who isn't wearing a hat do?", False),
        ("What is wrong with the car?", False),
        ("Which statement is not false?", False),
        ("Choose the right answer, do not explain.\nWhat does the dog do?", False),
        ("Which of these happens in the video?", False),
        ("Why does the man not sit down?", False),
        ("What happens after the man does nothing?", False),
    ],
)
def test_a_choice_may_ask_for_what_does_not_happen(stem, asks_for_absent):
    told = Options(stem, ("a dog", "2"), is_lettered=True)
    assert told.ask_for_absent == asks_for_absent
    assert offered_by([None, told]).absent.tolist() == [asks_for_absent]  # of the options with words
    assert not Options(stem, ("Yes", "No")).ask_for_absent
    assert not Options(stem, ("2", "three"), is_lettered=True).ask_for_absent


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
        "Which happens first: a dog jumps, a car stops or a man waves?",
        "What happens last: a dog jumps, a car stops, or a man waves?",
        "After the dog barks, which comes first: a car stops, or a man waves?",
        "After the dog barks, which comes first: a car stops; a man waves?",
        "What did the dog do first, or what did the cat do first, or what did the bird do?",
        "A dog jumps: a man runs; a cat sits. Which is the correct order?",
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
    assert len(offered.named_by) == len(offered.part) == len(offered.part_of) == 0 and offered.named == ()


# --- what options name in an order ---


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("Circle, star, heart.", "Star, circle, heart."), (("Circle", "star", "heart"), ("Star", "circle", "heart"))),
        (("a dog, and a cat", "a cat, and a dog"), (("a dog", "a cat"), ("a cat", "a dog"))),
        (("a dog, then a cat", "a cat, and then a dog"), (("a dog", "a cat"), ("a cat", "a dog"))),
        (
            ("sits then stands; then runs", "runs; sits; stands"),
            (("sits", "stands", "runs"), ("runs", "sits", "stands")),
        ),
        (("a dog, a cat, then a fox", "a fox; a dog, a cat"), (("a dog, a cat", "a fox"), ("a fox", "a dog, a cat"))),
        (("from left to right", "From right to left."), (("left", "right"), ("right", "left"))),
    ],
)
def test_some_options_name_things_one_after_the_other(options, parts):
    assert parts_of(options) == parts


@pytest.mark.parametrize(
    "options",
    [
        ("a dog", "a cat"),
        ("a dog, a cat", "a fox"),
        ("a dog, a cat", "a fox, a dog, a cat"),
        ("a dog, a cat", "a fox, then a dog, a cat"),
        ("a dog, then a cat, a fox", "a cat, a dog, a fox", "a fox, a dog, a cat"),
        ("from left, to right", "from right to left"),
        ("a dog then a cat", "a fox, a dog"),
        ("from left to right", "to the left"),
        ("then a dog", "then a cat"),
        ("Yes", "No"),
        ("a dog",),
        ("", "."),
        (),
    ],
)
def test_options_that_are_not_taken_apart_in_the_same_way_name_nothing(options):
    assert parts_of(options) == ((),) * len(options)


def test_a_thing_that_several_options_of_a_question_name_is_one_text():
    one = Options("Which order?", ("A dog, a cat, a fox.", "a cat, a dog, a fox"))
    other = Options("Which way?", ("from a dog to a cat", "from a cat to a dog"))
    offered = offered_by([Options("?", ("Yes", "No")), one, None, other, Options("Who?", ("a dog", "a cat"))])
    assert offered.named == ("a dog", "a cat", "a fox", "a dog", "a cat")
    np.testing.assert_array_equal(offered.named_by, [1, 1, 1, 3, 3])
    np.testing.assert_array_equal(offered.part, [0, 1, 2, 1, 0, 2, 3, 4, 4, 3])
    np.testing.assert_array_equal(offered.part_of, [0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(offered.told, [2, 3, 4, 5, 6, 7])
    assert len(offered.alone) == len(offered.joined) == 6 and offered.joined[1] == "Which order? a cat, a dog, a fox"


def test_of_three_things_in_any_order_each_is_named_once():
    offered = offered_by([options_of("In what order do these happen: a dog jumps; a car stops; a man waves?")])
    assert offered.named == ("a dog jumps", "a car stops", "a man waves")
    assert sorted(map(tuple, offered.part.reshape(6, 3))) == list(permutations(range(3)))
    np.testing.assert_array_equal(offered.part_of, np.repeat(np.arange(6), 3))
