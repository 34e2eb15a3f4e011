"""tvu as a model of lmms-eval, which finds it by itself once both are installed.

    python -m lmms_eval --model tvu --model_args model=scout --tasks mvbench_moving_direction

Only lmms-eval imports this module. `model` is any name that `tvu ask -m` takes, or a baseline (`baseline:constant`).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_eval.api.model import lmms
from loguru import logger

from tvu.temporal.errors import TvuError
from tvu.video_llm.benchmarks.examinee import Writer, choose
from tvu.video_llm.benchmarks.put_in_words import multiple_choice_in
from tvu.video_llm.benchmarks.types import AskConfig
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import VideoError
from tvu.video_llm.load import load_model
from tvu.video_llm.types import DECODERS, Decoder, Request, VideoClip, VideoModel

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

NO_ANSWER = "?"
"""In place of an answer that could not be had: no parser takes it for one, and no task leaves it out of its mean."""

MOST_NEW_TOKENS = 1024


def manifest() -> "ModelManifest":
    """What the entry point `lmms_eval.models` tells."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("tvu", chat_class_path=f"{__name__}.{TvuModel.__name__}")


class TvuModel(lmms):
    """Any model of tvu behind any task that generates text about one video.

    A Video-LLM gets the words of the task as they are and writes freely, greedily, its frames and their times read by
    our clock. A model that only finds moments is given the options of a multiple choice one by one, and tells the
    moments that it finds where there are none. What fails is logged with its reason and answered `NO_ANSWER`.
    """

    is_simple = False

    def __init__(
        self,
        model: str = "scout",
        decoder: str = "pyav",
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        """batch_size and device are what lmms-eval always tells; here one video is asked at a time, on the GPU if any.

        Raises ValueError for an unknown decoder, UnknownModel, and WeightsError.
        """
        super().__init__()
        if decoder not in DECODERS:
            raise ValueError(f"no decoder is called {decoder!r}, only {', '.join(DECODERS)}")
        self.asked: VideoModel = load_model(model)
        self.decoder: Decoder = decoder
        self.batch_size = 1

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The answers, in order."""
        return [self._answer(*request.args[-5:]) for request in requests]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not told: tvu scores spans, not texts. Raises NotImplementedError, as other models of lmms-eval do."""
        raise NotImplementedError("tvu has no log-likelihood of texts: choose a task that generates")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Raises NotImplementedError: a question about a video is one round."""
        raise NotImplementedError("tvu answers in one round")

    def _answer(self, to_messages: Any, settings: Mapping[str, Any], document: int, task: str, split: str) -> str:
        from lmms_eval.protocol import ChatMessages

        messages = ChatMessages(messages=to_messages(self.task_dict[task][split][document]))
        turns = [(turn.role, part) for turn in messages.messages for part in turn.content]
        texts = {role: "\n".join(p.text for r, p in turns if r == role and p.type == "text") for role, _ in turns}
        request = Request(texts.get("user", ""), texts.get("system", ""), texts.get("assistant", ""))
        try:
            with self._clip([part for _, part in turns if part.type in ("video", "image")]) as clip:
                text = self._written(clip, request, int(settings.get("max_new_tokens") or MOST_NEW_TOKENS))
        except TvuError as error:
            logger.error(f"{task}, document {document}: {error.message}; counted as an answer that is wrong")
            return NO_ANSWER
        for stop in _stops(settings.get("until")):
            text = text.split(stop)[0]
        return text

    def _written(self, clip: VideoClip, request: Request, max_new_tokens: int) -> str:
        if isinstance(self.asked, Writer):
            return self.asked.write(clip, request, max_new_tokens=max_new_tokens).text
        question = multiple_choice_in(request.user)
        if question is None:
            return self.asked.answer(clip, request.user).text
        return choose(self.asked, clip, question, AskConfig()).text

    @contextmanager
    def _clip(self, parts: Sequence[Any]) -> Iterator[VideoClip]:
        """The one video, or the pictures as a video of one a second. Raises VideoError."""
        videos = [part for part in parts if part.type == "video"]
        pictures = [part.url for part in parts if part.type == "image"]
        if len(videos) + bool(pictures) != 1:
            raise VideoError(f"the task shows {len(videos)} videos and {len(pictures)} pictures, not one video")
        if videos:
            told = videos[0]
            if not isinstance(told.url, str | os.PathLike):
                raise VideoError(f"the task's video is no file but a {type(told.url).__name__}")
            yield open_video(Path(told.url), decoder=self.decoder, start=told.start_time, end=told.end_time)
            return
        with tempfile.TemporaryDirectory(prefix="tvu-") as folder:
            for number, picture in enumerate(pictures):
                picture.convert("RGB").save(Path(folder) / f"{number:06d}.png")
            yield open_video(Path(folder), decoder="pyav")


def _stops(until: object) -> list[str]:
    return [stop for stop in ([until] if isinstance(until, str) else until or []) if stop]  # type: ignore[attr-defined]
