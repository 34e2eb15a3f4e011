"""What the model of a desk does for one request; runs in the desk's thread."""

from dataclasses import replace

from tvu.temporal.errors import TvuError
from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.decode import open_video
from tvu.video_llm.pipeline import PipelineConfig, find_moments
from tvu.video_llm.results.rows import Row
from tvu.video_llm.serving.asked import AskedChat, AskedMoments
from tvu.video_llm.serving.refusal import refusal_of
from tvu.video_llm.serving.told import Reply, Usage, moments_in_json
from tvu.video_llm.serving.videos import NamedVideo
from tvu.video_llm.types import Answer, Request, VideoClip, VideoModel

DEFAULT_NEW_TOKENS = 256  # of a model that writes, where the client does not say


def chat(asked: AskedChat, video: NamedVideo, model: VideoModel) -> Reply:
    """The answer to one question. Raises Refusal.

    A model that writes gets the system's words and the limit of tokens where there are any; else a model answers as
    `tvu ask` has it do, a long video in windows.
    """
    try:
        clip = open_video(video.address)
        answer = _answered(asked, clip, model)
    except TvuError as error:
        raise refusal_of(error, video.hidden) from error
    content = moments_in_json(answer) if asked.wants_moments else answer.text
    return Reply(model.name, content, Usage.of(answer, model), Row.of(answer, clip, video=video.shown))


def _answered(asked: AskedChat, clip: VideoClip, model: VideoModel) -> Answer:
    if asked.wants_moments:
        return model.find(clip, [asked.text])[0]
    if isinstance(model, Writer) and (asked.system or asked.max_new_tokens):
        request = Request(asked.text, asked.system)
        return model.write(clip, request, max_new_tokens=asked.max_new_tokens or DEFAULT_NEW_TOKENS)
    answer = model.answer(clip, asked.text)
    if asked.system:
        answer = replace(answer, notes=(*answer.notes, "this model reads no system message"))
    return answer


def moments(asked: AskedMoments, video: NamedVideo, model: VideoModel) -> list[Row]:
    """A row for each query. Raises Refusal."""
    config = PipelineConfig(asked.start_seconds, asked.end_seconds, asked.top)
    try:
        clip, answers = find_moments(video.address, asked.queries, model, config)
    except TvuError as error:
        raise refusal_of(error, video.hidden) from error
    return [Row.of(answer, clip, video=video.shown) for answer in answers]
