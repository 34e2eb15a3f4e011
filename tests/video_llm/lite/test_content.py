"""What a question names, one by one."""

from itertools import permutations

import pytest

from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.lite.content import MOST_CLAUSES, clauses_of, tells_action
from tvu.video_llm.questions import captions_request, highlights_request, moment_question


def named(question: str) -> list[str]:
    return [clause.text for clause in clauses_of(question)]


@pytest.mark.parametrize(
    "question",
    [
        "Which happens first: a dog jumps, or a car stops?",
        "a dog jumps or a car stops - which first",
        "Is it true that a dog jumps before a car stops? Answer with yes or no only.",
        'Did "a dog jumps" happen earlier than "a car stops"?',
        "First a dog jumps, then a car stops. Is that the right order?",
        "Question: Which of these happens?\nOptions:\n(A) a dog jumps\n(B) a car stops\nOnly give the best option.",
        "Which?\nA. a dog jumps\nB. a car stops",
        "Which?\nA: a dog jumps\nB: a car stops",
    ],
)
def test_options_and_events_in_an_order_are_named_one_by_one(question):
    assert named(question) == ["a dog jumps", "a car stops"]


@pytest.mark.parametrize(
    "question",
    [
        "When does the dog, which is brown, jump?",
        moment_question("a dog jumps before a car stops"),
        highlights_request("a dog"),
        captions_request(),
        "Does a dog jump?\n(A) Yes\n(B) No",
        "How often?\n(A) 1\n(B) 2\n(C) 3",
        "What happens first?",
        "",
    ],
)
def test_nothing_is_named_where_it_is_one_thing_or_none(question):
    assert named(question) == []


def test_an_option_of_one_word_is_named():
    assert named("Which one?\n(A) red\n(B) blue") == ["red", "blue"]


@pytest.mark.parametrize("options", ["(A) left\n(B) right", "A. left\nB. right", "(A) a dog jumps\n(B) no"])
def test_of_the_options_all_are_named_or_none(options):
    assert named(f"What is first seen, a dog or a car?\n{options}")[2:] == []


def test_what_a_protocol_says_before_the_question_names_nothing():
    choice = MultipleChoice("Which is first?", ("a dog jumps", "a car stops"), "official")
    assert named(choice.request.user) == ["a dog jumps", "a car stops"]


def test_options_of_many_parts_are_one_thing_each():
    orders = [", then ".join(f"{thing} jumps" for thing in order) for order in permutations(("dog", "cat", "fox"))]
    choice = MultipleChoice("In what order?", tuple(orders[:5]))
    assert named(choice.request.user) == orders[:5]
    assert named(MultipleChoice("In what order?", tuple(orders[:2])).request.user)[:2] == ["dog jumps", "cat jumps"]


@pytest.mark.parametrize(
    "asks",
    ["Reconstruct the sequence:", "Sort what this person did by time:", "Of these in the kitchen, which is first:"],
)
def test_words_before_a_list_name_nothing(asks):
    question = f"{asks} a dog jumps; a car stops; a man waves."
    assert named(question) == ["a dog jumps", "a car stops", "a man waves"]
    assert [question[: clause.end].rsplit(maxsplit=1)[1] for clause in clauses_of(question)] == [
        "jumps",
        "stops",
        "waves",
    ]


def test_what_is_named_before_a_list_that_is_no_instruction_stays():
    assert named("What happens after the dog barks: a car stops; a man waves?")[0] == "the dog barks"
    assert named("A man opens the door: then he sits; then he leaves.")[0] == "A man opens the door"
    assert named("After the bell, in what order do these happen: a dog jumps; a cat sits?")[0] == "the bell"
    assert named("Question: Sort these by time: a dog jumps; a cat sits")[0] == "a dog jumps"


def test_without_a_list_words_before_a_colon_are_named():
    assert named("What did the cook do first: open the door or sit down?")[0] == "What did the cook do first"
    assert named("a cook waves: a dog jumps, then a car stops")[0] == "a cook waves"
    assert named("First a cook waves; then at 0:12 a dog jumps; then it stops")[0] == "a cook waves"


def test_a_clause_ends_behind_its_last_word():
    question = "Which is first: a dog jumps, or a car stops?"
    assert [question[: clause.end].rsplit(maxsplit=1)[1] for clause in clauses_of(question)] == ["jumps", "stops"]


def test_no_more_are_named_than_there_is_place_for():
    question = "In what order: " + "; ".join(f"dog {'x' * n} jumps" for n in range(1, 30)) + "?"
    assert len(clauses_of(question)) == MOST_CLAUSES


@pytest.mark.parametrize(
    "question",
    [
        "someone shuffling cups",
        "a dog shakes itself",
        "when does he jump?",
        "the cups are moved",
        "A man carries a box",
        "Someone washes the dishes",
        "the door is opened",
        "Did the ball stop?",
    ],
)
def test_some_questions_tell_of_something_that_is_done(question):
    assert tells_action(question)


@pytest.mark.parametrize(
    "question",
    [
        "a street with cars",
        "when do we see taxis",
        "a building in the morning",
        "the hand on the table",
        "a painting on a wall",
        "a walk in the park",
        "When can you see a ring?",
        "What do we drink from?",
        "",
    ],
)
def test_others_name_things_and_places(question):
    assert not tells_action(question)
