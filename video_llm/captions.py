"""Dense captions: what happens in a video and when, in words, from any model that writes them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tvu.temporal.spans import clamp
from tvu.temporal.types import Span
from tvu.video_llm.errors import UnknownFormat, UnknownModel
from tvu.video_llm.questions import captions_request
from tvu.video_llm.types import Answer, VideoClip, VideoModel

SUFFIXES = (".srt", ".vtt", ".json")


@dataclass(frozen=True)
class Captioned:
    """One thing that happens, in words. score: how likely it is, None where nobody says."""

    span: Span
    text: str
    score: float | None = None

    def __post_init__(self) -> None:
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"a probability, not {self.score}")


OnCaption = Callable[[Captioned], None]


@runtime_checkable
class Captioner(Protocol):
    """A model with a way of its own to tell what happens, caption by caption."""

    def caption(self, clip: VideoClip, on_caption: OnCaption | None = None) -> list[Captioned]:
        """In the order of time; each is told as soon as it is known."""
        ...


@runtime_checkable
class Highlighter(Protocol):
    """A model that knows which moments show something best, not only where it is."""

    def highlights(self, clip: VideoClip, topic: str) -> Answer:
        """The moments with their scores, best first, and the curve that they were read off."""
        ...


def caption_clip(model: VideoModel, clip: VideoClip, on_caption: OnCaption | None = None) -> list[Captioned]:
    """What happens in a clip by any model that has words for it, in the order of time; empty where it has none.

    Raises UnknownModel for one that does not write at all, VideoError, and whatever the model raises.
    """
    if isinstance(model, Captioner):
        return model.caption(clip, on_caption)
    from tvu.video_llm.benchmarks.captions import read_captions

    answer = model.answer(clip, captions_request())
    told = [
        Captioned(span, text)
        for start, end, text in read_captions(answer, clip.duration_seconds)
        if end > start and (span := clamp(Span(start, end), clip.span)) is not None
    ]
    if not told and not hasattr(model, "write"):
        raise UnknownModel(
            f"{model.name} finds moments and writes no captions",
            hint="tvu caption VIDEO -m lite",
        )
    for each in sorted(told, key=lambda each: each.span):
        if on_caption is not None:
            on_caption(each)
    return sorted(told, key=lambda each: each.span)


def find_highlights(model: VideoModel, clip: VideoClip, topic: str) -> Answer:
    """The moments of a clip that show `topic` best; by a model that only finds moments, where it is likeliest.

    Raises VideoError, and whatever the model raises.
    """
    if isinstance(model, Highlighter):
        return model.highlights(clip, topic)
    (found,) = model.find(clip, [topic])
    return found


def caption_json(told: Captioned) -> dict[str, Any]:
    """One caption as plain values, seconds to the millisecond, and its score where it has one."""
    start, end = round(told.span.start_seconds, 3), round(told.span.end_seconds, 3)
    score = {} if told.score is None else {"score": round(told.score, 4)}
    return {"start_seconds": start, "end_seconds": end, "text": told.text, **score}


def captions_json(told: Sequence[Captioned], clip: VideoClip, model: str) -> str:
    """All of them as one line of JSON."""
    document = {
        "video": str(clip.path),
        "duration_seconds": round(clip.duration_seconds, 3),
        "captions": [caption_json(each) for each in told],
        "model": model,
        "tvu_version": version("tvu"),
    }
    return json.dumps(document, ensure_ascii=False)


def check_suffix(out: Path) -> None:
    """Raises UnknownFormat for a file that captions are not written to."""
    if out.suffix.lower() not in SUFFIXES:
        raise UnknownFormat(f"{out.name} is no {', '.join(SUFFIXES)} file", hint="tvu caption VIDEO -o captions.srt")


def captions_as(told: Sequence[Captioned], clip: VideoClip, model: str, suffix: str) -> str:
    """The content of a file with that suffix, one of `SUFFIXES`."""
    from tvu.video_llm.narration.format_srt import make_srt
    from tvu.video_llm.narration.format_vtt import make_vtt

    cues = [(each.span, " ".join(each.text.split())) for each in told]
    if suffix == ".json":
        return captions_json(told, clip, model) + "\n"
    return make_srt(cues) if suffix == ".srt" else make_vtt(cues, ())
