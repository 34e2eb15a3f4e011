import pytest

from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.put_in_words import multiple_choice_in


@pytest.mark.parametrize("protocol", ["tvu", "official", "lmms-eval", "vlmevalkit"])
def test_what_a_harness_put_into_words_is_taken_apart_again(protocol):
    asked = MultipleChoice("Which way does it go?", ("Up.", "Down (again).", "A: neither."), protocol)
    told = multiple_choice_in(asked.request.user)
    assert told is not None
    assert (told.question, told.options) == (asked.question, asked.options)


@pytest.mark.parametrize(
    "prompt",
    [
        "What happens?\nA. rain\nB. snow\nAnswer with the option's letter from the given choices directly.",
        "Select the best answer.\nQuestion: What happens?\nOptions:\n(A) rain\n(B) snow\nThe best answer is:",
        "What happens?\n[A] rain\n[B] snow",
        "What happens?\n  A) rain  \n  B) snow  \n",
    ],
)
def test_options_are_listed_in_several_ways(prompt):
    told = multiple_choice_in(prompt)
    assert told is not None
    assert (told.question, told.options) == ("What happens?", ("rain", "snow"))


@pytest.mark.parametrize(
    "prompt", ["", "When does the dog jump?", "A. is a letter", "A. rain\nC. snow", "B. rain\nC. snow", "A.\nB.\n"]
)
def test_what_lists_no_options_is_no_multiple_choice(prompt):
    assert multiple_choice_in(prompt) is None
