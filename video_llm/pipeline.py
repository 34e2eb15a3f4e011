"""One question, from file to answer. The whole story is told here, and only told: each step lives in its own file."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tvu.video_llm.decode import open_video
from tvu.video_llm.types import Answer, Decoder, VideoClip, VideoModel

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
    """

    start_seconds: float | None = None
    end_seconds: float | None = None
    top: int | None = None
    decoder: Decoder = "pyav"

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise ValueError(f"top must be at least 1, not {self.top}")


def answer_questions(
    video: str | Path, questions: Sequence[str], model: VideoModel, config: PipelineConfig
) -> tuple[VideoClip, list[Answer]]:
    """Open a video, and answer every question about it; it is decoded and encoded once, by the first of them.

    Raises VideoError if it cannot be read, WeightsError if the model's weights are not there.
    """
    started = time.perf_counter()
    clip = open_video(video, decoder=config.decoder, start=config.start_seconds, end=config.end_seconds)
    answers = []
    for question in questions:
        answer = model.answer(clip, question)
        took = time.perf_counter() - started
        told, timing = answer.groundings[: config.top], replace(answer.timing, total_s=took)
        answers.append(replace(answer, groundings=told, timing=timing))
        started = time.perf_counter()
    return clip, answers
