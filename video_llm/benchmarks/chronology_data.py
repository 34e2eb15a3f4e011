"""Events in order: a JSONL of them, or captions in ActivityNet's format."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tvu.video_llm.benchmarks.json_files import is_number, read_json, read_json_lines
from tvu.video_llm.benchmarks.types import Item, Json
from tvu.video_llm.benchmarks.video_files import find_file
from tvu.video_llm.errors import BenchmarkError

NAMES = ("chronology.jsonl", "val_1.json", "val_2.json")
HINT = 'a line is {"video": "a.mp4", "events": ["what happens first", "what happens next"]}'
ORDINAL = re.compile(
    r"\b(first(ly)?|second(ly)?|third(ly)?|then|next|after(wards?)?|before|later|again|finally|last(ly)?|"
    r"begins?|starts?|continues?|ends?)\b",
    re.IGNORECASE,
)
"""Words that tell an event's place in the order: text that tells the order tests no eyes."""


def read_chronology(data: Path) -> list[Item]:
    """The videos with at least two events, from `chronology.jsonl`, `val_1.json` or `val_2.json` in `data`, or `data`.

    A JSONL has lines `{"video": NAME, "events": [TEXT, …]}`, in the order in which they happen, none while another
    does. Of captions (`{NAME: {"timestamps": [[start, end], …], "sentences": […]}}`) as many as do not overlap are
    kept, and none that tells its place in the order; what is left out is counted in the facts of every item.
    Raises BenchmarkError.
    """
    path = find_file(data, NAMES)
    left_out: Counter[str] = Counter()
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        told = [_events(path, number, line) for number, line in read_json_lines(path)]
    else:
        told = _captions(path, read_json(path), left_out)
    kept = [(video, events) for video, events in told if len(events) > 1]
    left_out["videos with fewer than two events"] = len(told) - len(kept)
    if not kept:
        raise BenchmarkError(f"{path} has no video with two events", hint=HINT)
    facts = {"left_out": dict(left_out)}
    return [
        Item(f"{number}/{video}", video, "", list(events), f"{len(events)} events", facts=facts)
        for number, (video, events) in enumerate(kept)
    ]


def _events(path: Path, number: int, line: Json) -> tuple[str, Sequence[str]]:
    video, events = (line.get("video"), line.get("events")) if isinstance(line, Mapping) else (None, None)
    if not isinstance(video, str) or not video or not isinstance(events, list):
        raise BenchmarkError(f"{path}: line {number} has no video with a list of events", hint=HINT)
    if not all(isinstance(event, str) and event.strip() for event in events):
        raise BenchmarkError(f"{path}: line {number} has an event that is no text", hint=HINT)
    if len(set(events)) != len(events):
        raise BenchmarkError(f"{path}: line {number} has an event twice, which has no place", hint="tell them apart")
    return video, events


def _captions(path: Path, captions: Json, left_out: Counter[str]) -> list[tuple[str, Sequence[str]]]:
    if not isinstance(captions, Mapping):
        raise BenchmarkError(f"{path} is no object of videos", hint="is it a file of ActivityNet-Captions?")
    found: list[tuple[str, Sequence[str]]] = []
    for video, told in captions.items():
        spans, texts = (told.get("timestamps"), told.get("sentences")) if isinstance(told, Mapping) else (None, None)
        if not (isinstance(spans, list) and isinstance(texts, list) and len(spans) == len(texts)):
            raise BenchmarkError(f"{path}: {video} has no timestamp for each sentence", hint="is the file damaged?")
        events: list[tuple[float, float, str]] = []
        for span, text in zip(spans, texts, strict=True):
            if not (isinstance(span, list) and len(span) == 2 and all(map(is_number, span)) and isinstance(text, str)):
                raise BenchmarkError(f"{path}: {video} has a timestamp that is no span", hint="is the file damaged?")
            if ORDINAL.search(text):
                left_out["events whose words tell their place"] += 1
            else:
                events.append((float(span[1]), float(span[0]), text.strip()))
        apart = _apart(events)
        left_out["events that overlap others"] += len(events) - len(apart)
        found.append((video, apart))
    return found


def _apart(events: Sequence[tuple[float, float, str]]) -> list[str]:
    """The texts of as many events `(end, start, text)` as follow each other, no text twice, in their order."""
    kept: dict[str, float] = {}
    last = float("-inf")
    for end, start, text in sorted(events):
        if start >= last and start < end and text and text not in kept:
            kept[text] = last = end
    return list(kept)
