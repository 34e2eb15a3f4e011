"""What a server answers, as JSON in OpenAI's form, whole or in pieces."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import Answer, VideoModel

PIECE_WORDS = 4


@dataclass(frozen=True)
class Usage:
    """Tokens, as far as they are known: those of the words read and written, by the model's own tokenizer.

    Visual tokens are not counted, and a model without a tokenizer reads and writes none. frames: pictures looked at.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    frames: int = 0

    @classmethod
    def of(cls, answer: Answer, model: VideoModel) -> "Usage":
        tokenizer = getattr(model, "tokenizer", None)
        if tokenizer is None:
            return cls(frames=len(answer.frame_seconds))
        read, written = (_count(tokenizer, text) for text in (answer.prompt, answer.text))
        return cls(read, written, len(answer.frame_seconds))

    def as_json(self) -> dict[str, Any]:
        """OpenAI's object; what is ours stands in the details, which its clients pass over."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"video_frames": self.frames, "counts_visual_tokens": False},
        }


def _count(tokenizer: Any, text: str) -> int:
    """Tokens of a text alone, by a tokenizer of transformers or by that of `lite`, which adds none of its own."""
    ids = tokenizer(text, add_special_tokens=False).input_ids if callable(tokenizer) else tokenizer.encode(text)
    return len(ids)


@dataclass(frozen=True)
class Reply:
    """An answer to a chat. row: all that is known of it; content: what the assistant says."""

    model: str
    content: str
    usage: Usage
    row: Row
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def as_json(self) -> dict[str, Any]:
        """A `chat.completion`, with the row beside it."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self.content},
            "logprobs": None,
            "finish_reason": "stop",
        }
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
            "usage": self.usage.as_json(),
            "tvu": self.row.as_json(),
        }

    def pieces(self, with_usage: bool) -> Iterator[str]:
        """The events of a stream, a few words each: our engine tells a text when it is whole, not word by word."""
        yield self._event({"role": "assistant", "content": ""})
        for piece in re.findall(rf"(?:\s*\S+){{1,{PIECE_WORDS}}}\s*", self.content):
            yield self._event({"content": piece})
        yield self._event({}, finish="stop", tvu=self.row.as_json())
        if with_usage:
            yield self._event(None, usage=self.usage.as_json())
        yield "data: [DONE]\n\n"

    def _event(self, delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        told = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return event_of(told | more)


def event_of(told: dict[str, Any]) -> str:
    """One event of a stream."""
    return f"data: {json.dumps(told, ensure_ascii=False, allow_nan=False)}\n\n"


def moments_in_json(answer: Answer) -> str:
    """The spans of an answer as the text of `remote.moments.MOMENTS_SCHEMA`, with their scores."""
    moments = [
        {
            "start_seconds": round(each.span.start_seconds, 3),
            "end_seconds": round(each.span.end_seconds, 3),
            "score": round(each.score, 4),
        }
        for each in answer.groundings
    ]
    return json.dumps({"moments": moments})
