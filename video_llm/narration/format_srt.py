"""SubRip: a number, `00:01:02,500 --> 00:01:04,000`, lines of text, a blank line."""

import re
from collections.abc import Sequence
from functools import partial

from tvu.temporal.types import Span
from tvu.video_llm.narration.cues import (
    TIME,
    Cue,
    clock,
    cut_tail,
    notes_on_times,
    plain,
    rewritten,
    seconds_of,
    split_lines,
)
from tvu.video_llm.narration.types import Line, Script

_TIMES = re.compile(rf"([ \t]*)({TIME})([ \t]*[-–—]+>[ \t]*)({TIME})([ \t].*)?(\r\n|\r|\n|\Z)")
_told = partial(clock, separator=",")


def is_srt(text: str) -> bool:
    """Whether any line is the two times of a cue."""
    return any(_TIMES.fullmatch(line) for line in split_lines(text))


def read_srt(text: str) -> Script:
    """The cues of a file; what is none of them stays where it is.

    A number belongs to a cue where it is the line just above its times. Blank lines within a cue are its own.
    """
    lines = split_lines(text)
    times = [(at, found) for at, line in enumerate(lines) if (found := _TIMES.fullmatch(line))]
    cues: list[Cue] = []
    heads = [_head(lines, at, times[n - 1][0] + 1 if n else 0) for n, (at, _) in enumerate(times)]
    tail = ""
    for n, (at, found) in enumerate(times):
        begin = heads[n]
        end = heads[n + 1] if n + 1 < len(times) else len(lines)
        body = "".join(lines[at + 1 : end])
        if n + 1 == len(times):
            body, tail = cut_tail(body)
        lead = "".join(lines[:begin]) if n == 0 else ""
        head = "".join(lines[begin:at]) + found[1]
        settings = (found[5] or "") + found[6]
        cues.append(Cue(lead, head, found[2], found[3], found[4], settings, body))
    seconds = [(seconds_of(cue.start), seconds_of(cue.end)) for cue in cues]
    notes = notes_on_times(seconds)
    if tail.strip("\0\x1a \t\r\n"):
        notes.append("the file ends within a cue; is it cut off?")
    broken = sum("-->" in line and not _TIMES.fullmatch(line) for line in lines) - ("-->" in tail)
    if broken:
        notes.append(f"not times of a cue, though they look like it, and read as text: {broken} lines")
    return Script(
        tuple(
            Line(plain(cue.body), start, end, cue.as_extra()) for cue, (start, end) in zip(cues, seconds, strict=True)
        ),
        "srt",
        {"tail": tail, "notes": notes},
    )


def write_srt(script: Script, spans: Sequence[Span | None]) -> str:
    """The file with these times, without the cues that have none: it has no way to tell them."""
    told = []
    for line, span in zip(script.lines, spans, strict=True):
        cue = Cue.of(line.extra)
        assert cue is not None  # as `read_srt` made it
        if span is None:
            told.append(cue.lead)
            continue
        start = rewritten(cue.start, max(0.0, span.start_seconds), _told, 0.001)
        told.append(cue.timed(start, rewritten(cue.end, span.end_seconds, _told, 0.001)))
    return "".join(told) + str(script.header.get("tail", ""))


def make_srt(cues: Sequence[tuple[Span, str]]) -> str:
    """A new file; `<i>`, `<b>` and `<u>` are the markup."""
    told = []
    for number, (span, markup) in enumerate(cues, 1):
        times = f"{_told(span.start_seconds)} --> {_told(span.end_seconds)}"
        text = markup.replace("-->", "->") or " "
        told.append(f"{number}\n{times}\n{text}\n\n")
    return "".join(told)


def _head(lines: Sequence[str], at: int, first: int) -> int:
    """Where the cue begins whose times are in line `at`: at its number, where it has one."""
    has_number = at > first and re.fullmatch(r"\s*\d+\s*", lines[at - 1]) is not None
    return at - 1 if has_number else at
