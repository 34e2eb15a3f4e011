"""The official annotations of temporal grounding as items: their layouts are those of benchmarks that others wrote."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tvu.temporal.time_tokens.lita import STAMP, official_span
from tvu.video_llm.benchmarks.json_files import is_number, malformed, read_json, read_json_lines, read_text
from tvu.video_llm.benchmarks.types import Item, Json
from tvu.video_llm.errors import BenchmarkError

_CHARADES_LINE = re.compile(r"(\S+) (\S+) (\S+?)##(.*)")
_OPTIONS = ("a0", "a1", "a2", "a3", "a4")


def read_moments(path: Path) -> list[Item]:
    """JSON Lines as of QVHighlights: `{"qid", "query", "duration", "vid", "relevant_windows"}`.

    A query without a window is one that nothing answers. `qid` may be missing: then the number of the line counts, from
    0. `relevant_clip_ids` and `saliency_scores`, of which there are as many, go into the facts.
    """
    items = []
    for number, (line, row) in enumerate(read_json_lines(path)):
        where = f"line {line}"
        facts: dict[str, Json] = {"duration": _duration(path, where, row)}
        if "saliency_scores" in row:
            clips, scores = _together(path, where, row, "relevant_clip_ids", "saliency_scores")
            facts |= {"relevant_clip_ids": clips, "saliency_scores": scores}
        name, query = (_text(path, where, row, key) for key in ("vid", "query"))
        spans = _spans(path, where, row, "relevant_windows")
        items.append(Item(str(row.get("qid", number)), _video(path, where, name), query, spans, facts=facts))
    return _checked(path, items)


def read_charades_sta(path: Path) -> list[Item]:
    """Charades-STA as published, `VID START END##sentence` a line, or as TimeChat has it in JSON; times as they are.

    Items are numbered from 0 in both.
    """
    text = read_text(path)
    if text.lstrip().startswith("{"):
        return _checked(path, list(_of_timechat(path)))
    items: list[Item] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            items.append(_of_charades_line(path, number, line, str(len(items))))
    return _checked(path, items)


def _of_charades_line(path: Path, number: int, line: str, item_id: str) -> Item:
    found = _CHARADES_LINE.fullmatch(line.strip())
    try:
        video, *times, sentence = found.groups() if found else ("", "", "", "")
        span = [float(time) for time in times]
    except ValueError:
        span = []
    if not span or not all(map(is_number, span)):
        raise malformed(path, f"has no `VID START END##sentence` in line {number}: {line!r:.60}")
    return Item(item_id, _video(path, f"line {number}", video), sentence, [span])


def _of_timechat(path: Path) -> Iterator[Item]:
    content = read_json(path)
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise malformed(path, "has no list of annotations")
    for number, row in enumerate(rows):
        where = f"annotation {number}"
        name, sentence = (_text(path, where, row, key) for key in ("image_id", "caption"))
        span = _span(path, where, row.get("timestamp"))
        yield Item(str(row.get("id", number)), _video(path, where, name), sentence, [span])


def read_durations(path: Path) -> dict[str, float]:
    """Seconds of each video: of JSON Lines as of QVHighlights, or of `Charades_v1_test.csv` (`id`, `length`)."""
    if ".csv" not in path.suffixes:
        return {item.video: item.facts["duration"] for item in read_moments(path)}
    durations: dict[str, float] = {}
    for line, row in enumerate(_rows(path), start=2):
        try:
            durations[str(row["id"])] = float(row["length"])
        except (KeyError, TypeError, ValueError) as error:
            raise malformed(path, f"has no id and length in row {line}") from error
    return durations


def lasting(items: Iterable[Item], durations: Mapping[str, float]) -> list[Item]:
    """The items with the duration of their video, where it is known."""
    return [
        replace(item, facts={**item.facts, "duration": durations[stem]}) if stem in durations else item
        for item in items
        for stem in [item.video.removesuffix(".mp4")]
    ]


def clamped(items: Iterable[Item]) -> list[Item]:
    """The items with their spans cut at the end of the video, where its duration is known."""
    return [
        replace(item, truth=[[min(t, item.facts.get("duration", t)) for t in span] for span in item.truth])
        for item in items
    ]


def read_activitynet(path: Path) -> list[Item]:
    """ActivityNet Captions as sentences to ground, `{video: {"duration", "timestamps", "sentences"}}`.

    An item is `VIDEO/NUMBER`, numbered from 0 in each video. Times are as they are, also after the duration.
    """
    items = []
    for video, entry in _videos(path):
        spans, sentences = _together(path, video, entry, "timestamps", "sentences")
        facts = {"duration": _duration(path, video, entry)}
        for number, (span, sentence) in enumerate(zip(spans, sentences, strict=True)):
            truth = [_span(path, video, span)]
            items.append(Item(f"{video}/{number}", _video(path, video, video), str(sentence), truth, facts=facts))
    return _checked(path, items)


def read_timelens(path: Path) -> list[Item]:
    """One set of TimeLens-Bench, `{video: {"duration", "spans", "queries"}}`; its name is that before the dash.

    Queries are tidied as there: single spaces, no full stop at the end. An item is `SET/VIDEO/NUMBER`.
    """
    name = path.name.split("-")[0].split(".")[0]
    items = []
    for video, entry in _videos(path):
        spans, queries = _together(path, video, entry, "spans", "queries")
        facts = {"duration": _duration(path, video, entry)}
        for number, (span, query) in enumerate(zip(spans, queries, strict=True)):
            tidy = re.sub(r"\s+", " ", str(query)).strip().strip(".").strip()
            truth = [_span(path, video, span)]
            item_id = f"{name}/{video}/{number}"
            items.append(Item(item_id, _video(path, video, video), tidy, truth, group=name, facts=facts))
    return _checked(path, items)


def read_activitynet_rtl(path: Path) -> list[Item]:
    """ActivityNet-RTL, a list of `{"question_id", "vid", "duration", "question", "answer"}`.

    The span is that of the first two times in `answer`, `<12.1> <30.5>`, read as LITA does; files are named `v_VID`.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise malformed(path, "is no JSON list")
    items = []
    for number, row in enumerate(rows):
        where = f"entry {number}"
        name, question, answer = (_text(path, where, row, key) for key in ("vid", "question", "answer"))
        duration = _duration(path, where, row)
        if len(STAMP.findall(answer)) < 2:
            raise malformed(path, f"has no two times like <12.1> in the answer of {where}")
        video = _video(path, where, f"v_{name}")
        truth = [list(official_span(answer, duration)[1])]
        items.append(Item(str(row.get("question_id", number)), video, question, truth, facts={"duration": duration}))
    return _checked(path, items)


