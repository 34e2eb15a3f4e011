"""What a Video-LLM of ours is asked, in words; it is trained on the same ones."""

from collections.abc import Callable
from dataclasses import dataclass

YES, NO = "Yes", "No"


def moment_question(event: str) -> str:
    """When an event happens, once."""
    return f'When does "{_named(event)}" happen in the video? Answer with its start and end.'


def moments_question(event: str) -> str:
    """When an event happens, every time it does."""
    return f'When does "{_named(event)}" happen in the video? Answer with the start and end of every time.'


def presence_question(event: str) -> str:
    """Whether an event happens at all: `YES` or `NO`."""
    return f'Does "{_named(event)}" happen in the video? Answer {YES} or {NO}.'


def evidence_question(question: str) -> str:
    """Where in the video to look for the answer to another question."""
    return f'Which part of the video answers "{_named(question)}"? Answer with its start and end.'


def answerable_question(question: str) -> str:
    """Whether there is an answer in the video at all: `YES` or `NO`."""
    return f'Does the video answer "{_named(question)}"? Answer {YES} or {NO}.'


def captions_request() -> str:
    """Dense captions: a line for each event, its start and end and a sentence."""
    return "Describe the events of the video in order, one a line: its start and end, then a sentence."


def highlights_request(topic: str) -> str:
    """The moments worth seeing."""
    return f'Which moments of the video show "{_named(topic)}" best? Answer with the start and end of each, best first.'


@dataclass(frozen=True)
class Seeking:
    """How a model is asked for something that may be anywhere in a long video, or nowhere.

    where: for its start and end in what is seen; whether: `YES` or `NO`.
    """

    where: Callable[[str], str]
    whether: Callable[[str], str]


EVENTS = Seeking(moment_question, presence_question)
ANSWERS = Seeking(evidence_question, answerable_question)


def _named(text: str) -> str:
    return text.strip().rstrip(".").replace('"', "'")
