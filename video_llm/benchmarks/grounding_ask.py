"""How a model is asked for moments: its own search, or the words and the parsers of published evaluations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tvu.temporal.time_tokens.harness_answers import lmms_eval_span, timelens_span
from tvu.temporal.time_tokens.lita import STAMP, official_span
from tvu.temporal.time_tokens.official_answers import retrieval_span
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.baselines import told
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.examinee import Writer, choose
from tvu.video_llm.benchmarks.types import AskConfig, Item, Json, Response
from tvu.video_llm.errors import BenchmarkError
from tvu.video_llm.types import Answer, Request, VideoClip, VideoModel

Parser = Callable[[str], tuple[float, float] | None]

PARSERS: Mapping[str, Parser] = {"timechat": retrieval_span, "lmms-eval": lmms_eval_span, "timelens": timelens_span}
"""The one span that a text is scored by, seconds; what each misses is part of it."""

_TIMESUITE = (
    "Please find the visual event described by a sentence in the video, determining its starting and ending times. The "
    "format should be: 'The event happens in the start time - end time'. For example, The event 'person turn a light "
    "on' happens in the 24.3 - 30.4 seonds. Now I will give you the textual sentence: {}. Please return its start time "
    "and end time."
)
_TIMELENS = (
    "Please find the visual event described by the sentence '{}', determining its starting and ending times. The "
    "format should be: 'The event happens in <start time> - <end time> seconds'."
)


@dataclass(frozen=True)
class Words:
    """How a published evaluation asks: its prompt, with a place for the query, its parser, and its longest answer."""

    prompt: str
    matching: str
    max_new_tokens: int


WORDS: Mapping[str, Words] = {
    "official": Words("You are given a video from the {dataset} dataset. " + _TIMESUITE, "timechat", 512),
    "lmms-eval": Words(_TIMESUITE, "lmms-eval", 50),
    "timelens": Words(_TIMELENS, "timelens", 50),
}
"""`official` is TimeSuite's, which TimeChat's family shares. Its example is the first item of Charades-STA, and after a
query that ends in a full stop come two: both are kept, for models were trained on it."""


def ask_for_spans(item: Item, clip: VideoClip, model: VideoModel, config: AskConfig, dataset: str) -> Response:
    """The spans of the item's query, `[[start, end, score], …]` in file seconds, best first; none is an answer too.

    Protocol `tvu` has the model find them its own way. The others (`WORDS`) put the words of a published evaluation to
    a model that writes, with the dataset's name where they tell it, and read one span from its text by the parser that
    `config.matching` names (`PARSERS`), or by that evaluation's own; a text without one is `unparsed`. A model that
    writes nothing gets the words as a question. Raises BenchmarkError for an unknown protocol or parser.
    """
    model = told(model, item)
    if config.protocol == "tvu":
        check_no_matching(config)
        (answer,) = model.find(clip, [item.question])
        return response_of(answer, scored_spans(answer))
    words = _named(WORDS, config.protocol, "protocol")
    parser = _named(PARSERS, config.matching or words.matching, "matching")
    answer = written(words.prompt.format(item.question, dataset=dataset), words.max_new_tokens, clip, model)
    return response_of(answer, _read(parser, answer.text, clip.span))


def ask_in_words(item: Item, clip: VideoClip, model: VideoModel, config: AskConfig) -> Response:
    """The span that a model tells when it is asked the item's question as it stands.

    Protocol `tvu` takes the spans that the model's own reader finds in the answer. `official` reads the text as LITA
    does, the first two `<seconds>` of it. Without any, `unparsed`. Raises BenchmarkError for another protocol.
    """
    check_no_matching(config)
    model = told(model, item)
    if config.protocol == "tvu":
        answer = model.answer(clip, item.question)
        return response_of(answer, scored_spans(answer) or None)
    if config.protocol != "official":
        raise BenchmarkError(f"no protocol is called {config.protocol!r} here", hint="tvu or official")
    answer = written(item.question, 1024, clip, model)
    if len(STAMP.findall(answer.text)) < 2:
        return response_of(answer, None)
    start, end = official_span(answer.text, clip.duration_seconds)[1]
    return response_of(answer, [[start, end]])


def ask_for_choice_and_spans(item: Item, clip: VideoClip, model: VideoModel, config: AskConfig) -> Response:
    """The option of a multiple choice and where the question is answered: `{"choice": 2, "spans": [[…], …]}`.

    The protocol is that of the multiple choice; moments are found the model's own way. `unparsed` without an option.
    """
    check_no_matching(config)
    question = MultipleChoice(item.question, item.options, config.protocol)
    chosen = choose(told(model, replace(item, truth=item.truth["choice"])), clip, question, config)
    (answer,) = told(model, replace(item, truth=item.truth["spans"])).find(clip, [item.question])
    return replace(chosen, prediction={"choice": chosen.prediction, "spans": scored_spans(answer)})


def written(prompt: str, max_new_tokens: int, clip: VideoClip, model: VideoModel) -> Answer:
    """What the model writes after `prompt`; the answer to it as a question of one that writes nothing."""
    if isinstance(model, Writer):
        return model.write(clip, Request(prompt), max_new_tokens=max_new_tokens)
    return model.answer(clip, prompt)


def scored_spans(answer: Answer) -> list[list[float]]:
    """The spans of an answer as JSON, best first."""
    return [[each.span.start_seconds, each.span.end_seconds, each.score] for each in answer.groundings]


def response_of(answer: Answer, prediction: Json) -> Response:
    """A response with all that the answer tells; None as prediction is one that was not understood."""
    prompt = answer.prompt or answer.question
    return Response(
        "unparsed" if prediction is None else "parsed", prediction, answer.text, prompt, answer.frame_seconds
    )


def clip_saliency(answer: Answer, duration: float, clip_seconds: float = 2.0) -> list[float]:
    """How well each clip of `clip_seconds` fits, `int(duration / clip_seconds)` of them, from the start of the file.

    The best channel's curve, averaged over four points of the clip, where the model gives curves; else the likeliest
    span that the clip lies in, by the share of the clip that it covers.
    """
    starts = clip_seconds * np.arange(int(duration / clip_seconds))
    if answer.curves:
        points = starts[:, None] + clip_seconds * np.array([0.125, 0.375, 0.625, 0.875])  # [clips, 4]
        channels = [np.interp(points, curve.times, curve.scores).mean(1) for curve in answer.curves if len(curve.times)]
        return [float(score) for score in np.max(channels, axis=0)] if channels else [0.0] * len(starts)
    best = np.zeros(len(starts))
    for start, end, score in scored_spans(answer):
        covered = np.minimum(starts + clip_seconds, end) - np.maximum(starts, start)
        best = np.maximum(best, score * np.clip(covered / clip_seconds, 0.0, 1.0))
    return [float(score) for score in best]


def check_no_matching(config: AskConfig) -> None:
    """Raises BenchmarkError for a parser where no text is parsed."""
    if config.matching is not None:
        raise BenchmarkError(
            f"protocol {config.protocol} reads no text by --matching {config.matching}", hint="leave it out"
        )


def _read(parser: Parser, text: str, part: Span) -> list[list[float]] | None:
    """The span that `text` tells, in file seconds: to the model, times count from the start of `part`."""
    try:
        span = parser(text)
    except ValueError:  # the published parser stops at numbers like 1..5
        return None
    return None if span is None else [[part.start_seconds + time for time in span]]


def _named(known: Mapping[str, Json], name: str, what: str) -> Json:
    if name not in known:
        raise BenchmarkError(f"no {what} is called {name!r} here", hint=", ".join(known))
    return known[name]
