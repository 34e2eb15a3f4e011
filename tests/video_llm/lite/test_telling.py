"""Which questions want to be told what happens, and what of it."""

import pytest

from tvu.video_llm.lite.telling import Telling, telling_of
from tvu.video_llm.questions import captions_request

ALL, FIRST, LAST = Telling("all"), Telling("first"), Telling("last")


@pytest.mark.parametrize(
    ("question", "telling"),
    [
        (captions_request(), ALL),
        ("What happens in the video?", ALL),
        ("what is shown in this clip", ALL),
        ("Describe the video.", ALL),
        ("Can you describe the video?", ALL),
        ("Tell me what happens in the video, with times", ALL),
        ("What is in the video?", ALL),
        ("What do we see?", ALL),
        ("What happens first?", FIRST),
        ("What opens the video?", FIRST),
        ("How does the video begin?", FIRST),
        ("What is the first thing that happens?", FIRST),
        ("What happens at the very beginning of the video?", FIRST),
        ("what is seen latest", LAST),
        ("What closes the video", LAST),
        ("How does this clip end?", LAST),
        ("What happens after the dog jumps?", Telling("after", "the dog jumps")),
        ("After the dog jumps, what happens next?", Telling("after", "the dog jumps")),
        ("which event follows a dog running", Telling("after", "a dog running")),
        ("What comes right before the goal?", Telling("before", "the goal")),
        ("Before the goal, what do we see?", Telling("before", "the goal")),
        ("What precedes the goal?", Telling("before", "the goal")),
        ("What happens in the video after the goal, and when?", Telling("after", "the goal")),
        ("What's happening?", ALL),
        ("How does it end?", LAST),
    ],
)
def test_what_happens_is_to_be_told(question, telling):
    assert telling_of(question) == telling


@pytest.mark.parametrize(
    "question",
    [
        "When does the dog jump?",
        "a dog jumps",
        "What is the dog doing?",
        "What happens when the dog jumps?",
        "What colour is the car?",
        "How does the video work?",
        "How many dogs are in the video?",
        "Does the video open with a dog?",
        "What is said first?",
        "What is next?",
        "What happens before or after the goal?",
        "What happens after 00:10?",
        "What happens after ,?",
        "What happens before the end?",
        "",
        "What happens after " + "after " * 5000,
        "After " + "a, what happens, " * 5000,
    ],
)
def test_what_asks_for_something_else_is_not(question):
    assert telling_of(question) is None


def test_what_comes_after_is_told_of_something():
    for which, than in (("after", ""), ("all", "the goal")):
        with pytest.raises(ValueError, match="after or before"):
            Telling(which, than)