def read_nextgqa(questions: Path, spans: Path, names: Path | None) -> list[Item]:
    """NExT-GQA: `test.csv`, `gsub_test.json`, and where it is there `map_vid_vidorID.json`, which names the files.

    Questions without a span are no part of the set. An item is `VIDEO_QID`; its truth is the right option and the
    spans, `{"choice": 2, "spans": [[0.5, 12.6]]}`, its group the type of the question. `answer` is the text of an
    option, or its number where that is so in all rows.
    """
    rows = _rows(questions)
    located = dict(_videos(spans))
    files = read_json(names) if names else {}
    by_text = all(row.get("answer") in [row.get(option) for option in _OPTIONS] for row in rows)
    items = []
    for line, row in enumerate(rows, start=2):
        video, question = row.get("video_id"), row.get("qid")
        where = f"row {line}"
        options = [row.get(option) for option in _OPTIONS]
        if not (video and question and row.get("question") and all(isinstance(option, str) for option in options)):
            raise malformed(questions, f"has no video_id, question, qid and a0 to a4 in {where}")
        entry = located.get(video)
        if not isinstance(entry, dict) or not isinstance(entry.get("location"), dict):
            continue
        if question not in entry["location"]:
            continue
        answer = row.get("answer") or ""
        if not by_text and answer not in ("0", "1", "2", "3", "4"):
            raise malformed(questions, f"has an answer in {where} that is no option: {answer!r:.60}")
        truth = {
            "choice": options.index(answer) if by_text else int(answer),
            "spans": _spans(spans, video, entry["location"], question),
        }
        items.append(
            Item(
                f"{video}_{question}",
                _video(questions, where, str(files.get(video, video))),
                str(row["question"]),
                truth,
                group=row.get("type") or "",
                options=tuple(map(str, options)),
                facts={"duration": _duration(spans, video, entry)},
            )
        )
    return _checked(questions, items)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise malformed(path, f"is no table: {error}") from error


def _videos(path: Path) -> Iterator[tuple[str, Mapping[str, Json]]]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise malformed(path, "is no JSON object of videos")
    for video, entry in content.items():
        if not isinstance(entry, dict):
            raise malformed(path, f"has no object for {video!r}")
        yield video, entry


def _together(path: Path, where: str, entry: Mapping[str, Json], *names: str) -> list[list[Json]]:
    """Lists of the same length."""
    lists = [each for name in names if isinstance(each := entry.get(name), list)]
    if len(lists) < len(names) or len({len(each) for each in lists}) != 1:
        raise malformed(path, f"has not as many {' as '.join(names)} in {where}")
    return lists


def _text(path: Path, where: str, row: Json, key: str) -> str:
    if not isinstance(row, dict) or not isinstance(row.get(key), str):
        raise malformed(path, f"has no text {key!r} in {where}")
    return str(row[key])


def _duration(path: Path, where: str, row: Json) -> float:
    seconds: Json = row.get("duration") if isinstance(row, dict) else None
    if not (is_number(seconds) and seconds > 0):
        raise malformed(path, f"has no 'duration' in seconds in {where}")
    return float(seconds)


def _spans(path: Path, where: str, row: Mapping[str, Json], key: str) -> list[list[float]]:
    if not isinstance(row.get(key), list):
        raise malformed(path, f"has no list {key!r} in {where}: is it a file without the truth?")
    return [_span(path, where, span) for span in row[key]]


def _span(path: Path, where: str, span: Json) -> list[float]:
    if not (isinstance(span, list) and len(span) == 2 and all(map(is_number, span))):
        raise malformed(path, f"has {span!r:.60} in {where}, not [start, end] in seconds")
    return [float(span[0]), float(span[1])]


def _video(path: Path, where: str, name: str) -> str:
    """`name`, if it stays in the folder of videos."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in name:
        raise malformed(path, f"has {name!r:.60} in {where}, which is no name of a video")
    return name


def _checked(path: Path, items: list[Item]) -> list[Item]:
    if not items:
        raise BenchmarkError(f"{path.name} is empty", hint="`tvu bench list` tells where the official files are")
    (most, times), *_ = Counter(item.id for item in items).most_common(1)
    if times > 1:
        raise malformed(path, f"has {most!r} {times} times")
    return items
