"""One question, from file to answer. The whole story is told here, and only told: each step lives in its own file."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tvu.video_llm.decode import open_video
from tvu.video_llm.parse import parse_groundings, readable
from tvu.video_llm.questions import EVENTS, Seeking
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Answer, Decoder, Grounding, Request, VideoClip, VideoModel

if TYPE_CHECKING:
    from tvu.video_llm.types import Prompt
    from tvu.video_llm.video_llm import VideoLLM

Report = Callable[[str, float], None]
"""Called with a stage in words and how much of it is done, in [0, 1]; calls may come from several threads."""


def be_silent(stage: str, done: float) -> None:
    """The report of somebody who watches no progress."""


@dataclass(frozen=True)
class PipelineConfig:
    """What one run looks at, and how much of what it finds is told.

    start_seconds, end_seconds: the part to look at; None means the file's own start and end, or those of `path#t=a,b`.
    top: at most so many spans; None tells all that the model finds likely.
    decoder: the reader of the frames.
    sampling: how densely a Video-LLM looks; None: as it was trained.
    """

    start_seconds: float | None = None
    end_seconds: float | None = None
    top: int | None = None
    decoder: Decoder = "pyav"
    sampling: SamplingConfig | None = None

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise ValueError(f"top must be at least 1, not {self.top}")


def answer_question(video: str | Path, question: str, model: "VideoLLM", config: PipelineConfig) -> Answer:
    """One question about a video that a Video-LLM sees at once: from a file to an answer, all of it.

    `VideoLLM.answer` tells this of every window of a longer one. Raises VideoError, and PromptTooLong.
    """
    clip = _opened(video, config)
    frames = model.sample_frames(clip, config.sampling)
    seen = model.encode_frames(frames)
    tokens = model.encode_time(seen)
    tokens = model.compress_tokens(tokens, seen)
    prompt = model.build_prompt([question], tokens, seen)
    (generation,) = model.generate(prompt, [question])
    groundings = parse_groundings(generation, clip.span, model.processor)
    text = readable(generation.text, clip.span, model.codec)
    return Answer(question, text, groundings, model.name, prompt=model.told(prompt), frame_seconds=seen.frame_seconds)


def write_reply(
    clip: VideoClip, request: Request, model: "VideoLLM", sampling: SamplingConfig | None, max_new_tokens: int
) -> Answer:
    """What a Video-LLM writes after `request` about a clip that is seen at once: the likeliest text, to the character.

    sampling: None looks as the model was trained. Raises VideoError, and PromptTooLong.
    """
    frames = model.sample_frames(clip, sampling)
    seen = model.encode_frames(frames)
    tokens = model.encode_time(seen)
    tokens = model.compress_tokens(tokens, seen)
    prompt = model.build_prompt([request], tokens, seen)
    text = model.likeliest_text(prompt, max_new_tokens)
    return Answer(request.user, text, (), model.name, prompt=model.told(prompt), frame_seconds=seen.frame_seconds)


def ground_queries(
    video: str | Path, queries: Sequence[str], model: "VideoLLM", config: PipelineConfig, seeking: Seeking = EVENTS
) -> list[list[Grounding]]:
    """When each query happens in a video that is seen at once, if it does: its likeliest spans, best first.

    All queries share what is seen, and what the language model reads of it. Every answer is a span, and its score the
    probability of that span where there is one. Raises VideoError, and PromptTooLong.
    """
    clip = _opened(video, config)
    prompt = _asked(clip, [seeking.where(query) for query in queries], model, config)
    spans = model.best_spans(prompt, clip.span)
    return [[Grounding(span, score, "visual") for span, score in found] for found in spans]


def weigh_queries(
    video: str | Path, queries: Sequence[str], model: "VideoLLM", config: PipelineConfig, seeking: Seeking = EVENTS
) -> list[float]:
    """How likely each query is in a video that is seen at once at all, in [0, 1]: the probability of yes against no."""
    clip = _opened(video, config)
    return model.probability_of_yes(_asked(clip, [seeking.whether(query) for query in queries], model, config))


def _asked(clip: VideoClip, questions: Sequence[str], model: "VideoLLM", config: PipelineConfig) -> "Prompt":
    """The same story up to the prompt, of several questions."""
    frames = model.sample_frames(clip, config.sampling)
    seen = model.encode_frames(frames)
    tokens = model.encode_time(seen)
    tokens = model.compress_tokens(tokens, seen)
    return model.build_prompt(questions, tokens, seen)


def answer_questions(
    video: str | Path, questions: Sequence[str], model: VideoModel, config: PipelineConfig
) -> tuple[VideoClip, list[Answer]]:
    """Open a video, and have any model answer every question; it is decoded and encoded once, by the first of them.

    Raises VideoError if it cannot be read, WeightsError if the model's weights are not there.
    """
    started = time.perf_counter()
    clip = _opened(video, config)
    answers = []
    for question in questions:
        answer = model.answer(clip, question)
        answers.append(_told(answer, config, time.perf_counter() - started))
        started = time.perf_counter()
    return clip, answers


def find_moments(
    video: str | Path, queries: Sequence[str], model: VideoModel, config: PipelineConfig
) -> tuple[VideoClip, list[Answer]]:
    """Open a video, and have any model say when each query happens; time that all of them share is the first one's.

    Raises VideoError if it cannot be read, WeightsError if the model's weights are not there.
    """
    started = time.perf_counter()
    clip = _opened(video, config)
    found = model.find(clip, queries)
    shared = time.perf_counter() - started - sum(answer.timing.total_s for answer in found)
    return clip, [
        _told(answer, config, answer.timing.total_s + (0.0 if number else shared))
        for number, answer in enumerate(found)
    ]


def _opened(video: str | Path, config: PipelineConfig) -> VideoClip:
    return open_video(video, decoder=config.decoder, start=config.start_seconds, end=config.end_seconds)


def _told(answer: Answer, config: PipelineConfig, took: float) -> Answer:
    timing = replace(answer.timing, total_s=took)
    return replace(answer, groundings=answer.groundings[: config.top], timing=timing)
