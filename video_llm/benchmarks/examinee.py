"""Any model of tvu sits an exam: a multiple choice about a clip."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.frame_rule import holding, seconds_to_look_at
from tvu.video_llm.benchmarks.matching import letter_of, option_told
from tvu.video_llm.benchmarks.types import AskConfig, Response
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Answer, Request, VideoClip, VideoModel


@runtime_checkable
class Chooser(Protocol):
    """A model with a way of its own to choose."""

    def choose(self, clip: VideoClip, question: MultipleChoice) -> Answer:
        """An answer whose text tells the option, as `(B)`."""
        ...


@runtime_checkable
class Writer(Protocol):
    """A model that writes free text after a prompt: a Video-LLM."""

    def write(
        self, clip: VideoClip, request: Request, *, sampling: SamplingConfig | None = None, max_new_tokens: int
    ) -> Answer:
        """What it writes, to the character; `sampling` None looks as it does on its own."""
        ...


def choose(model: VideoModel, clip: VideoClip, question: MultipleChoice, config: AskConfig) -> Response:
    """What `model` answers about the clip's span; `prediction` is the option by the strict rule, from 0.

    A `Chooser` is asked as it likes. A `Writer` gets the words and the frames of the question's protocol and writes the
    likeliest text; a frame that the protocol takes twice is seen once. Of any other model, see `likeliest_option`.
    Raises VideoError, and whatever the model raises.
    """
    if isinstance(model, Chooser):
        answer = model.choose(clip, question)
    elif isinstance(model, Writer):
        seconds = seconds_to_look_at(clip, question.protocol, config.frames)
        answer = model.write(
            clip if seconds is None else holding(clip, seconds),
            question.request,
            sampling=None if seconds is None else SamplingConfig(at_seconds=seconds),
            max_new_tokens=question.max_new_tokens,
        )
    else:
        answer = likeliest_option(model, clip, question)
    choice = option_told(answer.text, question.options)
    return Response(
        "unparsed" if choice is None else "parsed", choice, answer.text, answer.prompt, answer.frame_seconds
    )


def likeliest_option(model: VideoModel, clip: VideoClip, question: MultipleChoice) -> Answer:
    """The option that a model which only finds moments holds for likeliest, as `(B)`.

    Each option is searched for as a statement of its own, and scored with its likeliest span; where that is the same,
    as where nothing is likely enough to be told, with the highest point of its curves; then the first. This is no
    generative protocol: such a model sees neither the other options nor what a negation or a count means.
    """
    told = statements(question)
    answers = model.find(clip, told)
    likely = [_likelihood(answer) for answer in answers]
    best = likely.index(max(likely))
    seconds = sorted({second for answer in answers for second in answer.frame_seconds})
    text = f"({letter_of(best)})"
    return Answer(question.question, text, (), model.name, prompt="\n".join(told), frame_seconds=tuple(seconds))


def statements(question: MultipleChoice) -> Sequence[str]:
    """The question and each of its options as one text."""
    return [f"{question.question} {option}" for option in question.options]


def _likelihood(answer: Answer) -> tuple[float, float]:
    best = answer.groundings[0].score if answer.groundings else 0.0
    return best, max((float(curve.scores.max()) for curve in answer.curves if len(curve.scores)), default=0.0)
