"""WebVTT: `WEBVTT`, blocks of styles, regions and notes, and cues with names, settings and tags."""

import html
import re
from collections.abc import Sequence

from tvu.temporal.types import Span
from tvu.video_llm.narration.cues import (
    TIME,
    Cue,
    clock,
    notes_on_times,
    plain,
    rewritten,
    seconds_of,
    simple_markup,
    split_lines,
)
from tvu.video_llm.narration.types import Line, Script

_TIMES = re.compile(rf"([ \t]*)({TIME})([ \t]*-->[ \t]*)({TIME})([ \t].*)?(\r\n|\r|\n|\Z)")
_WORD_TIME = re.compile(rf"<({TIME})>")
_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t].*)?\s*")
LEFT_OUT = "NOTE not in the video"


def is_vtt(text: str) -> bool:
    """Whether it begins as every file does."""
    return re.match(r"\s*WEBVTT(?:[ \t\r\n]|\Z)", text) is not None


def read_vtt(text: str) -> Script:
    """The cues of a file; what is none of them stays where it is."""
    lines = split_lines(text)
    times = []
    is_note = False
    for at, line in enumerate(lines):
        if not line.strip():
            is_note = False
        elif (at == 0 or not lines[at - 1].strip()) and _BLOCK.fullmatch(line):
            is_note = True
        elif not is_note and (found := _TIMES.fullmatch(line)):
            times.append((at, found))
    cues: list[Cue] = []
    read = 0  # lines that are in a cue already
    for at, found in times:
        has_name = at > read and lines[at - 1].strip() != "" and "WEBVTT" not in lines[at - 1][:6]
        begin = at - 1 if has_name else at
        end = at + 1
        while end < len(lines) and lines[end].strip() and not _TIMES.fullmatch(lines[end]):
            end += 1
        settings = (found[5] or "") + found[6]
        lead, head = "".join(lines[read:begin]), "".join(lines[begin:at]) + found[1]
        cues.append(Cue(lead, head, found[2], found[3], found[4], settings, "".join(lines[at + 1 : end])))
        read = end
    language = re.search(r"^Language:[ \t]*([a-z]{2})\b", text[:1000], re.MULTILINE)
    seconds = [(seconds_of(cue.start), seconds_of(cue.end)) for cue in cues]
    notes = notes_on_times(seconds)
    return Script(
        tuple(
            Line(html.unescape(plain(cue.body)), start, end, cue.as_extra())
            for cue, (start, end) in zip(cues, seconds, strict=True)
        ),
        "vtt",
        {"tail": "".join(lines[read:]), "notes": notes},
        language[1] if language else None,
    )


def write_vtt(script: Script, spans: Sequence[Span | None]) -> str:
    """The file with these times, those of words in between too; a cue that has none becomes a note."""
    told = []
    for line, span in zip(script.lines, spans, strict=True):
        cue = Cue.of(line.extra)
        assert cue is not None  # as `read_vtt` made it
        if span is None:
            line_end = re.sub(r"[^\r\n]", "", cue.settings)
            told.append(cue.lead + _left_out(line.text) + line_end)
            continue
        start = rewritten(cue.start, max(0.0, span.start_seconds), clock, 0.001)
        end = rewritten(cue.end, span.end_seconds, clock, 0.001)
        told.append(cue.timed(start, end, _word_times_moved(cue, span)))
    return "".join(told) + str(script.header.get("tail", ""))


def make_vtt(cues: Sequence[tuple[Span, str]], left_out: Sequence[str]) -> str:
    """A new file: cues with markup, and the texts of lines that are not in the video as notes."""
    told = [f"{_left_out(text)}\n\n" for text in left_out]
    for number, (span, markup) in enumerate(cues, 1):
        text = re.sub(r"&lt;(/?[biu])&gt;", r"<\1>", html.escape(markup, quote=False)) or "&nbsp;"
        told.append(f"{number}\n{clock(span.start_seconds)} --> {clock(span.end_seconds)}\n{text}\n\n")
    return "WEBVTT\n\n" + "".join(told)


def markup_of(cue: Cue) -> str:
    """The text with no tags but those that every format knows."""
    return html.unescape(simple_markup(cue.body))


def _left_out(text: str) -> str:
    return f"{LEFT_OUT}: {' '.join(text.split())}".replace("-->", "->")


def _word_times_moved(cue: Cue, span: Span) -> str:
    """The body with the times of its words where they belong in the new span."""
    start, end = seconds_of(cue.start), seconds_of(cue.end)
    stretch = span.seconds / (end - start) if end > start else 1.0

    def moved(tag: re.Match[str]) -> str:
        seconds = span.start_seconds + (seconds_of(tag[1]) - start) * stretch
        return f"<{rewritten(tag[1], max(0.0, seconds), clock, 0.001)}>"

    return _WORD_TIME.sub(moved, cue.body)
