"""What a model of transformers is asked, in the conversation of its checkpoint, with the times of its frames.

The wording is ours and plain, the same for every family, because no two of them were trained on the same: the length
of the video, the times where the model has no other way to learn them, and how to tell a time; then the question as
`video_llm/questions.py` puts it.
"""

from collections.abc import Sequence
from typing import Any

from tvu.video_llm.hf.families import Family
from tvu.video_llm.types import Request


def preface(family: Family, duration: float, step_seconds: Sequence[float]) -> str:
    """What stands between the video and the question.

    duration: seconds of the part; step_seconds: when each frame, or step of merged frames, is, from its start.
    """
    told = [f"The video lasts {duration:.1f} seconds."]
    if family.times in ("text", "whole stamps"):
        times = ", ".join(f"{second:.1f}" for second in step_seconds)
        told.append(f"Its {len(step_seconds)} pictures were taken, in order, at these seconds: {times}.")
    told.append("Tell times in seconds from its start, with one decimal.")
    return " ".join(told)


def conversation(request: Request, processor: Any, family: Family) -> str:
    """A prompt with one mark of the processor for the video. Raises ValueError where the template makes no place."""
    marks = _marks(processor)
    parts = [{"type": "video"}, {"type": "text", "text": _as_text(request.user, marks)}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": parts}]
    if request.system:
        system = _as_text(request.system, marks)
        turns = [{"role": "system", "content": [{"type": "text", "text": system}]}, *turns]
    text: str = processor.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True, chat_template=_template(processor, family)
    )
    if family.bare_mark:
        start, end = processor.vision_start_token, processor.vision_end_token
        text = text.replace(f"{start}{processor.video_token}{end}", processor.video_token)
    if text.count(processor.video_token) != 1:
        raise ValueError(f"the chat template makes no place {processor.video_token} for a video")
    return text + _as_text(request.prefill, marks)


def _template(processor: Any, family: Family) -> Any:
    """None for the checkpoint's own."""
    if getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None):
        return None
    return family.template


def _marks(processor: Any) -> list[str]:
    """What means something else than text to the tokenizer or the processor, the longest first."""
    tokenizer = processor.tokenizer
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    own = [getattr(processor, name, None) for name in ("video_token", "image_token")]
    marks = {str(mark) for mark in [*added, *tokenizer.all_special_tokens, *own] if mark and len(str(mark)) > 1}
    return sorted(marks, key=len, reverse=True)


def _as_text(text: str, marks: Sequence[str]) -> str:
    """What people write is text: a blank comes into every mark in it, so that it makes no place and ends no turn."""
    for mark in marks:
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text
