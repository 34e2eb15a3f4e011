"""OpenTimelineIO's JSON, written by ourselves: the classes and versions that its release 0.15 and later read."""

import json
from typing import Any

from tvu.video_llm.results.frame_rates import FrameRate
from tvu.video_llm.results.one_video import Content, Moment, OneVideo, one_line
from tvu.video_llm.types import Evidence

COLOURS: dict[Evidence, str] = {"visual": "BLUE", "speech": "YELLOW", "screen-text": "PURPLE"}
ACCEPTED, REJECTED = "GREEN", "RED"  # a marker that somebody recoloured so is a verdict, see `read_labels`
METADATA = "tvu"  # where our own fields are


def otio(video: OneVideo) -> Content:
    """A timeline of one track with the whole video, which has a marker for each moment.

    Times are frames of `video.rate`. The marker's `tvu` metadata hold what frames cannot: query, exact seconds, score,
    evidence and phrase. The timeline's hold the video as it was named, and a sentence for each row with no answer.
    """
    rate = video.rate
    whole = _range(0, video.num_frames, rate)
    media = {
        **_object("ExternalReference.1", one_line(video.path.name)),
        "available_range": whole,
        "available_image_bounds": None,
        "target_url": video.url,
    }
    clip = {
        **_item("Clip.2", video.title),
        "source_range": whole,
        "markers": [_marker(moment, *video.frames_of(moment), rate) for moment in video.moments],
        "media_references": {"DEFAULT_MEDIA": media},
        "active_media_reference_key": "DEFAULT_MEDIA",
    }
    clip["metadata"] = {METADATA: {"video": video.video}}
    track = {**_item("Track.1", "video"), "kind": "Video", "children": [clip]}
    timeline = {
        **_object("Timeline.1", video.title),
        "global_start_time": None,
        "tracks": {**_item("Stack.1", "tracks"), "children": [track]},
    }
    timeline["metadata"] = {METADATA: {"video": video.video, "errors": list(video.errors)}}
    text = json.dumps(timeline, ensure_ascii=False, allow_nan=False, indent=2)
    return Content(text.encode("utf-8", "backslashreplace") + b"\n", video.errors)


def _marker(moment: Moment, start: int, end: int, rate: FrameRate) -> dict[str, Any]:
    grounding = moment.grounding
    exact = {
        "question": moment.question,
        "start_seconds": round(grounding.span.start_seconds, 3),
        "end_seconds": round(grounding.span.end_seconds, 3),
        "score": round(grounding.score, 4),
        "evidence": grounding.evidence,
        "phrase": grounding.phrase,
        "verdict": "",
    }
    return {
        **_object("Marker.2", one_line(moment.question)),
        "metadata": {METADATA: exact},
        "color": COLOURS[grounding.evidence],
        "comment": moment.evidence,
        "marked_range": _range(start, end, rate),
    }


def _item(schema: str, name: str) -> dict[str, Any]:
    return {**_object(schema, name), "source_range": None, "effects": [], "markers": [], "enabled": True}


def _object(schema: str, name: str) -> dict[str, Any]:
    return {"OTIO_SCHEMA": schema, "metadata": {}, "name": name}


def _range(start: int, end: int, rate: FrameRate) -> dict[str, Any]:
    def time(frames: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(rate.exact), "value": float(frames)}

    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": time(start), "duration": time(end - start)}
