"""Files of timed captions: the truth in the layouts that it is published in, and predictions."""

from pathlib import Path
from typing import NamedTuple

from tvu.video_llm.benchmarks.json_files import is_number, malformed, read_json
from tvu.video_llm.benchmarks.types import Json

_SHORTEST = 6  # characters of what stands between two full stops and counts as a caption


class TimedCaption(NamedTuple):
    """What happens when, seconds; as files have it, so the end may be before the start."""

    start_seconds: float
    end_seconds: float
    text: str


class CaptionedVideo(NamedTuple):
    """The true captions of one video, at least one."""

    id: str
    captions: tuple[TimedCaption, ...]


def read_true_captions(path: Path, subset: str = "validation") -> list[CaptionedVideo]:
    """The truth, in the order of its file, which may be gzipped. Three layouts are told apart:

    - `{"annotations": [{"image_id", "segments", "pure_cap" or "caption"}]}` of TimeChat, VTG-LLM and TimeSuite: the
      captions are one text. `pure_cap` (YouCook2) is split at `". "`, `caption` (ActivityNet) at `"."`, where pieces of
      five characters and fewer are dropped; each gets its full stop back.
    - `{"database": {video: {"subset", "annotations": [{"segment", "sentence"}]}}}` of YouCook2: the videos of `subset`.
    - `{video: {"timestamps", "sentences"}}` of ActivityNet Captions.

    Raises BenchmarkError for anything else, where captions and segments differ in number, for a video that comes twice,
    and for one without captions.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise malformed(path, "is no JSON object")
    if isinstance(content.get("annotations"), list):
        told = [_of_coco(path, entry) for entry in content["annotations"]]
    elif isinstance(content.get("database"), dict):
        chosen = {
            video: entry for video, entry in content["database"].items() if _field(path, entry, "subset") == subset
        }
        told = [_of_youcook2(path, video, entry) for video, entry in chosen.items()]
    else:
        told = [_of_activitynet(path, video, entry) for video, entry in content.items()]
    if not told:
        raise malformed(path, "has no videos")
    seen: set[str] = set()
    for video, captions in told:
        if not captions:
            raise malformed(path, f"has no captions of {video!r}")
        if video in seen:
            raise malformed(path, f"has {video!r} twice")
        seen.add(video)
    return told


def read_predicted_captions(path: Path) -> dict[str, list[TimedCaption]]:
    """Predictions `{video: [{"timestamp": [start, end], "caption": text}]}`, perhaps gzipped.

    Videos are named as in the truth. Raises BenchmarkError for anything else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise malformed(path, "is no JSON object of videos")
    return {video: captions_of(path, video, entries) for video, entries in content.items()}


def captions_of(path: Path, video: str, entries: Json) -> list[TimedCaption]:
    """The captions of one video in the layout of predictions. Raises BenchmarkError for anything else."""
    if not isinstance(entries, list):
        raise malformed(path, f"has no list of captions for {video!r}")
    return [
        _caption(path, video, _field(path, entry, "timestamp"), _field(path, entry, "caption")) for entry in entries
    ]


def _of_coco(path: Path, entry: Json) -> CaptionedVideo:
    video = _field(path, entry, "image_id")
    if not isinstance(video, str):
        raise malformed(path, f"has the image_id {video!r}")
    joined = entry.get("pure_cap", entry.get("caption"))
    if not isinstance(joined, str):
        raise malformed(path, f"has no text in pure_cap or caption of {video!r}")
    if "pure_cap" in entry:
        texts = joined.split(". ")
    else:
        texts = [text.strip(" ") for text in joined.split(".") if len(text) >= _SHORTEST]
    return _together(path, video.split("/")[-1], _field(path, entry, "segments"), [f"{text}." for text in texts])


def _of_youcook2(path: Path, video: str, entry: Json) -> CaptionedVideo:
    events = _field(path, entry, "annotations")
    if not isinstance(events, list):
        raise malformed(path, f"has no list of annotations of {video!r}")
    return _together(
        path, video, [_field(path, event, "segment") for event in events], [_field(path, e, "sentence") for e in events]
    )


def _of_activitynet(path: Path, video: str, entry: Json) -> CaptionedVideo:
    return _together(path, video, _field(path, entry, "timestamps"), _field(path, entry, "sentences"))


def _together(path: Path, video: str, spans: Json, texts: Json) -> CaptionedVideo:
    if not (isinstance(spans, list) and isinstance(texts, list) and len(spans) == len(texts)):
        count = [len(each) if isinstance(each, list) else "no list of" for each in (spans, texts)]
        raise malformed(path, f"has {count[0]} segments and {count[1]} captions for {video!r}")
    return CaptionedVideo(video, tuple(_caption(path, video, *pair) for pair in zip(spans, texts, strict=True)))


def _caption(path: Path, video: str, span: Json, text: Json) -> TimedCaption:
    if not (isinstance(span, list) and len(span) == 2 and all(map(is_number, span))):
        raise malformed(path, f"has the times {span!r:.60} for {video!r}, not [start, end] in seconds")
    if not isinstance(text, str):
        raise malformed(path, f"has the caption {text!r:.60} for {video!r}, which is no text")
    return TimedCaption(float(span[0]), float(span[1]), text)


def _field(path: Path, entry: Json, name: str) -> Json:
    if not isinstance(entry, dict) or name not in entry:
        raise malformed(path, f"has an entry without {name!r}: {entry!r:.60}")
    return entry[name]
