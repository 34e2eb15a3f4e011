"""Published instruction sets, as one stream of questions and answers with their times in seconds.

Nothing of them is shipped: users bring the files, in the layouts in which their authors publish them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import STAMP
from tvu.temporal.time_tokens.vtg_llm import CHARACTERS
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.grounding_data import read_charades_sta, read_moments
from tvu.video_llm.benchmarks.json_files import is_number, read_json
from tvu.video_llm.benchmarks.types import Item, Json
from tvu.video_llm.errors import BenchmarkError, InstructionsError
from tvu.video_llm.questions import captions_request, moment_question, moments_question
from tvu.video_llm.training.tasks import NOT_THERE

HINT = (
    "known are LITA's {video: {duration, QA}}, ActivityNet Captions' {video: {duration, timestamps, sentences}}, the "
    "list of {video, QA} of TimeIT, VTG-IT and TimePro, Charades-STA's text and QVHighlights' JSON Lines"
)
_NUMBER = r"\d+(?:\.\d+)?"
_UNIT = r"\s*(?:seconds|second|secs|sec|s)\b"
_SPAN = re.compile(rf"(?:\b[Ff]rom\s+)?(?<![\d.:])({_NUMBER})(?:{_UNIT})?\s*(?:-|–|~|to|and)\s*({_NUMBER}){_UNIT}")
_LIST = re.compile(rf"(?<![\d.:])({_NUMBER}(?:\s*,\s*(?:and\s+)?{_NUMBER})+){_UNIT}")
_SCORED = re.compile(rf"(?<![\d.:])({_NUMBER}){_UNIT}(?=\s*,?\s*(?:saliency\s+)?score)", re.IGNORECASE)
_PAIR = re.compile(rf"{STAMP.pattern}\s*(?:-|–|to|and)?\s*{STAMP.pattern}")
_TOKEN = re.compile("|".join(token for token, _ in CHARACTERS))
_TIME_TOKENS = re.compile(rf"(?:{_TOKEN.pattern})(?:\s*(?:{_TOKEN.pattern}))*")
_DIGIT = dict(CHARACTERS)
_VISUAL = re.compile(r"\s*<(?:image|video)>\s*")


@dataclass(frozen=True)
class Instruction:
    """A question about a video and its answer, as a published set has them.

    video:      its name or path as the set writes it.
    answer:     with times as `<12.5>`, seconds from the start of the video, or of `part`; see `target`.
    spans:      those that the answer tells, in its order.
    duration:   of the video, seconds, where the set tells it.
    part:       of the file, which is all that the question is about; None for the whole of it.
    is_present: whether what is asked for is in the video; None where the question is another.
    """

    video: str
    question: str
    answer: str
    spans: tuple[Span, ...] = ()
    duration: float | None = None
    part: Span | None = None
    is_present: bool | None = None

    def target(self, codec: TimeCodec, duration: float) -> str:
        """The answer with its times as a codec writes them; `duration` of the video, or of `part`, seconds."""

        def of_pair(pair: re.Match[str]) -> str:
            start, end = sorted(min(float(time), duration) for time in pair.groups())
            if end <= start:
                return " ".join(codec.encode(time, duration) for time in (start, end))
            return codec.encode_spans([Span(start, end)], duration)

        text = _PAIR.sub(of_pair, self.answer)
        return STAMP.sub(lambda stamp: codec.encode(float(stamp[1]), duration), text)


@dataclass(frozen=True)
class InstructionSet:
    """What a file holds, in its order; left_out tells of each entry that cannot be learnt from, and why."""

    path: Path
    instructions: tuple[Instruction, ...]
    left_out: tuple[str, ...] = ()


def read_instructions(path: Path) -> InstructionSet:
    """The questions and answers of a published set, whatever its layout; the file may be gzipped.

    - `{video: {"duration", "QA": [{"q", "a"}]}}`: LITA's reasoning temporal localization, times as `<12.5>`.
    - `{video: {"duration", "timestamps", "sentences"}}`: ActivityNet Captions, and YouCook2 and ViTT as VidChapters has
      them. A video becomes a request for dense captions, and a question for each sentence.
    - `[{"video", "QA": [{"i", "q", "a"}], "start", "end"}]`: TimeIT, VTG-IT, TimePro. Times of answers are found in
      their words (`24.3 - 30.4 seconds`), or are VTG-LLM's tokens; an instruction "i" is put before its question.
    - `[{"vid", "question", "answer", "duration"}]`: ActivityNet-RTL.
    - `[{"video", "conversations": [{"from", "value"}]}]`: Valley and LLaVA's form.
    - Charades-STA, text or TimeChat's JSON, and QVHighlights, JSON Lines: a question for each sentence.

    A span that ends before it starts is turned; one that has no length, or begins behind the video, is left out with
    its entry, and so is an entry without a question or without an answer. Raises InstructionsError, which names the
    file and the entry, for everything else that is not as it should be.
    """
    try:
        found, left_out = _read(path)
    except BenchmarkError as error:  # of the readers that benchmarks share
        raise InstructionsError(error.message, hint=HINT) from error
    if not found:
        raise InstructionsError(f"{path.name} has nothing to learn from", hint=left_out[0] if left_out else HINT)
    return InstructionSet(path, tuple(found), tuple(left_out))


class _Unusable(Exception):
    """Why an entry is left out."""


Found = tuple[list[Instruction], list[str]]


def _read(path: Path) -> Found:
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        return _of_items(read_moments(path))
    if path.name.removesuffix(".gz").endswith(".txt"):
        return _of_items(read_charades_sta(path))
    content = read_json(path)
    if isinstance(content, list):
        return _of_entries(path, content)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _of_items(read_charades_sta(path))
    if isinstance(content, dict):
        return _of_videos(path, content)
    raise InstructionsError(f"{path.name} holds neither a list nor an object", hint=HINT)


def _of_items(items: Sequence[Item]) -> Found:
    """Sentences with their spans, as benchmarks read them."""
    found, left_out = [], []
    for item in items:
        try:
            spans = tuple(_span(span, item.facts.get("duration")) for span in item.truth)
        except _Unusable as why:
            left_out.append(f"{item.video}, {item.question!r:.60}: {why}")
            continue
        found.append(_grounded(item.video, item.question, spans, item.facts.get("duration")))
    return found, left_out


def _of_videos(path: Path, content: Mapping[str, Json]) -> Found:
    found: list[Instruction] = []
    left_out: list[str] = []
    for video, entry in content.items():
        if not isinstance(entry, dict):
            raise _malformed(path, f"has no object for {video!r}")
        duration: Json = entry.get("duration")
        if not (is_number(duration) and duration > 0):
            raise _malformed(path, f"has no duration in seconds for {video!r}")
        if "QA" in entry:
            _ask(path, repr(video), entry["QA"], Instruction(video, "", "", duration=float(duration)), found, left_out)
        elif "timestamps" in entry and "sentences" in entry:
            told, problems = _of_captions(path, video, entry, float(duration))
            found += told
            left_out += problems
        else:
            raise _malformed(path, f"has neither QA nor timestamps and sentences for {video!r}")
    return found, left_out


def _of_captions(path: Path, video: str, entry: Mapping[str, Json], duration: float) -> Found:
    times, sentences = entry["timestamps"], entry["sentences"]
    if not (isinstance(times, list) and isinstance(sentences, list) and len(times) == len(sentences)):
        raise _malformed(path, f"has not as many timestamps as sentences for {video!r}")
    events: list[tuple[Span, str]] = []
    left_out = []
    for number, (span, sentence) in enumerate(zip(times, sentences, strict=True)):
        where = f"sentence {number} of {video!r}"
        if not isinstance(sentence, str):
            raise _malformed(path, f"has {sentence!r:.60} for {where}")
        if not (isinstance(span, list) and len(span) == 2 and all(map(is_number, span))):
            raise _malformed(path, f"has {span!r:.60} for {where}, not [start, end] in seconds")
        try:
            events.append((_span(span, duration), _told(sentence)))
        except _Unusable as why:
            left_out.append(f"{where}: {why}")
    found = [_grounded(video, sentence, (span,), duration) for span, sentence in events]
    if events:
        lines = "\n".join(f"{_stamped(span)} {sentence}" for span, sentence in events)
        spans = tuple(span for span, _ in events)
        found.insert(0, Instruction(video, captions_request(), lines, spans, duration))
    return found, left_out


def _of_entries(path: Path, content: Sequence[Json]) -> Found:
    found: list[Instruction] = []
    left_out: list[str] = []
    for number, entry in enumerate(content):
        where = f"entry {number}"
        if not isinstance(entry, dict):
            raise _malformed(path, f"has no object as {where}")
        video = entry.get("video", entry.get("vid"))
        if not (isinstance(video, str) and video.strip()):
            raise _malformed(path, f"has no text 'video' in {where}")
        duration = entry.get("duration")
        if duration is not None and not (is_number(duration) and duration > 0):
            raise _malformed(path, f"has a duration of {duration!r:.60} in {where}")
        about = Instruction(video, "", "", duration=None if duration is None else float(duration))
        if is_number(entry.get("start")) and is_number(entry.get("end")) and 0 <= entry["start"] < entry["end"]:
            about = replace(about, part=Span(float(entry["start"]), float(entry["end"])))
        if "QA" in entry:
            _ask(path, where, entry["QA"], about, found, left_out)
        elif "conversations" in entry:
            _ask(path, where, list(_turns(path, where, entry["conversations"])), about, found, left_out)
        elif "question" in entry and "answer" in entry:
            _ask(path, where, [{"q": entry["question"], "a": entry["answer"]}], about, found, left_out)
        else:
            raise _malformed(path, f"has neither QA nor conversations nor question and answer in {where}")
    return found, left_out


def _turns(path: Path, where: str, turns: Json) -> Iterator[dict[str, Json]]:
    if not (isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns) and len(turns) % 2 == 0):
        raise _malformed(path, f"has conversations in {where} that are no turns of two")
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        if asked.get("from") not in ("human", "user") or answered.get("from") not in ("gpt", "assistant"):
            raise _malformed(path, f"has turns in {where} that are not from human and gpt by turns")
        yield {"q": asked.get("value"), "a": answered.get("value")}


def _ask(
    path: Path, where: str, turns: Json, about: Instruction, found: list[Instruction], left_out: list[str]
) -> None:
    """Add what `turns` of `{"q", "a"}` ask to `found`, and what cannot be used to `left_out`."""
    if not isinstance(turns, list):
        raise _malformed(path, f"has no list QA for {where}")
    for number, turn in enumerate(turns):
        which = f"QA {number} of {where}"
        told = [turn.get(key) for key in ("i", "q", "a")] if isinstance(turn, dict) else []
        instruction, question, answer = told or (None, None, None)
        if not (isinstance(question, str) and isinstance(answer, str) and isinstance(instruction, str | None)):
            raise _malformed(path, f"has no texts 'q' and 'a' in {which}")
        asked = _VISUAL.sub(" ", f"{instruction or ''} {question}").strip()
        stamped = with_stamps(_VISUAL.sub(" ", answer).strip())
        try:
            if not asked or not stamped:
                raise _Unusable("no question" if stamped else "no answer")
            length = about.part.seconds if about.part else about.duration
            spans = tuple(_span([float(time) for time in pair.groups()], length) for pair in _PAIR.finditer(stamped))
        except _Unusable as why:
            left_out.append(f"{which}: {why}")
            continue
        found.append(replace(about, question=asked, answer=stamped, spans=spans))


def with_stamps(answer: str) -> str:
    """An answer of a published set with every time as `<seconds>`, a span as `<start> <end>`.

    Times are taken for such where they are two with `seconds` behind (`24.3 - 30.4 seconds`, `from 3 to 5 s`), a list
    with `seconds` behind, or one with a score behind; VTG-LLM's tokens are numbers. Other numbers stay as they are.
    """
    answer = _TIME_TOKENS.sub(lambda run: "".join(_DIGIT[token] for token in _TOKEN.findall(run[0])), answer)
    answer = _SPAN.sub(lambda span: f"<{_tidy(span[1])}> <{_tidy(span[2])}>", answer)
    answer = _LIST.sub(lambda told: re.sub(_NUMBER, lambda number: f"<{_tidy(number[0])}>", told[1]), answer)
    return _SCORED.sub(lambda told: f"<{_tidy(told[1])}>", answer)


def _grounded(video: str, sentence: str, spans: tuple[Span, ...], duration: float | None) -> Instruction:
    """When a sentence is true of a video."""
    sentence = sentence.strip()
    if not spans:
        return Instruction(video, moment_question(sentence), NOT_THERE, (), duration, is_present=False)
    question = moment_question(sentence) if len(spans) == 1 else moments_question(sentence)
    return Instruction(video, question, " ".join(map(_stamped, spans)), spans, duration, is_present=True)


def _span(times: Sequence[float], duration: float | None) -> Span:
    start, end = sorted(max(0.0, float(time)) for time in times)
    if duration is not None:
        end = min(end, duration)
    if end <= start:
        raise _Unusable(f"{times[0]:g} - {times[1]:g} s is no part of the video")
    return Span(start, end)


def _told(sentence: str) -> str:
    text = " ".join(sentence.split())
    if not text:
        raise _Unusable("no words")
    return text


def _stamped(span: Span) -> str:
    return f"<{span.start_seconds:g}> <{span.end_seconds:g}>"


def _tidy(number: str) -> str:
    """`0052.0` as `52.0`."""
    return number.lstrip("0") if number[:2].isdecimal() and number.lstrip("0")[:1].isdecimal() else number


def _malformed(path: Path, what: str) -> InstructionsError:
    return InstructionsError(f"{path.name} {what}", hint=HINT)
